"""The images of a run, listed in its folder: whoever resumes it is told if they are others now."""

import csv
import gzip
import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cnnlit.data.sources.folders import Listing, some
from cnnlit.files import write_whole

LISTING = "images.csv.gz"
"""In the folder of a run: part, class and name of each image."""


class ListedImage(NamedTuple):
    """An image, as far as its label and its place in the order of a set depend on it."""

    part: str
    """`train`, `val` or `test`, as the set has it."""
    id: str
    """Of its class."""
    name: str
    """Its path below the folder of its part."""


def listed(listing: Listing) -> Iterable[ListedImage]:
    """All images of a set, in their order."""
    for part in ("train", "val", "test"):
        images = getattr(listing, part)
        if images is not None:
            names = (name.decode(errors="surrogateescape") for name in images.names.tolist())
            yield from map(
                ListedImage, [part] * len(images), map(listing.classes.__getitem__, images.labels.tolist()), names
            )


def write_listing(folder: Path, images: Iterable[ListedImage]) -> None:
    """Keep the images of a run in its folder, if there are any."""
    if text := _text(images):
        write_whole(folder / LISTING, gzip.compress(text.encode(errors="surrogateescape"), 6, mtime=0))


def changes(folder: Path, images: Iterable[ListedImage]) -> str | None:
    """What is no longer as the folder of a run has it, in words; None if nothing is, or no image is listed.

    Args:
        folder: of the run, which has a LISTING.
        images: as they are now.
    """
    kept = gzip.decompress((folder / LISTING).read_bytes()).decode(errors="surrogateescape")
    if (text := _text(images)) in ("", kept):
        return None
    before, now = _rows(kept), _rows(text)
    gone, new = (_without(one, other) for one, other in ((before, now), (now, before)))
    classes = [{each.id for each in some_images} for some_images in (before, now)]
    return (
        "; ".join(
            [
                *_said("class", sorted(classes[0] - classes[1]), "gone"),
                *_said("class", sorted(classes[1] - classes[0]), "new"),
                *_said("file", [_place(each) for each in gone if each.id in classes[1]], "gone"),
                *_said("file", [_place(each) for each in new if each.id in classes[0]], "new"),
            ]
        )
        or "their order is another"
    )


def _text(images: Iterable[ListedImage]) -> str:
    """A line for each image; a list of them would take five times the memory."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(images)
    return text.getvalue()


def _rows(text: str) -> list[ListedImage]:
    return [ListedImage(*row) for row in csv.reader(io.StringIO(text, newline=""))]


def _without(images: list[ListedImage], others: list[ListedImage]) -> list[ListedImage]:
    known = set(others)
    return [each for each in images if each not in known]


def _place(image: ListedImage) -> str:
    return f"{image.part}/{image.name}"


def _said(what: str, names: list[str], how: str) -> list[str]:
    plural = {"class": "classes", "file": "files"}[what] if len(names) != 1 else what
    return [f"{len(names):,} {plural} {how} ({some(names)})"] if names else []
