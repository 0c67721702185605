"""Recognise how a set of images is laid out in a folder, or say what is there instead.

A layout is a function from a folder to a `Listing`, or to None if the folder is not laid out so; if it is, but damaged,
it is refused. `LAYOUTS` are tried in order.
"""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from cnnlit.data.sources.archives import unextracted
from cnnlit.data.sources.class_names import IMAGENETTE, class_names
from cnnlit.data.sources.folders import (
    ImageFiles,
    Listing,
    class_folders,
    folders_in,
    images_in,
    label_images,
    list_images,
    some,
)
from cnnlit.data.sources.validation_labels import Labels, find_kit, find_labels
from cnnlit.data.stores.store import find_prepared


class Sought(NamedTuple):
    """A set of images that is looked for."""

    below: tuple[str, ...]
    """Patterns of folders below the root that may hold it."""
    obtain: str
    """How to obtain it."""


SOUGHT: dict[str, Sought] = {
    "imagenet": Sought(
        # But not imagenette, which is another set.
        ("imagenet", "imagenet[!t]*", "ImageNet*", "ILSVRC*"),
        "image-net.org and kaggle.com/c/imagenet-object-localization-challenge give ImageNet out to who registers: put "
        "their files there, or point data.root to them; without an account data=imagenette downloads ten of its "
        "classes, and data=synthetic needs nothing",
    ),
    "imagenette": Sought(
        ("imagenette*",), "training with data=imagenette downloads it to there; data=synthetic needs nothing"
    ),
    "tiny_imagenet": Sought(
        ("tiny-imagenet*",),
        "unpack cs231n.stanford.edu/tiny-imagenet-200.zip (237 MB) there, or point data.root to it; "
        "data=imagenette downloads ten classes of ImageNet, data=synthetic needs nothing",
    ),
    "folder": Sought(
        (), "point data.root to your images; data=imagenette downloads some, data=synthetic needs nothing"
    ),
}

EXPECTED = (
    "class folders (train/<class>/*.JPEG and val/<class>/*.JPEG, or <class>/*.JPEG to be split), the official "
    "ILSVRC2012_img_train.tar and _val.tar, Kaggle's ILSVRC/Data/CLS-LOC, a flat validation folder with the "
    "development kit or a list of synsets, Imagenette, or Tiny ImageNet (val/val_annotations.txt)"
)

INSIDE = ("", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "CLS-LOC")
"""Where the images may be in a folder: in itself, or where Kaggle's archive has them."""

SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}
"""Names of folders that are parts of a set, never classes."""


def find_images(root: str | Path, source: str = "imagenet") -> Listing:
    """Images and their classes, from a folder of any known layout.

    Args:
        root: the folder that holds them, or one with a folder named after the set that does.
        source: a key of SOUGHT, which says where else to look, and what to advise if nothing is found.

    Raises:
        FileNotFoundError: if nothing is recognised; says what was found, what is expected, and how to obtain it.
        ValueError: if what is recognised is incomplete or contradicts itself.
    """
    folders = places(root, source)
    for layout, folder in product(LAYOUTS, folders):
        listing = layout(folder)
        if listing is not None:
            return listing
    for folder in folders:
        if archives := unextracted(folder):
            raise FileNotFoundError(
                f"{folder} holds {some(path.name for path in archives.values())}, which are not extracted yet: "
                "training does so, beside them"
            )
    raise FileNotFoundError(f"{_found(Path(root))}; expected {EXPECTED}; {SOUGHT[source].obtain}")


def places(root: str | Path, source: str) -> list[Path]:
    """The folders in which to look for a set: the root, and those below it that are named after the set."""
    root = Path(root).expanduser().absolute()
    patterns = SOUGHT[source].below if root.is_dir() else ()
    below = [folder for pattern in patterns for folder in sorted(root.glob(pattern)) if folder.is_dir()]
    return [folder for each in dict.fromkeys([root, *below]) for name in INSIDE if (folder := each / name).is_dir()]


def tiny_imagenet(folder: Path) -> Listing | None:
    """Tiny ImageNet: train/<wnid>/images/*.JPEG, val/images/*.JPEG and val/val_annotations.txt."""
    annotations = folder / "val" / "val_annotations.txt"
    if not ((folder / "train").is_dir() and (folder / "val" / "images").is_dir() and annotations.is_file()):
        return None
    classes = _training_classes(folder / "train")
    train = list_images(folder / "train", ((name, f"{name}/images") for name in classes))
    # Lines of a name, a class and a box, separated by tabs.
    rows = [line.split("\t")[:2] for line in annotations.read_text().splitlines() if line.strip()]
    for row in rows:
        if len(row) != 2 or row[1] not in classes:
            raise ValueError(f"{annotations}: {' '.join(row)} names no class of the training set")
    class_of: dict[str, str] = dict(rows)
    images = set(images_in(folder / "val" / "images"))
    if missing := sorted(class_of.keys() - images):
        raise ValueError(f"{folder / 'val' / 'images'} lacks {some(missing)}, which val_annotations.txt names")
    if unnamed := sorted(images - class_of.keys()):
        raise ValueError(f"{annotations} tells no class of {some(unnamed)}; move them away, or complete it")
    test = label_images(folder / "val" / "images", class_of, classes)
    return Listing("Tiny ImageNet", train, test, classes, class_names(classes, [folder]))


