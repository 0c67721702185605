"""Images that are in a set twice, to the byte: in a part that is trained on, and in one that is tested."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from typing import NamedTuple

import torch

from cnnlit.data.loading.image_set import ImageSet, Relabelled
from cnnlit.data.shards.sharded_images import ShardedImages
from cnnlit.data.stores.store import StoredImages
from cnnlit.data.transforms.random_numbers import generator
from cnnlit.files import progress

MISSING = -1
"""The size of a file that is not there."""


class Twins(NamedTuple):
    """One image in two places."""

    held: str
    """In the part that is held against the other."""
    other: str


class _Place(NamedTuple):
    part: str
    number: int


def twins(parts: Mapping[str, ImageSet], *, within: bool, most: int | None) -> list[Twins]:
    """Images that two parts share, or that one part has twice.

    Sizes are compared first, and the content of those alone that agree in size.

    Args:
        parts: `train` and what is validated and tested with, by name.
        within: whether images to test with will be held out of `train`, where two that are alike would be parted.
        most: how many images of each part to look for in the others, chosen at random; None for all.
    """
    sizes = {part: _sizes(images) for part, images in parts.items()}
    of_size: dict[Hashable, list[_Place]] = defaultdict(list)
    for part, its in sizes.items():
        for number, size in enumerate(its):
            of_size[size].append(_Place(part, number))
    by_content: dict[Hashable, dict[bytes, list[_Place]]] = {}
    found: dict[frozenset[_Place], Twins] = {}
    asked = list(_asked(sizes, within, most))
    for held in progress(asked, "looking for twins", len(asked)):
        size = sizes[held.part][held.number]
        if size == MISSING or len(of_size[size]) == 1:
            continue
        if size not in by_content:
            by_content[size] = _by_content(parts, of_size[size])
        for alike in (each for each in by_content[size].values() if held in each):
            for other in alike:
                if other.part != held.part or (within and held.part == "train" and other != held):
                    both = (parts[each.part].path(each.number) for each in (held, other))
                    found.setdefault(frozenset((held, other)), Twins(*both))
    return list(found.values())


def _asked(sizes: Mapping[str, list[Hashable]], within: bool, most: int | None) -> Iterable[_Place]:
    """The images to look for: those that are tested, and training images where some of these will be."""
    for part, its in sizes.items():
        if part == "train" and not within:
            continue
        count = len(its) if most is None else min(most, len(its))
        chosen = torch.randperm(len(its), generator=generator(0))[:count].sort().values
        yield from (_Place(part, number) for number in chosen.tolist())


def _by_content(parts: Mapping[str, ImageSet], places: Iterable[_Place]) -> dict[bytes, list[_Place]]:
    alike: dict[bytes, list[_Place]] = defaultdict(list)
    for place in places:
        alike[hashlib.sha256(_content(parts[place.part], place.number)).digest()].append(place)
    return {digest: each for digest, each in alike.items() if len(each) > 1}


def tells_sizes(images: ImageSet) -> bool:
    """Whether images need not be read for it."""
    if isinstance(images, Relabelled):
        return tells_sizes(images.images)
    return not isinstance(images, ShardedImages) or images.sums is not None


def _sizes(images: ImageSet) -> list[Hashable]:
    """In bytes; of an image in a store, with its checksum, for all of a raw one have one size."""
    if isinstance(images, Relabelled):
        return _sizes(images.images)
    if isinstance(images, StoredImages | ShardedImages):
        return images.sums or [
            len(_content(images, each)) for each in progress(range(len(images)), "sizes", len(images))
        ]
    return [_size(images.path(number)) for number in progress(range(len(images)), "sizes", len(images))]


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return MISSING


def _content(images: ImageSet, number: int) -> bytes:
    if isinstance(images, Relabelled):
        return _content(images.images, number)
    try:
        if isinstance(images, StoredImages | ShardedImages):
            return images.content(number)
        with open(images.path(number), "rb") as file:
            return file.read()
    except (OSError, ValueError):
        return os.fsencode(images.path(number))  # like no other
