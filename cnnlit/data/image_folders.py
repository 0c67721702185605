"""Where the pictures of a set lie, which class each is of, and what the classes are called.

A layout is a function from a folder to `Listing`; what reads the pictures knows nothing of layouts.
"""

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

SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".webp")
WNID = re.compile(r"n\d{8}")
"""A WordNet id, as ImageNet and its relatives name their classes."""


@dataclass(frozen=True)
class Files:
    """Pictures and their classes, in an order that never changes."""

    folder: Path
    names: NDArray[np.bytes_]
    """[N], paths below the folder. An array, for a list of a million strings costs each worker its own copy."""
    labels: Tensor
    """int64 [N]."""

    def __len__(self) -> int:
        return len(self.names)

    def path(self, index: int) -> str:
        return os.path.join(self.folder, os.fsdecode(self.names[index]))

    def subset(self, indices: Tensor) -> "Files":
        return Files(self.folder, self.names[indices.numpy()], self.labels[indices])


class Listing(NamedTuple):
    """A set of pictures as it was found."""

    train: Files
    test: Files
    """The official validation set: the test sets' labels were never published."""
    classes: list[str]
    """The id of each class, sorted: the label is the place."""
    class_names: list[str]


def list_class_folders(root: str | Path) -> Listing:
    """ImageNet as class folders: train/<class>/*.JPEG and val/<class>/*.JPEG.

    Args:
        root: the folder that holds train and val, or one whose imagenet*, ILSVRC* or `*/CLS-LOC` does.

    Raises:
        FileNotFoundError: if there is none; says what was looked for and where, and what there is instead.
        ValueError: if training and validation have other classes, or none.
    """
    wanted = ("train", "val")
    folder = _find(root, wanted, below=("imagenet*", "ILSVRC*", "ILSVRC*/Data/CLS-LOC"))
    if folder is None:
        raise FileNotFoundError(
            f"ImageNet's class folders train/<class>/*.JPEG and val/<class>/*.JPEG not in {Path(root).absolute()} or "
            "an imagenet* or ILSVRC* in it; image-net.org gives them out for research, after registration: sort both "
            "archives into folders by class and point data.root there; data=synthetic needs nothing"
        )
    classes = sorted(_folders(folder / "train"))
    others = sorted(_folders(folder / "val"))
    if not classes:
        raise ValueError(f"{folder / 'train'} has no class folders")
    if classes != others:
        alone = sorted(set(classes) ^ set(others))
        raise ValueError(
            f"{folder}: train has {len(classes)} classes and val {len(others)}; in one alone: {_some(alone)}"
        )
    train, test = (_files(folder / split, ((name, name) for name in classes), classes) for split in wanted)
    return Listing(train, test, classes, _names(folder, classes))


def list_tiny_imagenet(root: str | Path) -> Listing:
    """Tiny ImageNet in its own layout: train/<wnid>/images/*.JPEG, val/images and val/val_annotations.txt.

    Args:
        root: the folder that holds train and val, or one whose tiny-imagenet-* does.

    Raises:
        FileNotFoundError: if there is none; says what was looked for and where.
        ValueError: if an annotation names a class without training images, or a picture that is not there.
    """
    folder = _find(root, ("train", "val/images", "val/val_annotations.txt"), below=("tiny-imagenet-*",))
    if folder is None:
        raise FileNotFoundError(
            "Tiny ImageNet's train/<wnid>/images and val/val_annotations.txt not in "
            f"{Path(root).absolute()} or a tiny-imagenet-* in it; unpack cs231n.stanford.edu/tiny-imagenet-200.zip "
            "(237 MB) there, or point data.root to it; data=synthetic needs nothing"
        )
    classes = sorted(_folders(folder / "train"))
    if not classes:
        raise ValueError(f"{folder / 'train'} has no class folders")
    train = _files(folder / "train", ((name, f"{name}/images") for name in classes), classes)
    return Listing(train, _annotated(folder / "val", classes), classes, _names(folder, classes))


def _annotated(folder: Path, classes: list[str]) -> Files:
    """Pictures that lie in one folder, their classes in a file beside it: name, class, and a box, by tabulators."""
    label_of = {name: label for label, name in enumerate(classes)}
    lines = (folder / "val_annotations.txt").read_text().splitlines()
    rows = sorted(line.split("\t")[:2] for line in lines if line.strip())
    for row in rows:
        if len(row) != 2 or row[1] not in label_of:
            raise ValueError(f"{folder / 'val_annotations.txt'}: {' '.join(row)} names no class of the training set")
    missing = sorted({name for name, _ in rows} - set(_pictures(folder / "images")))
    if missing:
        raise ValueError(f"{folder / 'images'} lacks {_some(missing)}, which val_annotations.txt names")
    labels = torch.tensor([label_of[name] for _, name in rows], dtype=torch.int64)
    return Files(folder / "images", np.array([os.fsencode(name) for name, _ in rows], np.bytes_), labels)


def _find(root: str | Path, wanted: Iterable[str], below: Iterable[str]) -> Path | None:
    """The root, or else the first folder below it by pattern, that holds everything wanted."""
    candidates = [Path(root), *(folder for pattern in below for folder in sorted(Path(root).glob(pattern)))]
    return next((folder for folder in candidates if all((folder / name).exists() for name in wanted)), None)


def _folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]


def _pictures(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if entry.name.lower().endswith(SUFFIXES)]


def _files(folder: Path, places: Iterable[tuple[str, str]], classes: list[str]) -> Files:
    """All pictures in `places`, pairs of a class and its folder below `folder`, sorted."""
    names: list[bytes] = []
    counts = []
    for name, place in places:
        found = sorted(_pictures(folder / place)) if (folder / place).is_dir() else []
        if not found:
            raise ValueError(f"{folder / place} holds no pictures of class {name} ({' '.join(SUFFIXES)})")
        names += [os.fsencode(f"{place}/{picture}") for picture in found]
        counts.append(len(found))
    labels = torch.repeat_interleave(torch.arange(len(classes)), torch.tensor(counts))
    return Files(folder, np.array(names, np.bytes_), labels)


def _names(folder: Path, classes: list[str]) -> list[str]:
    """What the classes are called: the first word for each in words.txt, or ImageNet's own thousand, or their ids."""
    if (folder / "words.txt").is_file():
        pairs = (line.split("\t", 1) for line in (folder / "words.txt").read_text().splitlines() if "\t" in line)
        words = {wnid: synonyms.split(",")[0].strip() for wnid, synonyms in pairs}
        return [words.get(wnid, wnid) for wnid in classes]
    if len(classes) == 1000 and all(WNID.fullmatch(name) for name in classes):
        from torchvision.models import AlexNet_Weights

        return list(AlexNet_Weights.IMAGENET1K_V1.meta["categories"])
    return classes


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
