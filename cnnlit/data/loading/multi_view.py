"""Sets of images, each shown in several views at once."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from cnnlit.data.loading.batch_sampler import Presentations
from cnnlit.data.loading.datasets import Batch, take_up
from cnnlit.data.loading.image_set import ImageSet
from cnnlit.data.transforms.evaluation_crops import ViewPlan
from cnnlit.data.transforms.geometry import Windows
from cnnlit.data.transforms.resampling import resample, show

Group = tuple[Tensor, Tensor]


class ViewBatch(NamedTuple):
    """N images in V views each, with their colours as they were."""

    groups: list[Group]
    """For each size of view: images [M, 3, h, w], 0 to 255, uint8 or float32; and int64 [M], which of the N * V views
    they are. Number n * V + v is view v of image n."""
    labels: Tensor
    """int64 [N]."""
    unreadable: dict[str, str]
    """As ImageBatch has it."""


class MultiViewImages(Dataset[ViewBatch]):
    """ImageSet in files, decoded once for all of their views; or in the memory of one device, where the views are made.

    `dataset[epoch, presentations]` is `ViewBatch`.

    Args:
        images: their files; or uint8 [N, 3, H, W] and labels int64 [N], on one device.
        views: of each.
        unreadable: takes up the files that cannot be read, which are missing from their batch; None to stop there.
    """

    def __init__(self, images: ImageSet | Batch, views: ViewPlan, unreadable: dict[str, str] | None = None) -> None:
        self.images = images
        self.views = views
        self.unreadable = unreadable

    def __len__(self) -> int:
        return len(self.images[1] if isinstance(self.images, tuple) else self.images)

    def __getitem__(self, batch: Presentations) -> ViewBatch:
        _, presentations = batch
        indices = presentations % len(self)
        if not isinstance(self.images, tuple):
            return self._decoded(self.images, indices)
        pixels, labels = self.images
        indices = indices.to(pixels.device)
        return ViewBatch(self._resampled(pixels.index_select(0, indices)), labels.index_select(0, indices), {})

    def noted(self, shown: ViewBatch) -> ViewBatch:
        """The same batch, once what is missing from it has been taken up. See take_up."""
        take_up(shown.unreadable, self.unreadable)
        return shown

    def _decoded(self, files: ImageSet, indices: Tensor) -> ViewBatch:
        seen: dict[tuple[int, ...], list[tuple[NDArray[np.uint8], int]]] = {}
        readable: list[int] = []
        unreadable: dict[str, str] = {}
        for index in indices.tolist():
            try:
                image = files.open(index)
                pixels = image.rgb()
            except ValueError as error:
                unreadable[files.path(index)] = str(error)
                continue
            windows = self.views.windows(torch.tensor([[image.height, image.width]]))
            box, size, cut = (part.numpy() for part in windows)
            first = len(readable) * self.views.num_views
            for number in range(self.views.num_views):
                view = show(pixels, box[number], size[number], cut[number])
                seen.setdefault(view.shape, []).append((view, first + number))
            readable.append(index)
        groups = [
            (torch.from_numpy(np.stack(images)).movedim(3, 1), torch.tensor(views))
            for images, views in (zip(*group, strict=True) for group in seen.values())
        ]
        return ViewBatch(groups, files.labels[torch.tensor(readable, dtype=torch.int64)], unreadable)

    def _resampled(self, pixels: Tensor) -> list[Group]:
        if not len(pixels):
            return []
        count = self.views.num_views
        sizes = torch.tensor(pixels.shape[2:]).expand(len(pixels), 2)
        windows = self.views.windows(sizes)
        first = torch.arange(len(pixels)) * count
        seen: dict[tuple[float, ...], list[Group]] = {}
        for view in range(count):
            # View by view, for its window is the same in all images, and so are the weights of its pixels.
            window = Windows(*(part[view::count] for part in windows))
            group = seen.setdefault(tuple(window.size[0].tolist()), [])
            group.append((resample(pixels, window), first + view))
        groups = (zip(*group, strict=True) for group in seen.values())
        return [(torch.cat(images), torch.cat(views).to(pixels.device)) for images, views in groups]
