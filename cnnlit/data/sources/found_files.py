"""Which files are images, by their names, and which of them lie in a folder."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageFile, features

from cnnlit.files import refuse_address

LEFT_BY_OTHERS = {"__MACOSX", "@eaDir", "lost+found", "Thumbs.db", "desktop.ini"}
"""What archivers and file systems leave behind; it is ignored, as are names that begin with a dot."""

NOT_DECODED = {"EPS", "MPEG", "IPTC"}
"""Formats that PIL knows by name: drawings for another program, films, metadata."""

LOSSY = {"JPEG", "MPO", "WEBP", "AVIF", "JPEG2000"}
"""Formats whose pixels may not be those that were stored."""


class FoundFiles(NamedTuple):
    """The files in a folder and all folders below it, hidden ones not included; paths relative to it."""

    images: list[str]
    """In the order of torchvision's ImageFolder: sorted, those of a folder before those of the folders in it."""
    others: list[str]
    """Files of no kind that is read."""


@cache
def image_formats() -> dict[str, str]:
    """The format of each suffix of image files that PIL can decode here: `.jfif` -> `JPEG`."""
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
    if name not in Image.OPEN or name in NOT_DECODED or (name == "AVIF" and not features.check("avif")):
        return False
    opened = Image.OPEN[name][0]
    return not (isinstance(opened, type) and issubclass(opened, ImageFile.StubImageFile))


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
