"""Sets of labelled images: in files, decoded one by one, or decoded already and in memory."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, cast, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnnlit.data.loading.decoding import DecodableImage, num_cores
from cnnlit.files import progress

CHUNK = 500
"""Images that a thread decodes before the progress bar moves."""


SAMPLE = 32
"""Files whose size is looked at."""


class LabelledImages(Protocol):
    """Images and their classes, in an order that never changes."""

    @property
    def labels(self) -> Tensor:
        """int64 [N]."""
        ...

    def __len__(self) -> int: ...

    def subset(self, indices: Tensor) -> Self:
        """The images at these int64 indices, in that order."""
        ...


class ImageSet(LabelledImages, Protocol):
    """Images of any size in files, however they are stored."""

    @property
    def folder(self) -> Path:
        """The folder that holds them, directly or further down."""
        ...

    @property
    def names(self) -> NDArray[np.bytes_]:
        """[N], the paths below the folder: where the images are, or where they were before they were stored."""
        ...

    def path(self, index: int) -> str:
        """Where an image is, for messages."""
        ...

    def open(self, index: int) -> DecodableImage:
        """An image, not decoded yet.

        Raises:
            ValueError: one line that names it, if it cannot be read.
        """
        ...


@runtime_checkable
class Expecting(Protocol):
    """Images that are read faster if it is known in advance which ones."""

    def expect(self, indices: Tensor) -> None:
        """Tell which images will be opened soon, int64 indices."""
        ...


def expect(images: ImageSet, indices: Tensor) -> None:
    """Tell which images will be opened soon, whoever wants to know."""
    if isinstance(images, Expecting):
        images.expect(indices)


def expect_batches(images: ImageSet, batch: tuple[Any, ...]) -> None:
    """Tell which images a batch and what a sampler expects behind it will open, see ReadAhead."""
    for presentations in batch[1:]:
        expect(images, presentations % len(images))


def _stored(images: LabelledImages) -> LabelledImages:
    """The images themselves, whatever labels they have been given."""
    return images.images if isinstance(images, Relabelled) else images


def is_far(images: LabelledImages) -> bool:
    """Whether images have to come through a network that takes its time."""
    return bool(getattr(_stored(images), "is_far", False))


def blocks_of(images: LabelledImages) -> Tensor | None:
    """int64 [N], which images can only be read together, counted from 0; None if each is read alone."""
    return getattr(_stored(images), "blocks", None)


def places_of(images: LabelledImages) -> Tensor | None:
    """int64 [N], the rank of each image in the order of the disk, from 0; None if each is a file."""
    return getattr(_stored(images), "places", None)


def by_class(labels: Tensor, places: Tensor) -> bool:
    """Whether neighbours on the disk are of one class more often than chance would have it.

    Args:
        labels: int64 [N].
        places: likewise, see places_of.
    """
    stored = labels[places.argsort()]
    expected = 1 - (labels.bincount() / max(1, len(labels))).square().sum()
    return bool((stored[1:] != stored[:-1]).float().mean() < expected / 2)


@dataclass(frozen=True)
class Relabelled:
    """The images of a set under other labels. See ImageSet."""

    images: ImageSet
    labels: Tensor
    """int64 [N]."""

    @property
    def folder(self) -> Path:
        """See ImageSet."""
        return self.images.folder

    @property
    def names(self) -> NDArray[np.bytes_]:
        """See ImageSet."""
        return self.images.names

    def __len__(self) -> int:
        return len(self.labels)

    def path(self, index: int) -> str:
        """See ImageSet."""
        return self.images.path(index)

    def open(self, index: int) -> DecodableImage:
        """See ImageSet."""
        return self.images.open(index)

    def expect(self, indices: Tensor) -> None:
        """See Expecting."""
        expect(self.images, indices)

    def subset(self, indices: Tensor) -> "Relabelled":
        """See LabelledImages."""
        return Relabelled(self.images.subset(indices), self.labels[indices])


@dataclass(frozen=True)
class LoadedImages:
    """Images of one size in the memory of one device."""

    pixels: Tensor
    """uint8 [N, C, H, W]."""
    labels: Tensor
    """int64 [N], on the same device."""

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Tensor) -> "LoadedImages":
        """See LabelledImages."""
        return LoadedImages(self.pixels[indices], self.labels[indices])

    def to(self, device: torch.device) -> "LoadedImages":
        """The same on another device."""
        return LoadedImages(self.pixels.to(device), self.labels.to(device))


def load(sets: Sequence[ImageSet]) -> list[LoadedImages]:
    """Decode many small images of one size, by as many threads as there are cores.

    Args:
        sets: the images; those of all sets have one size.

    Raises:
        ValueError: one line that names the image, if one cannot be read or differs in size from the first.
    """
    places = [(images, index) for images in sets for index in range(len(images))]
    first = _pixels(*places[0])
    pixels = np.empty((len(places), *first.shape), np.uint8)

    def decode(start: int) -> None:
        for number, (images, index) in enumerate(places[start : start + CHUNK], start):
            decoded = _pixels(images, index)
            if decoded.shape != first.shape:
                (height, width, _), (others_height, others_width, _) = decoded.shape, first.shape
                raise ValueError(
                    f"{images.path(index)} has {width}x{height} pixels where {places[0][0].path(0)} has "
                    f"{others_width}x{others_height}"
                )
            pixels[number] = decoded

    starts = range(0, len(places), CHUNK)
    with ThreadPoolExecutor(num_cores()) as threads:
        for _ in progress(threads.map(decode, starts), "reading images", len(starts)):
            pass
    every = torch.from_numpy(pixels).movedim(3, 1).contiguous()
    parts = torch.split(every, [len(images) for images in sets])
    return [LoadedImages(part, images.labels) for part, images in zip(parts, sets, strict=True)]


def _pixels(images: ImageSet, index: int) -> NDArray[np.uint8]:
    return images.open(index).rgb()


def one_size(images: LabelledImages) -> list[int] | None:
    """Height and width of images, if all of them, or of a sample of those in files, have the same."""
    if isinstance(images, LoadedImages):
        return list(images.pixels.shape[2:])
    files = cast(ImageSet, images)
    sizes = set()
    for index in np.unique(np.linspace(0, len(files) - 1, SAMPLE).astype(int)).tolist():
        try:
            image = files.open(index)
        except ValueError:  # whoever presents it says so
            continue
        sizes.add((image.height, image.width))
    return list(sizes.pop()) if len(sizes) == 1 else None
