"""Data sets of colour images, in the memory of one device or in files, that return whole batches."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cnnlit.data.loading.batch_sampler import Presentations
from cnnlit.data.loading.decoding import DecodableImage, UnreadableError
from cnnlit.data.loading.image_set import ImageSet, LoadedImages, expect_batches
from cnnlit.data.transforms.augmentation import Augmentation
from cnnlit.data.transforms.colours import Normalize, as_channels
from cnnlit.data.transforms.distortions import AffineDistortion
from cnnlit.data.transforms.geometry import Windows
from cnnlit.data.transforms.presented import PresentedImage, reduced, visible
from cnnlit.data.transforms.resampling import copies, copy, resample, show
from cnnlit.data.transforms.to_device import sent
from cnnlit.data.workers.watched import WatchedLoader

Batch = tuple[Tensor, Tensor]


class ImageBatch(NamedTuple):
    """Presentations that have been cropped and resized, their colours still untouched."""

    images: Tensor
    """[N, C, image_size, image_size], 0 to 255; uint8, or float32 where a device resampled them."""
    labels: Tensor
    """int64 [N]."""
    draws: Tensor
    """float32 [N, k], random numbers for Augmentation.finish."""
    unreadable: dict[str, str]
    """Images missing from the batch: for each path one line that says why."""


class _Presented(NamedTuple):
    """What an epoch shows of the images in memory, with a row for each presentation where there is chance."""

    epoch: int
    windows: Windows
    draws: Tensor
    copied: Tensor | None
    """int64 [presentations, 4], the windows' boxes, if every pixel is a copy of the image's."""
    images: Tensor | None
    """The images as all their presentations show them, if these are such copies and without chance."""


class ImagesInMemory(Dataset[Batch]):
    """Images of one size in the memory of one device.

    `dataset[epoch, presentations]` is `(images, labels)`: float32 [N, C, image_size, image_size], on the scale of the
    network's input, and int64 [N], both on that device.

    Args:
        images: all of them.
        augmentation: applied to each presentation.
        versions: presentations of each image that have random numbers of their own.
    """

    def __init__(self, images: LoadedImages, augmentation: Augmentation, versions: int = 1) -> None:
        self.images = images
        self.augmentation = augmentation
        self.num_presentations = len(images) * versions * len(augmentation.seeds)
        self._presented: _Presented | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, batch: Presentations) -> Batch:
        images, labels, draws, _ = self.before_colours(batch)
        return self.augmentation.finish(images, draws), labels

    def before_colours(self, batch: Presentations) -> ImageBatch:
        """The batch with its geometry alone."""
        epoch, presentations = batch
        presented = self._of_epoch(epoch)
        pixels, labels, draws = self.images.pixels, self.images.labels, presented.draws
        indices = presentations % len(self)
        here = sent(indices, pixels.device)
        if presented.images is not None:
            images = presented.images.index_select(0, here)
        elif presented.copied is not None:
            side = self.augmentation.image_size
            images = copy(pixels, indices, presented.copied.index_select(0, presentations), side, side)
        else:
            its = presentations if self.augmentation.is_random else torch.zeros_like(presentations)
            windows = Windows(*(part.index_select(0, its) for part in presented.windows))
            images = resample(pixels.index_select(0, here), windows)
        if draws.shape[1]:
            draws = sent(draws.index_select(0, presentations), pixels.device)
        return ImageBatch(images, labels.index_select(0, here), draws, {})

    def presented(self, batch: Presentations) -> list[PresentedImage]:
        """The batch made visible, beside the images themselves."""
        epoch, presentations = batch
        originals = list(self.images.pixels[presentations % len(self)])
        sizes = torch.tensor([image.shape[1:] for image in originals])
        return self.augmentation.presented(originals, sizes, self[batch], epoch, presentations)

    def _of_epoch(self, epoch: int) -> _Presented:
        """For all presentations at once: batch by batch, this would take as long as the pixels do."""
        random = self.augmentation.is_random
        if self._presented is None or (random and self._presented.epoch != epoch):
            every = torch.arange(self.num_presentations if random else 1)
            size = torch.tensor(self.images.pixels.shape[2:])
            windows = self.augmentation.windows(size.expand(len(every), 2), epoch, every)
            copied = windows.box.long() if copies(windows) else None
            shown = None if random or copied is None else self._all(windows)
            self._presented = _Presented(epoch, windows, self.augmentation.draws(epoch, every), copied, shown)
        return self._presented

    def _all(self, windows: Windows) -> Tensor:
        """All images in the one window that shows them."""
        pixels = self.images.pixels
        if torch.equal(windows.box, Windows.whole(torch.tensor([pixels.shape[2:]])).box):
            return pixels
        every, side = torch.arange(len(pixels)), self.augmentation.image_size
        return copy(pixels, every, windows.box.long().expand(len(pixels), 4), side, side)


class DistortedImages(Dataset[Batch]):
    """Images in the memory of one device, distorted anew at each presentation.

    `dataset[epoch, presentations]` is as that of ImagesInMemory, on the scale `lecun1998`.

    Args:
        images: all of them.
        image_size: side of the images that the network sees, in pixels.
        distortion: applied to each presentation.
    """

    def __init__(self, images: LoadedImages, image_size: int, distortion: AffineDistortion) -> None:
        self.images = images
        self.image_size = image_size
        self.distortion = distortion

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, batch: Presentations) -> Batch:
        epoch, presentations = batch
        presentations = sent(presentations, self.images.labels.device)
        indices = presentations % len(self)
        pixels = self.images.pixels.index_select(0, indices)
        distorted = self.distortion(pixels, epoch, presentations, self.image_size)
        return distorted, self.images.labels.index_select(0, indices)

    def presented(self, batch: Presentations) -> list[PresentedImage]:
        """The batch made visible, beside the images themselves."""
        epoch, presentations = batch
        images, labels = self[batch]
        originals = visible(self.images.pixels[presentations % len(self)])
        shown, told = visible(Normalize("lecun1998").undone(images)), self.distortion.told(epoch, presentations)
        return [PresentedImage(*image) for image in zip(shown, labels.tolist(), originals, told, strict=True)]


class DecodedImages(Dataset[ImageBatch]):
    """Images of any size in files, decoded on the CPU each time they are presented.

    `dataset[epoch, presentations]` is an `ImageBatch`, uint8, on the CPU; its colours are for the device that trains.
    Images that cannot be read are missing from it: a worker process returns it all the same, and `accept`, in the
    process that trains, records them or stops.

    Args:
        files: the images.
        augmentation: applied to each presentation.
        unreadable: where `accept` records missing images, as ImageBatch.unreadable has them; None to stop at one.
        channels: of the images that are returned, 3 or 1.
    """

    def __init__(
        self,
        files: ImageSet,
        augmentation: Augmentation,
        unreadable: dict[str, str] | None = None,
        channels: int = 3,
    ) -> None:
        self.files = files
        self.augmentation = augmentation
        self.unreadable = unreadable
        self.channels = channels

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, batch: Presentations) -> ImageBatch:
        epoch, presentations = batch[:2]
        expect_batches(self.files, batch)
        opened: list[tuple[int, DecodableImage]] = []  # with their places in the batch
        unreadable: dict[str, str] = {}
        for place, index in enumerate((presentations % len(self)).tolist()):
            try:
                opened.append((place, self.files.open(index)))
            except ValueError as error:
                unreadable[self.files.path(index)] = str(error)
        sizes = torch.tensor([(image.height, image.width) for _, image in opened]).view(-1, 2)
        windows = self.augmentation.windows(sizes, epoch, presentations[[place for place, _ in opened]])
        box, size, cut = (part.numpy() for part in windows)  # indexing a row costs a tenth of what it does in torch
        side = self.augmentation.image_size
        pixels = np.empty((len(opened), side, side, 3), np.uint8)
        decoded: list[int] = []
        for number, (place, image) in enumerate(opened):
            try:
                whole = image.rgb()
            except ValueError as error:
                unreadable[self.files.path(int(presentations[place]) % len(self))] = str(error)
                continue
            pixels[len(decoded)] = show(whole, box[number], size[number], cut[number])
            decoded.append(place)
        chosen = presentations[decoded]
        images = as_channels(torch.from_numpy(pixels[: len(decoded)]).movedim(3, 1), self.channels)
        draws = self.augmentation.draws(epoch, chosen)
        return ImageBatch(images, self.files.labels[chosen % len(self)], draws, unreadable)

    def presented(self, batch: Presentations) -> list[PresentedImage]:
        """The batch made visible, beside the images themselves; without those that cannot be read."""
        epoch, presentations = batch
        images, labels, draws, unreadable = self[batch]
        read = [p for p in presentations.tolist() if self.files.path(p % len(self)) not in unreadable]
        opened = [self.files.open(p % len(self)) for p in read]
        originals = [as_channels(reduced(image.rgb())[None], self.channels)[0] for image in opened]
        sizes = torch.tensor([(image.height, image.width) for image in opened]).view(-1, 2)
        finished = self.augmentation.finish(images, draws), labels
        return self.augmentation.presented(originals, sizes, finished, epoch, torch.tensor(read, dtype=torch.int64))

    def accept(self, batch: ImageBatch) -> ImageBatch:
        """The same batch, its missing images recorded. See record_unreadable."""
        record_unreadable(batch.unreadable, self.unreadable)
        return batch


def record_unreadable(missing: dict[str, str], unreadable: dict[str, str] | None) -> None:
    """Record in `unreadable` which images are missing from a batch.

    Raises:
        UnreadableError: one line about the first, if there is nowhere to record it.
    """
    if unreadable is not None:
        unreadable |= missing
        return
    for line in missing.values():
        raise UnreadableError(line)


class DecodingDataset(Protocol):
    """A data set whose batches may lack images that cannot be read."""

    def accept(self, batch: Any) -> Any:
        """The same batch, its missing images recorded."""
        ...


class DecodingLoader(WatchedLoader):
    """Batches that worker processes decode. Unreadable images are recorded, or refused, in the process that trains.

    An error raised in a worker would arrive with the worker's traceback for a message.
    """

    dataset: DecodingDataset  # type: ignore[assignment]

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        return map(self.dataset.accept, super().__iter__())


class LazyImages:
    """A sequence of uint8 [3, image_size, image_size], grey ones without channels, each decoded when it is indexed.

    Args:
        decoded: the images; their augmentation must not be random.
    """

    def __init__(self, decoded: DecodedImages) -> None:
        self._decoded = decoded

    def __len__(self) -> int:
        return len(self._decoded)

    def __getitem__(self, index: Any) -> Any:
        """An image for a number, a shorter sequence for a slice."""
        decoded = self._decoded
        chosen = torch.arange(len(self))[index]
        if isinstance(index, slice):
            files = decoded.files.subset(chosen)
            return LazyImages(DecodedImages(files, decoded.augmentation, channels=decoded.channels))
        image = decoded.accept(decoded[0, chosen.view(1)]).images[0]
        return image[0] if len(image) == 1 else image
