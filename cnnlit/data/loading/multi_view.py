"""Data sets of colour images that return several views of each image at once."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from cnnlit.data.loading.batch_sampler import Presentations
from cnnlit.data.loading.datasets import record_unreadable
from cnnlit.data.loading.image_set import ImageSet, LoadedImages, expect_batches
from cnnlit.data.transforms.colours import as_channels
from cnnlit.data.transforms.evaluation_crops import Shifted, ViewPlan
from cnnlit.data.transforms.geometry import Windows
from cnnlit.data.transforms.resampling import resample, show
from cnnlit.data.transforms.to_device import sent

ViewGroup = tuple[Tensor, Tensor]
"""Views of one size, [M, 3, h, w], 0 to 255, uint8 or float32; and int64 [M], which of all views they are."""


class ViewBatch(NamedTuple):
    """N images in V views each, their colours still untouched."""

    groups: list[ViewGroup]
    """One for each size of view. Number n * V + v is view v of image n."""
    labels: Tensor
    """int64 [N]."""
    unreadable: dict[str, str]
    """See ImageBatch."""


class ViewsInMemory(Dataset[ViewBatch]):
    """Views of images in the memory of one device, made there.

    `dataset[epoch, presentations]` is a `ViewBatch`.

    Args:
        images: all of them.
        views: of each image.
    """

    def __init__(self, images: LoadedImages, views: ViewPlan) -> None:
        self.images = images
        self.views = views

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, batch: Presentations) -> ViewBatch:
        _, presentations = batch
        indices = sent(presentations % len(self), self.images.pixels.device)
        chosen = self.images.subset(indices)
        return ViewBatch(self._resampled(chosen.pixels), chosen.labels, {})

    def _resampled(self, pixels: Tensor) -> list[ViewGroup]:
        if not len(pixels):
            return []
        count = self.views.num_views
        sizes = torch.tensor(pixels.shape[2:]).expand(len(pixels), 2)
        windows = self.views.windows(sizes)
        first = torch.arange(len(pixels)) * count
        seen: dict[tuple[float, ...], list[ViewGroup]] = {}
        for view in range(count):
            # View by view: its window is the same in all images, and so are the weights of the resampling.
            window = Windows(*(part[view::count] for part in windows))
            group = seen.setdefault(tuple(window.size[0].tolist()), [])
            group.append((resample(pixels, window), first + view))
        groups = (zip(*group, strict=True) for group in seen.values())
        return [(torch.cat(images), sent(torch.cat(views), pixels.device)) for images, views in groups]


class ShiftedViews(Dataset[Any]):
    """Shifts of images in memory, see evaluation_crops.Shifted.

    `dataset[epoch, presentations]` is one group of views in a list, and int64 [N], their labels.

    Args:
        framed: the images, with room to be shifted in.
        shifts: of each image.
    """

    def __init__(self, framed: Dataset[Any], shifts: Shifted) -> None:
        self.framed = framed
        self.shifts = shifts

    def __getitem__(self, batch: Presentations) -> tuple[list[ViewGroup], Tensor]:
        images, labels = self.framed[batch]
        return [self.shifts.seen(images)], labels


class DecodedViews(Dataset[ViewBatch]):
    """Views of images in files, which are decoded once for all of their views.

    `dataset[epoch, presentations]` is a `ViewBatch` on the CPU.

    Args:
        files: the images.
        views: of each image.
        unreadable: see DecodedImages.
        channels: likewise.
    """

    def __init__(
        self, files: ImageSet, views: ViewPlan, unreadable: dict[str, str] | None = None, channels: int = 3
    ) -> None:
        self.files = files
        self.views = views
        self.unreadable = unreadable
        self.channels = channels

    def __len__(self) -> int:
        return len(self.files)

    def accept(self, batch: ViewBatch) -> ViewBatch:
        """The same batch, its missing images recorded. See record_unreadable."""
        record_unreadable(batch.unreadable, self.unreadable)
        return batch

    def __getitem__(self, batch: Presentations) -> ViewBatch:
        presentations = batch[1]
        seen: dict[tuple[int, ...], list[tuple[NDArray[np.uint8], int]]] = {}
        readable: list[int] = []
        unreadable: dict[str, str] = {}
        expect_batches(self.files, batch)
        for index in (presentations % len(self)).tolist():
            try:
                image = self.files.open(index)
                pixels = image.rgb()
            except ValueError as error:
                unreadable[self.files.path(index)] = str(error)
                continue
            windows = self.views.windows(torch.tensor([[image.height, image.width]]))
            box, size, cut = (part.numpy() for part in windows)
            first = len(readable) * self.views.num_views
            for number in range(self.views.num_views):
                view = show(pixels, box[number], size[number], cut[number])
                seen.setdefault(view.shape, []).append((view, first + number))
            readable.append(index)
        groups = [
            (as_channels(torch.from_numpy(np.stack(images)).movedim(3, 1), self.channels), torch.tensor(views))
            for images, views in (zip(*group, strict=True) for group in seen.values())
        ]
        return ViewBatch(groups, self.files.labels[torch.tensor(readable, dtype=torch.int64)], unreadable)
