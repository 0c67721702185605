"""Sets of images, in the memory of one device or in files, from which batches are taken by number."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cnnlit.data.loading.batch_sampler import BatchSampler, Presentations
from cnnlit.data.loading.decoding import DecodableImage, UnreadableError
from cnnlit.data.loading.image_set import ImageSet
from cnnlit.data.transforms.augmentation import Augmentation
from cnnlit.data.transforms.colours import principal_components
from cnnlit.data.transforms.random_numbers import generator
from cnnlit.data.transforms.resampling import resample, show
from cnnlit.files import progress

Batch = tuple[Tensor, Tensor]

MEAN_SAMPLE = 10_000
"""Photographs that their statistics are estimated from."""


class ImageBatch(NamedTuple):
    """Presentations with their geometry done and their colours as they were."""

    images: Tensor
    """[N, 3, image_size, image_size], 0 to 255; uint8, or float32 where a device resampled them."""
    labels: Tensor
    """int64 [N]."""
    draws: Tensor
    """float32 [N, k], random numbers for Augmentation.finish."""
    unreadable: dict[str, str]
    """ImageSet of the batch that are missing from it, their paths, and a line on each that says why."""


class ImagesInMemory(Dataset[Batch]):
    """ImageSet of one size that lie in the memory of one device.

    `dataset[epoch, presentations]` is `(images, labels)`: float32 [N, 3, image_size, image_size], on the scale of the
    network's input, and int64 [N], both on that device.

    Args:
        pixels: uint8 [N, 3, H, W].
        labels: int64 [N], on the same device.
        augmentation: what is done to them.
    """

    def __init__(self, pixels: Tensor, labels: Tensor, augmentation: Augmentation) -> None:
        self.pixels = pixels
        self.labels = labels
        self.augmentation = augmentation

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, batch: Presentations) -> Batch:
        images, labels, draws, _ = self.shown(batch)
        return self.augmentation.finish(images, draws), labels

    def shown(self, batch: Presentations) -> ImageBatch:
        """The batch before its colours are touched."""
        epoch, presentations = batch
        device = self.pixels.device
        indices = (presentations % len(self)).to(device)
        sizes = torch.tensor(self.pixels.shape[2:]).expand(len(presentations), 2)
        windows = self.augmentation.windows(sizes, epoch, presentations)
        images = resample(self.pixels.index_select(0, indices), windows)
        draws = self.augmentation.draws(epoch, presentations).to(device)
        return ImageBatch(images, self.labels.index_select(0, indices), draws, {})


class DecodedImages(Dataset[ImageBatch]):
    """ImageSet of any size in files, decoded when they are shown, on the processor.

    `dataset[epoch, presentations]` is `ImageBatch`, uint8, on the processor: what is left to do is for the device that
    trains. ImageSet that cannot be read are missing from it; the process that trains says by `noted` what that means.

    Args:
        files: where they are.
        augmentation: what is done to them.
        unreadable: takes up what is missing, as ImageBatch.unreadable has it; None to stop there.
    """

    def __init__(self, files: ImageSet, augmentation: Augmentation, unreadable: dict[str, str] | None = None) -> None:
        self.files = files
        self.augmentation = augmentation
        self.unreadable = unreadable

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, batch: Presentations) -> ImageBatch:
        epoch, presentations = batch
        opened: list[tuple[int, DecodableImage]] = []  # with their places in the batch
        unreadable: dict[str, str] = {}
        for place, index in enumerate((presentations % len(self)).tolist()):
            try:
                opened.append((place, self.files.open(index)))
            except ValueError as error:
                unreadable[self.files.path(index)] = str(error)
        sizes = torch.tensor([(image.height, image.width) for _, image in opened]).view(-1, 2)
        chosen = presentations[[place for place, _ in opened]]
        windows = self.augmentation.windows(sizes, epoch, chosen)
        box, size, cut = (part.numpy() for part in windows)  # of which a row costs a tenth of a tensor's
        side = self.augmentation.image_size
        images = np.empty((len(opened), side, side, 3), np.uint8)
        shown: list[int] = []
        for number, (place, image) in enumerate(opened):
            try:
                pixels = image.rgb()
            except ValueError as error:
                unreadable[self.files.path(int(presentations[place]) % len(self))] = str(error)
                continue
            images[len(shown)] = show(pixels, box[number], size[number], cut[number])
            shown.append(place)
        chosen = presentations[shown]
        draws = self.augmentation.draws(epoch, chosen)
        labels = self.files.labels[chosen % len(self)]
        return ImageBatch(torch.from_numpy(images[: len(shown)]).movedim(3, 1), labels, draws, unreadable)

    def noted(self, shown: ImageBatch) -> ImageBatch:
        """The same batch, once what is missing from it has been taken up. See take_up."""
        take_up(shown.unreadable, self.unreadable)
        return shown


def take_up(missing: dict[str, str], unreadable: dict[str, str] | None) -> None:
    """Note in `unreadable` which images are missing from a batch.

    Raises:
        UnreadableError: one line on the first, if nothing takes them up.
    """
    if unreadable is not None:
        unreadable |= missing
        return
    for line in missing.values():
        raise UnreadableError(line)


class Decoding(Protocol):
    """A data set whose batches may lack images that cannot be read."""

    def noted(self, shown: Any) -> Any:
        """The same batch, once what is missing from it has been taken up."""
        ...


class DecodingLoader(DataLoader[Any]):
    """BatchSampler of decoded images, by worker processes. What cannot be read is noted, or refused, in this process.

    An error that a worker raises would arrive with the worker's traceback for a message.
    """

    dataset: Decoding  # type: ignore[assignment]

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        return map(self.dataset.noted, super().__iter__())


class LazyImages:
    """Photographs as a sequence of uint8 [3, image_size, image_size], each decoded when it is asked for.

    Args:
        photographs: whose augmentation is without chance.
    """

    def __init__(self, photographs: DecodedImages) -> None:
        self.photographs = photographs

    def __len__(self) -> int:
        return len(self.photographs)

    def __getitem__(self, index: Any) -> Any:
        """One image for a number, a shorter gallery for a slice."""
        if isinstance(index, slice):
            files = self.photographs.files.subset(torch.arange(len(self))[index])
            return LazyImages(DecodedImages(files, self.photographs.augmentation))
        photographs = self.photographs
        return photographs.noted(photographs[0, torch.arange(len(self))[index].view(1)]).images[0]


class Statistics(NamedTuple):
    """What some steps subtract or add of the training images."""

    mean_image: Tensor
    """float32 [3, image_size, image_size] on the CPU, 0 to 255."""
    components: Tensor
    """float32 [3, 3] on the CPU, of the colours of all pixels. See PCAColour."""


def statistics(dataset: ImagesInMemory | DecodedImages, seed: int, num_workers: int) -> Statistics:
    """The mean of the images as they are shown, pixel by pixel, and the principal components of their colours.

    Deviation: of more than MEAN_SAMPLE photographs that many are taken, at random; the standard error of a pixel's mean
    is then below 1/255. They are taken of the views that the network is validated on, where Krizhevsky et al. 2012 take
    them before they crop; as in their authors' code, all crops are given the middle of the mean image.

    Args:
        dataset: whose augmentation is without chance.
        seed: of the sample.
        num_workers: processes that decode photographs.

    Raises:
        UnreadableError: if a photograph cannot be read and that is to stop here, or if none can.
    """
    count = len(dataset)
    if isinstance(dataset, DecodedImages) and count > MEAN_SAMPLE:
        chosen = torch.randperm(count, generator=generator(seed))[:MEAN_SAMPLE].sort().values
        dataset = DecodedImages(dataset.files.subset(chosen), dataset.augmentation, dataset.unreadable)
        count = len(dataset)
    batches = BatchSampler(count, 250, order="sequential")
    if isinstance(dataset, ImagesInMemory):
        shown = (dataset.shown(batch).images for batch in batches)
    else:
        loader = DecodingLoader(dataset, batch_size=None, sampler=batches, num_workers=num_workers)
        shown = (batch.images for batch in progress(loader, "mean image", len(batches)))
    total, products, readable = torch.zeros(()), torch.zeros(()), 0
    for images in shown:
        total = total + images.sum(dim=0, dtype=torch.float64).cpu()
        colours = images.movedim(1, 0).flatten(1).double()  # [3, pixels]; sums of bytes are exact
        products = products + (colours @ colours.T).cpu()
        readable += len(images)
    if not readable:
        raise UnreadableError("none of the training images that the mean image is taken of can be read")
    colour = total.mean(dim=(1, 2)) / readable / 255
    covariance = products / (readable * total[0].numel()) / 255**2 - colour.outer(colour)
    return Statistics((total / readable).float(), principal_components(covariance))
