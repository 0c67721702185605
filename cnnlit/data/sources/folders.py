"""ImageSet in folders: where they lie, which class each is of, and what the classes are called."""

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

from cnnlit.data.loading.decoding import DecodableImage, open_picture
from cnnlit.data.loading.image_set import ImageSet

SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".webp")
WNID = re.compile(r"n\d{8}")
"""A WordNet id, as ImageNet and its relatives name their classes."""

LEFT_BY_OTHERS = {"__MACOSX", "@eaDir", "lost+found"}
"""Folders that archivers and disks leave everywhere; what begins with a dot is passed over too."""


@dataclass(frozen=True)
class ImageFiles:
    """ImageSet that are files of their own. See ImageSet."""

    folder: Path
    names: NDArray[np.bytes_]
    """[N], paths below the folder. An array, for a list of a million strings costs each worker its own copy."""
    labels: Tensor
    """int64 [N]."""

    def __len__(self) -> int:
        return len(self.names)

    def path(self, index: int) -> str:
        return os.path.join(self.folder, os.fsdecode(self.names[index]))

    def open(self, index: int) -> DecodableImage:
        return open_picture(self.path(index))

    def subset(self, indices: Tensor) -> "ImageFiles":
        return ImageFiles(self.folder, self.names[indices.numpy()], self.labels[indices])


class Listing(NamedTuple):
    """A set of images as it was found."""

    layout: str
    """How it lies on the disk, in a few words: `class folders`, `Kaggle`."""
    train: ImageSet
    """Empty where there is a validation set alone."""
    test: ImageSet | None
    """The official validation set: the test sets' labels were never published. None where a set has no such part."""
    classes: list[str]
    """The id of each class, sorted: the label is the place."""
    class_names: list[str]


def folders_in(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted, without hidden ones; links to folders count."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if _is_folder(entry) and not _is_passed_over(entry.name))


def images_in(folder: Path) -> list[str]:
    """Names in a folder that are those of images, sorted, without hidden ones.

    What is named so and is none, a folder or a broken link, is found when it is opened, and is not passed over here:
    it would be missing without a word.
    """
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    return sorted(name for name in names if name.lower().endswith(SUFFIXES) and not _is_passed_over(name))


def class_folders(folder: Path) -> list[str]:
    """The classes that are folders in a folder, sorted.

    Raises:
        ValueError: if images lie beside them, which have no class then.
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
    """All images of classes, class by class.

    Args:
        folder: that the names of files are given below.
        places: of each class, in the order of its label, its name and its folder below `folder`.

    Raises:
        ValueError: if a class has no images.
    """
    names: list[bytes] = []
    counts: list[int] = []
    for name, place in places:
        found = images_in(folder / place) if (folder / place).is_dir() else []
        if not found:
            raise ValueError(f"{folder / place} holds no images of class {name} ({' '.join(SUFFIXES)})")
        names += [os.fsencode(f"{place}/{image}") for image in found]
        counts.append(len(found))
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts, dtype=torch.int64))
    return ImageFiles(folder, np.array(names, np.bytes_), labels)


def label_images(folder: Path, class_of: dict[str, str], classes: list[str]) -> ImageFiles:
    """ImageSet that lie in one folder, in the order of their names.

    Args:
        folder: that holds them.
        class_of: the class of each, by the file's name.
        classes: sorted; all of `class_of` are among them.
    """
    label_of = {name: label for label, name in enumerate(classes)}
    names = sorted(class_of)
    labels = torch.tensor([label_of[class_of[name]] for name in names], dtype=torch.int64)
    return ImageFiles(folder, np.array([os.fsencode(name) for name in names], np.bytes_), labels)


def some(names: Iterable[str]) -> str:
    """The first of them, and how many more there are."""
    names = list(names)
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_passed_over(name: str) -> bool:
    return name.startswith(".") or name in LEFT_BY_OTHERS
