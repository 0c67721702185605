"""Images as training presents them, beside what they were made of and what was drawn at random for each."""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cnnlit.data.loading.batch_sampler import LockstepSampler
from cnnlit.data.loading.read_ahead import ReadAhead
from cnnlit.data.transforms.geometry import Windows

COUNT = 16
"""Images that are shown where nobody asks for more."""

THUMBNAIL = 448
"""Pixels of the longer side of an original that is kept."""


class PresentedImage(NamedTuple):
    """An image as the network gets it, made visible."""

    shown: Tensor
    """uint8 [3, H, W], or [H, W] with 255 for ink; the scale of the network's input is undone."""
    label: int
    original: Tensor | None = None
    """The same of the image itself, reduced to THUMBNAIL if it is larger; None if that is not known."""
    told: str = ""
    """What was done to it, in words and numbers."""
    box: tuple[float, float, float, float] | None = None
    """Left, top, right and bottom of the part that is shown, as fractions of the original; None if that is not known or
    all of it."""


Present = Callable[[Any, Any, int], Sequence[PresentedImage]]
"""(data set, batch of its sampler, how many at most) -> the images of the batch."""


def first_presented(loader: Any, count: int, present: Present) -> list[PresentedImage]:
    """The first images of the first epoch of training; of several seeds, the first's; none if they come as a stream.

    Args:
        loader: of training, whose sampler is left as it is.
        count: how many images, if an epoch has as many.
        present: makes those of a batch.
    """
    images: list[PresentedImage] = []
    for batch in _first_batches(getattr(loader, "sampler", None)):
        images += present(loader.dataset, batch, count - len(images))
        if len(images) >= count:
            break
    return images


def _first_batches(sampler: Any) -> Iterator[Any]:
    """The batches of the first epoch, whatever epoch the sampler has come to."""
    sampler = sampler.batches if isinstance(sampler, ReadAhead) else sampler
    sampler = sampler.each[0] if isinstance(sampler, LockstepSampler) else sampler
    if not hasattr(sampler, "skip"):
        return
    first = copy(sampler)
    first.set_epoch(0)
    first.skip(0)
    yield from first


def reduced(pixels: NDArray[np.uint8]) -> Tensor:
    """An image [H, W, 3], uint8 [3, H, W], no larger than is drawn."""
    image = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    return torch.from_numpy(np.array(image)).movedim(2, 0)


def visible(images: Tensor) -> Tensor:
    """Images uint8 [N, C, H, W] as they are drawn: [N, 3, H, W], or [N, H, W] if they are grey."""
    return (images[:, 0] if images.shape[1] == 1 else images).cpu()


def fractions(windows: Windows, sizes: Tensor) -> list[tuple[float, float, float, float] | None]:
    """The part of its image that each window shows; None for all of it. See PresentedImage.box.

    Args:
        windows: N of them.
        sizes: heights and widths of the images, [N, 2].
    """
    left, top, right, bottom = (windows.box / sizes[:, [1, 0, 1, 0]]).unbind(1)
    ends = [torch.minimum(left, right), top, torch.maximum(left, right), bottom]
    boxes = torch.stack(ends, dim=1).clamp(0, 1).tolist()
    return [None if tuple(box) == (0, 0, 1, 1) else tuple(box) for box in boxes]


def told_of(windows: Windows, sizes: Tensor) -> list[str]:
    """What windows show of images, in words and pixels of the images.

    Args:
        windows: N of them.
        sizes: heights and widths of the images, [N, 2].
    """
    boxes, whole = windows.box.tolist(), fractions(windows, sizes)
    return [
        ("whole image" if all_of_it is None else _corners(box, *size)) + ", mirrored" * (box[0] > box[2])
        for box, all_of_it, size in zip(boxes, whole, sizes.flip(1).tolist(), strict=True)
    ]


def _corners(box: Sequence[float], width: float, height: float) -> str:
    left, top, right, bottom = box
    first, last = ", ".join(map(_pixel, (min(left, right), top))), ", ".join(map(_pixel, (max(left, right), bottom)))
    return f"crop ({first}) to ({last}) of {width:.0f}x{height:.0f}"


def _pixel(place: float) -> str:
    return f"{place:.1f}".removesuffix(".0").replace("-", "\N{MINUS SIGN}")