def train_and_validation(folder: Path) -> Listing | None:
    """Class folders in train/; a validation set in class folders, or with labels elsewhere, or none."""
    if not (folder / "train").is_dir():
        return None
    classes = _training_classes(folder / "train")
    train = list_images(folder / "train", ((name, name) for name in classes))
    held = _validation_folder(folder)
    layout = "Kaggle" if folder.name == "CLS-LOC" else "class folders"
    test: ImageFiles | None = None
    known: dict[str, str] = {}
    if held is None:
        archives = unextracted(folder)
        if "val" in archives:
            raise FileNotFoundError(f"{archives['val']} is not extracted yet: training does so, beside it")
    elif others := class_folders(held):
        _agree(folder, classes, others, held.name)
        test = list_images(held, ((name, name) for name in others))
    else:
        labels = _labels_of(held)
        _agree(folder, classes, sorted(set(labels.class_of.values())), held.name)
        test, known = label_images(held, labels.class_of, classes), labels.names
        layout = labels.layout if layout == "class folders" else layout
    above = _above(folder)
    known = known or next((kit.names for each in above if (kit := find_kit(each))), {})
    if (folder / "noisy_imagenette.csv").is_file() or set(classes) == IMAGENETTE.keys():
        layout = "Imagenette"
    return Listing(layout, train, test, classes, class_names(classes, above, known))


def one_folder(folder: Path) -> Listing | None:
    """<class>/*.JPEG, without a validation set."""
    classes = folders_in(folder)
    if len(classes) < 2 or not SPLITS.isdisjoint(name.lower() for name in classes):
        return None
    if 2 * sum(bool(images_in(folder / name)) for name in classes) <= len(classes):
        return None
    files = list_images(folder, ((name, name) for name in class_folders(folder)))
    return Listing("class folders", files, None, classes, class_names(classes, [folder, folder.parent]))


def validation_alone(folder: Path) -> Listing | None:
    """Validation images alone, to test with: in class folders, or in one folder with labels elsewhere."""
    if "train" in unextracted(folder):
        return None
    none = ImageFiles(folder, np.array([], np.bytes_), torch.empty(0, dtype=torch.int64))
    for held in (folder, folder / "val", folder / "validation", folder / "ILSVRC2012_img_val"):
        if not held.is_dir():
            continue
        above = [held, *_above(held.parent)]
        if held != folder and (classes := class_folders(held)):
            test = list_images(held, ((name, name) for name in classes))
            return Listing("class folders", none, test, classes, class_names(classes, above))
        if images_in(held) and not folders_in(held):
            labels = _labels_of(held)
            classes = sorted(set(labels.class_of.values()))
            test = label_images(held, labels.class_of, classes)
            return Listing(labels.layout, none, test, classes, class_names(classes, above, labels.names))
    return None


LAYOUTS: tuple[Callable[[Path], Listing | None], ...] = (
    find_prepared,
    tiny_imagenet,
    train_and_validation,
    one_folder,
    validation_alone,
)


def _training_classes(train: Path) -> list[str]:
    classes = class_folders(train)
    if not classes:
        raise ValueError(f"{train} has no class folders: {_found(train)}")
    return classes


def _validation_folder(folder: Path) -> Path | None:
    """The folder of the validation set; a test set will do if it has class folders, which ImageNet's has not."""
    found = [folder / name for name in ("val", "validation") if (folder / name).is_dir()]
    if len(found) > 1:
        raise ValueError(f"{folder} has both val and validation; move one away")
    test = folder / "test"
    return found[0] if found else test if test.is_dir() and folders_in(test) else None


def _labels_of(held: Path) -> Labels:
    names = images_in(held)
    if not names:
        raise ValueError(f"{held} holds neither class folders nor images: {_found(held)}")
    return find_labels(held, names, [held, *_above(held.parent)])


def _above(folder: Path) -> list[Path]:
    """The folder, and for Kaggle's CLS-LOC those above it, where its lists are."""
    return [folder, *(folder.absolute().parents[:3] if folder.name == "CLS-LOC" else ())]


def _agree(folder: Path, classes: list[str], others: list[str], name: str) -> None:
    """Refuse training and validation sets whose classes differ."""
    alone = sorted(set(classes) ^ set(others))
    if alone:
        raise ValueError(
            f"{folder}: train has {len(classes)} classes and {name} {len(others)}; in one alone: {some(alone)}"
        )


def _found(folder: Path) -> str:
    """What a folder holds, in words."""
    if not folder.is_dir():
        return f"there is no folder {folder.absolute()}"
    folders = folders_in(folder)
    files = sorted(path.name for path in folder.iterdir() if path.name not in folders)
    parts = [
        f"{len(names):,} {kind}{'s' if len(names) > 1 else ''} ({some(names)})"
        for kind, names in (("folder", folders), ("file", files))
        if names
    ]
    return f"{folder.absolute()} holds {' and '.join(parts) or 'nothing'}"
