"""Sets in class folders: parts to train on, to validate and to test with, or images of each class alone."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from cnnlit.data.sources.archives import unextracted
from cnnlit.data.sources.class_names import IMAGENETTE, IMAGEWOOF, class_names
from cnnlit.data.sources.folders import (
    ImageFiles,
    Listing,
    class_folders,
    folders_in,
    held_in,
    images_in,
    label_images,
    list_images,
    some,
)
from cnnlit.data.sources.named_splits import AS_USUAL, NAMES, SPLITS, Named, find_parts, find_parts_of_0_1, remarks_on
from cnnlit.data.sources.validation_labels import Labels, find_kit, find_labels


def train_and_validation(folder: Path, named: Named = AS_USUAL, *, as_0_1: bool = False) -> Listing | None:
    """Class folders to train on; sets to validate and test with in class folders, or with labels elsewhere, or none."""
    parts = find_parts_of_0_1(folder) if as_0_1 else find_parts(folder, named)
    if parts is None:
        return None
    classes = training_classes(parts.train)
    train = list_images(parts.train, ((name, name) for name in classes))
    if parts.test is None and "val" in (archives := unextracted(folder)):
        raise FileNotFoundError(f"{archives['val']} is not extracted yet: training does so, beside it")
    val, test = (_held(folder, place, classes) if place else None for place in (parts.val, parts.test))
    above = _above(folder)
    known = (test and test.names) or next((kit.names for each in above if (kit := find_kit(each))), {})
    return Listing(
        _layout(folder, classes, test),
        train,
        test and test.files,
        classes,
        class_names(classes, above, known),
        val and val.files,
        () if as_0_1 else remarks_on(folder, parts, classes),
    )


class Held(NamedTuple):
    """A set to validate or to test with."""

    files: ImageFiles
    layout: str
    names: dict[str, str]
    """Id of a class -> its name, as far as they are listed beside it."""


def _held(folder: Path, place: Path, classes: list[str]) -> Held:
    if others := class_folders(place):
        _agree(folder, classes, others, place.name)
        return Held(list_images(place, ((name, name) for name in others)), "class folders", {})
    labels = _labels_of(place)
    _agree(folder, classes, sorted(set(labels.class_of.values())), place.name)
    return Held(label_images(place, labels.class_of, classes), labels.layout, labels.names)


def _layout(folder: Path, classes: list[str], test: Held | None) -> str:
    if (folder / "noisy_imagenette.csv").is_file() or set(classes) == IMAGENETTE.keys():
        return "Imagenette"
    if set(classes) == IMAGEWOOF.keys():
        return "Imagewoof"
    if folder.name == "CLS-LOC":
        return "Kaggle"
    return test.layout if test else "class folders"


def one_folder(folder: Path) -> Listing | None:
    """<class>/*.JPEG, without a validation set."""
    classes = folders_in(folder)
    if len(classes) < 2 or not SPLITS.isdisjoint(name.lower() for name in classes):
        return None
    if 2 * sum(_holds_images(folder / name) for name in classes) <= len(classes):
        return None
    files = list_images(folder, ((name, name) for name in class_folders(folder)))
    return Listing("class folders", files, None, classes, class_names(classes, [folder, folder.parent]))


def validation_alone(folder: Path, named: Named = AS_USUAL) -> Listing | None:
    """Validation images alone, to test with: in class folders, or in one folder with labels elsewhere."""
    if "train" in unextracted(folder):
        return None
    none = ImageFiles(folder, np.array([], np.bytes_), torch.empty(0, dtype=torch.int64))
    for held in _places_to_test(folder, named):
        if not held.is_dir():
            continue
        above = [held, *_above(held.parent)]
        if (held != folder or named.test) and (classes := class_folders(held)):
            test = list_images(held, ((name, name) for name in classes))
            return Listing("class folders", none, test, classes, class_names(classes, above))
        if images_in(held) and not folders_in(held):
            labels = _labels_of(held)
            classes = sorted(set(labels.class_of.values()))
            test = label_images(held, labels.class_of, classes)
            return Listing(labels.layout, none, test, classes, class_names(classes, above, labels.names))
    return None


def _places_to_test(folder: Path, named: Named) -> Sequence[Path]:
    if named.test:
        return [folder / named.test]
    called = {name.lower(): name for name in folders_in(folder)}
    held = [folder / called[name] for name in (*NAMES["val"], *NAMES["test"]) if name in called]
    with_classes = [each for each in held if folders_in(each)]
    if len(with_classes) > 1:
        names = " and ".join(each.name for each in with_classes)
        raise ValueError(f"{folder} has {names}, and none to train on: data.test={with_classes[0].name} tests with one")
    return [folder, *(with_classes or held), folder / "ILSVRC2012_img_val"]


def training_classes(train: Path) -> list[str]:
    """The class folders to train on.

    Raises:
        ValueError: if there are none.
    """
    classes = class_folders(train)
    if not classes:
        raise ValueError(f"{train} has no class folders: {held_in(train)}")
    return classes


def _labels_of(held: Path) -> Labels:
    names = images_in(held)
    if not names:
        raise ValueError(f"{held} holds neither class folders nor images: {held_in(held)}")
    return find_labels(held, names, [held, *_above(held.parent)])


def _above(folder: Path) -> list[Path]:
    """The folder, and for Kaggle's CLS-LOC those above it, where its lists are."""
    return [folder, *(folder.absolute().parents[:3] if folder.name == "CLS-LOC" else ())]


def _holds_images(folder: Path) -> bool:
    """Whether there are images in a folder or in one below it; one of splits is a set, not a class."""
    inside = folders_in(folder)
    if not SPLITS.isdisjoint(name.lower() for name in inside):
        return False
    return bool(images_in(folder)) or any(images_in(folder / name) for name in inside)


def _agree(folder: Path, classes: list[str], others: list[str], name: str) -> None:
    """Refuse training and validation sets whose classes differ."""
    alone = sorted(set(classes) ^ set(others))
    if alike := [each for each in set(classes) - set(others) if _composed(each) in set(map(_composed, others))]:
        raise ValueError(
            f"{folder}: {some(alike)} of train and of {name} look alike and are written in other Unicode forms "
            f"({alike[0]!a} in train); rename one of them"
        )
    if alone:
        raise ValueError(
            f"{folder}: train has {len(classes)} classes and {name} {len(others)}; in one alone: {some(alone)}"
        )


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
