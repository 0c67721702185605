"""Which files are images, by their names, and which of them lie in a folder; what is said where there is no folder."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from cnnlit.files import refuse_address

LEFT_BY_OTHERS = {"__MACOSX", "@eaDir", "lost+found", "Thumbs.db", "desktop.ini"}
"""What archivers and file systems leave behind; it is ignored, as are names that begin with a dot."""

NOT_DECODED = {"EPS", "MPEG", "IPTC"}
"""Formats that PIL knows by name: drawings for another program, films, metadata."""

LOSSY = {"JPEG", "MPO", "WEBP", "AVIF", "JPEG2000"}
"""Formats whose pixels may not be those that were stored."""


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
    "development kit or a list of synsets, Imagenette, Tiny ImageNet (val/val_annotations.txt), tar shards "
    "(train-00000.tar, or in train/ and val/) or parquet files (train-00000-of-00001.parquet)"
)

ROOTED = {
    "cnnlit.data.image_folders.ImageFolder": "folder",
    "cnnlit.data.image_folders.ImageNet": "imagenet",
    "cnnlit.data.images_in_memory.TinyImageNet": "tiny_imagenet",
}
"""Data whose root has to be there when a run begins, by their class: keys of SOUGHT."""


class FoundFiles(NamedTuple):
    """The files in a folder and all folders below it, hidden ones not included; paths relative to it."""

    images: list[str]
    """In the order of torchvision's ImageFolder: sorted, those of a folder before those of the folders in it."""
    others: list[str]
    """Files of no kind that is read."""


@cache
def image_formats() -> dict[str, str]:
    """The format of each suffix of image files that PIL can decode here: `.jfif` -> `JPEG`."""
    from PIL import Image  # takes long to import, and --help comes by here

    Image.init()
    return {suffix: name for suffix, name in Image.registered_extensions().items() if _decodes(name)}


def is_image(name: str) -> bool:
    """Whether a file is called as images are."""
    return os.path.splitext(name)[1].lower() in image_formats()


def is_lossy(name: str) -> bool:
    """Whether an image was compressed with a loss, by its suffix."""
    return image_formats().get(os.path.splitext(name)[1].lower()) in LOSSY


def is_passed_over(name: str) -> bool:
    """Whether a file or folder is hidden, or was left behind by another program."""
    return name.startswith(".") or name in LEFT_BY_OTHERS


def is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether it is a folder or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def files_below(folder: Path) -> FoundFiles:
    """All files in a folder and below it; links are followed, but not back to where they come from.

    A folder or a broken link that is named like an image is listed too: it is reported when it is opened, where leaving
    it out here would go unnoticed.
    """
    images: list[str] = []
    others: list[str] = []
    real = os.path.realpath(folder)
    for name, known in _walk(str(folder), "", real, frozenset(map(str, [real, *Path(real).parents]))):
        (images if known else others).append(name)
    return FoundFiles(images, others)


def kinds(names: Iterable[str]) -> str:
    """Files counted by their suffixes: `8 .heic, 1 without a suffix`."""
    counted = Counter(os.path.splitext(name)[1].lower() or "without a suffix" for name in names)
    return ", ".join(f"{count:,} {kind}" for kind, count in counted.most_common())


def _walk(folder: str, prefix: str, real: str, above: frozenset[str]) -> Iterator[tuple[str, bool]]:
    """Each file's path below the first folder, and whether it is called as images are."""
    with os.scandir(folder) as entries:
        ordered = sorted((entry for entry in entries if not is_passed_over(entry.name)), key=lambda entry: entry.name)
    inside = []
    for entry in ordered:
        if known := is_image(entry.name):
            yield prefix + entry.name, known
        elif is_folder(entry):
            inside.append(entry)
        else:
            yield prefix + entry.name, known
    for entry in inside:
        place = os.path.realpath(entry.path) if entry.is_symlink() else os.path.join(real, entry.name)
        if place not in above:
            yield from _walk(entry.path, f"{prefix}{entry.name}/", place, above | {place})


def _decodes(name: str) -> bool:
    from PIL import Image, ImageFile, features

    if name not in Image.OPEN or name in NOT_DECODED or (name == "AVIF" and not features.check("avif")):
        return False
    opened = Image.OPEN[name][0]
    return not (isinstance(opened, type) and issubclass(opened, ImageFile.StubImageFile))


def check_root(data: Mapping[str, Any], words: Iterable[str]) -> None:
    """Refuse a root that is no folder, before the classes that would look into it are imported.

    Args:
        data: their node.
        words: the overrides of the command line.

    Raises:
        FileNotFoundError: one line.
        ValueError: for a root of images that are in no folder.
    """
    root_typed = next((word for word in words if word.startswith("data.root=")), None)
    if root_typed and data.get("source") == "sklearn":
        raise ValueError(f"{root_typed}: scikit-learn brings these digits along, in no folder; data=mnist reads one")
    source = ROOTED.get(str(data.get("_target_")))
    if source is None or data.get("labels") or "://" in str(data["root"]):
        return
    root = Path(data["root"]).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"{absent(root)}; expected {EXPECTED}; {SOUGHT[source].obtain}")


def absent(folder: Path) -> str:
    """That something is no folder, in words."""
    place = folder.absolute()
    return f"{place} is a file, not a folder" if folder.exists() else f"there is no folder {place}"


class Given(NamedTuple):
    """Images that somebody named."""

    files: list[str]
    remarks: list[str]
    """About files beside them that are of no kind that is read; a sentence for each folder."""


def find_given(places: Iterable[str]) -> Given:
    """The named image files, and all images in named folders, sorted folder by folder.

    Raises:
        FileNotFoundError: for a place that does not exist, or a folder without an image.
    """
    files: list[str] = []
    remarks: list[str] = []
    for named in places:
        refuse_address("images", named)
        place = Path(named)
        if not place.exists():
            raise FileNotFoundError(f"images={place}: there is no such file or folder")
        if not place.is_dir():
            files.append(str(place))
            continue
        found = files_below(place)
        if not found.images:
            beside = f", but {kinds(found.others)}, which are not read" if found.others else ""
            raise FileNotFoundError(f"images={place}: holds no image{beside}")
        files += map(str, sorted(place / name for name in found.images))
        if found.others:
            remarks.append(f"images={place}: left out, as they are of no kind that is read: {kinds(found.others)}")
    return Given(files, remarks)
