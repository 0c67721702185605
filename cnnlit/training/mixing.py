"""Images of a training batch mixed with one another: the same whatever the number of devices, and when resumed."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors

Mixing = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(images float [N, C, H, W], labels int64 [N]) -> (the same of images, float [N, K], the share of each class)."""


MIXING = 1_008
"""Sets the random numbers of a step's mixing apart from those of its replicas, which have their own numbers."""


def mixed(
    mixing: Mixing, images: Tensor, labels: Tensor, seed: int, place: tuple[Any, int] | None = None
) -> tuple[Tensor, Tensor]:
    """A batch, mixed; what is drawn from torch's global random numbers on the CPU depends on the seed alone.

    Args:
        mixing: such as torchvision.transforms.v2.MixUp.
        images: float [N, C, H, W]; of several devices, this one's.
        labels: int64 [N].
        seed: of the step, the same on every device.
        place: the sampler, which knows this device's place among several, and the number of the batch in its epoch;
            None for a single device.
    """
    if place and place[0].num_replicas > 1:
        return _mixed_with_others(mixing, images, labels, seed, *place)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return mixing(images, labels.long())


def _mixed_with_others(
    mixing: Mixing, images: Tensor, labels: Tensor, seed: int, batches: Any, number: int
) -> tuple[Tensor, Tensor]:
    """This device's share of a batch that was mixed as a whole; each device is sent the images of all."""
    share, _ = batches.share(number)
    parts = [gather_all_tensors(part[:share].contiguous()) for part in (images, labels)]
    places = torch.cat([batches.num_replicas * torch.arange(len(its)) + rank for rank, its in enumerate(parts[1])])
    order = places.argsort()  # as a single device would have them
    all_images, all_labels = (torch.cat(each)[order.to(images.device)] for each in parts)
    whole = mixed(mixing, all_images, all_labels, seed)
    own = (places[order] % batches.num_replicas == batches.rank).nonzero().flatten().to(images.device)
    own = own if len(own) else own.new_zeros(1)  # an image that does not count, see BatchSampler
    return whole[0][own], whole[1][own]


def dominant(labels: Tensor) -> Tensor:
    """The class with the largest share, int64 [N], of labels [N, K]; labels int64 [N] as they are."""
    return labels.argmax(dim=1) if labels.is_floating_point() else labels
