"""An epoch that shows each class equally often, however many images it has."""

import torch
from torch import Tensor


def most_shown(labels: Tensor, length: int, num_classes: int) -> int:
    """How often an epoch shows an image of the rarest class at most.

    Args:
        labels: of all images, int64 [N].
        length: presentations in an epoch.
        num_classes: that there have to be.

    Raises:
        ValueError: one line, if a class has no image.
    """
    counts = torch.bincount(labels, minlength=num_classes)
    if missing := (counts == 0).nonzero().flatten().tolist():
        raise ValueError(f"recipe.order=balanced: there are no training images of class {missing[0]}")
    share = -(-length // len(counts))
    return -(-share // int(counts.min()))


def balanced(labels: Tensor, length: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images in random order, of which each class has as many, or one more.

    Within a class, every image is shown once before any is shown again.

    Args:
        labels: of all images, int64 [N].
        length: presentations in an epoch.
        random: which images of a class that has more than its share, which classes have one more, and in which order.

    Returns:
        The images, int64 [length], and how often each has been shown before in this epoch, int64 [length].
    """
    classes = [(labels == number).nonzero().flatten() for number in range(int(labels.max()) + 1)]
    share, more = divmod(length, len(classes))
    has_more = set(torch.randperm(len(classes), generator=random)[:more].tolist())
    images, times = [], []
    for number, its in enumerate(classes):
        rounds = -(-(share + (number in has_more)) // len(its))
        shown = torch.cat([its[torch.randperm(len(its), generator=random)] for _ in range(rounds)])
        images.append(shown[: share + (number in has_more)])
        times.append((torch.arange(len(shown)) // len(its))[: share + (number in has_more)])
    order = torch.randperm(length, generator=random)
    return torch.cat(images)[order], torch.cat(times)[order]
