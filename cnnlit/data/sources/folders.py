"""Images in folders: listed with their classes."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnnlit.data.loading.decoding import DecodableImage, open_image
from cnnlit.data.loading.image_set import ImageSet
from cnnlit.data.sources.found_files import FoundFiles, absent, files_below, is_folder, is_image, is_passed_over, kinds

WNID = re.compile(r"n\d{8}")
"""A WordNet id, as ImageNet and its relatives name their classes."""


@dataclass(frozen=True)
class ImageFiles:
    """Images in one file each. See ImageSet."""

    folder: Path
    names: NDArray[np.bytes_]
    """[N], paths below the folder. An array, as each worker would get a copy of its own of a list of strings."""
    labels: Tensor
    """int64 [N]."""
    passed_over: tuple[str, ...] = ()
    """Files that lie among them and are of no kind that is read; paths below the folder."""

    def __len__(self) -> int:
        return len(self.names)

    def path(self, index: int) -> str:
        return os.path.join(self.folder, os.fsdecode(self.names[index]))

    def open(self, index: int) -> DecodableImage:
        return open_image(self.path(index))

    def subset(self, indices: Tensor) -> "ImageFiles":
        return ImageFiles(self.folder, self.names[indices.numpy()], self.labels[indices])


class Listing(NamedTuple):
    """A set of images as it was found on the disk."""

    layout: str
    """How its files are laid out, in a few words: `class folders`, `Kaggle`."""
    train: ImageSet
    """Empty if there is only a validation set."""
    test: ImageSet | None
    """The official validation set, as the labels of the test sets were never published; None if there is none."""
    classes: list[str]
    """The id of each class, sorted: a label is an index into this list."""
    class_names: list[str]
    """What each class is called."""
    val: ImageSet | None = None
    """Images to validate with, where the set names some beside those to test with; None to hold some out of `train`."""
    remarks: tuple[str, ...] = ()
    """What was found and is not used, or not as its name says; a sentence each."""

    @property
    def folder(self) -> Path:
        """Of the images to train on, or where there are none, to test with."""
        return self.train.folder if len(self.train) or self.test is None else self.test.folder


def folders_in(folder: Path) -> list[str]:
    """Sorted names of the folders in a folder, links to folders included, hidden ones not."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if is_folder(entry) and not is_passed_over(entry.name))


def images_in(folder: Path) -> list[str]:
    """Sorted names in a folder that end as those of images do, hidden ones not included.

    A folder or a broken link of such a name is listed too: it is reported when it is opened, where leaving it out here
    would go unnoticed.
    """
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    return sorted(name for name in names if is_image(name) and not is_passed_over(name))


def class_folders(folder: Path) -> list[str]:
    """The sorted class folders in a folder.

    Raises:
        ValueError: if there are images beside them, which would have no class.
    """
    classes = folders_in(folder)
    loose = sorted(set(images_in(folder)) - set(classes))
    if classes and loose:
        raise ValueError(
            f"{folder} holds class folders ({some(classes)}) and beside them images without a class ({some(loose)}); "
            "sort these into the folders, or move them away"
        )
    return classes


def list_images(folder: Path, places: Iterable[tuple[str, str]]) -> ImageFiles:
    """List the images of classes, class by class, those in folders below a class' own included.

    Args:
        folder: the one that paths are relative to.
        places: the name of each class and its folder below `folder`, in the order of labels.

    Raises:
        ValueError: if a class has no images.
    """
    names: list[bytes] = []
    others: list[str] = []
    counts: list[int] = []
    for name, place in places:
        found = files_below(folder / place) if (folder / place).is_dir() else FoundFiles([], [])
        if not found.images:
            beside = f", but {kinds(found.others)}, which are not read" if found.others else ""
            raise ValueError(f"{folder / place} holds no images of class {name}{beside}")
        names += [os.fsencode(f"{place}/{image}") for image in found.images]
        others += [f"{place}/{other}" for other in found.others]
        counts.append(len(found.images))
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts, dtype=torch.int64))
    return ImageFiles(folder, np.array(names, np.bytes_), labels, tuple(others))


def not_read(images: ImageSet | None) -> list[str]:
    """A sentence about the files among images that are of no kind that is read; none if there are none."""
    others = images.passed_over if isinstance(images, ImageFiles) else ()
    if not others:
        return []
    files = "1 file is" if len(others) == 1 else f"{len(others):,} files are"
    assert images is not None
    return [f"{images.folder}: {files} of no kind that is read, and left out: {kinds(others)} ({some(others)})"]


def label_images(folder: Path, class_of: dict[str, str], classes: list[str]) -> ImageFiles:
    """List the images of one folder, in the order of their names.

    Args:
        folder: that holds them.
        class_of: file name -> class.
        classes: all classes, sorted.
    """
    label_of = {name: label for label, name in enumerate(classes)}
    names = sorted(class_of)
    labels = torch.tensor([label_of[class_of[name]] for name in names], dtype=torch.int64)
    return ImageFiles(folder, np.array([os.fsencode(name) for name in names], np.bytes_), labels)


def held_in(folder: Path) -> str:
    """What a folder holds, in words."""
    if not folder.is_dir():
        return absent(folder)
    folders = folders_in(folder)
    files = sorted(path.name for path in folder.iterdir() if path.name not in folders)
    parts = [
        f"{len(names):,} {kind}{'s' if len(names) > 1 else ''} ({some(names)})"
        for kind, names in (("folder", folders), ("file", files))
        if names
    ]
    return f"{folder.absolute()} holds {' and '.join(parts) or 'nothing'}"


def some(names: Iterable[str]) -> str:
    """The first three names, and how many more there are."""
    names = list(names)
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


def without_later_kinds(images: ImageSet | None) -> ImageSet | None:
    """Images as version 0.1.0 listed them, whose runs go on with them: five kinds, right in the folder of a class."""
    if not isinstance(images, ImageFiles) or not len(images):
        return images
    depth = [name.count(b"/") for name in images.names.tolist()]
    known = [name.lower().endswith((b".jpeg", b".jpg", b".png", b".bmp", b".webp")) for name in images.names.tolist()]
    kept = [number for number in range(len(images)) if known[number] and depth[number] == min(depth)]
    return images.subset(torch.tensor(kept, dtype=torch.int64))
