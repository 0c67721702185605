"""The samples of a shard as WebDataset has them: members that differ in their suffix alone, an image and its class.

Source: github.com/webdataset/webdataset, whose samples are named up to the first dot of a file's name.
"""

import json
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from cnnlit.data.shards.tar_members import WINDOW, HeaderBlocks, Member, Read, members
from cnnlit.data.sources.folders import WNID
from cnnlit.data.sources.found_files import is_image, is_passed_over

JSON_KEYS = ("label", "cls", "class", "class_id", "class_label", "target")
"""Where the class of an image is in its .json, the first that is there."""


class Sample(NamedTuple):
    """An image in a shard."""

    name: str
    """In a tar file its path, in others the one that is told of it."""
    place: int
    """In bytes, or the number of its row."""
    length: int
    """In bytes, or that of its group of rows."""
    label: str
    """Its class as it is written there: a number, an id or a name."""
    wnid: str | None = None
    """The WordNet id that its name begins with."""


class _Found(NamedTuple):
    image: Member | None
    label: str | None


def tar_samples(read: Read, window_bytes: int = WINDOW) -> Iterator[Sample]:
    """All images of a tar file that have a class: in a .cls beside them, in a .json, or in their own name.

    Args:
        read: of the tar file.
        window_bytes: that are read at a time.

    Raises:
        ValueError: what is wrong with it, as the end of a sentence about it.
    """
    window = HeaderBlocks(read, window_bytes)
    key, found = "", _Found(None, None)
    for member in members(window):
        folder, slash, name = member.name.rpartition("/")
        stem, _, suffix = name.partition(".")
        if not stem or is_passed_over(name):
            continue
        if (its := folder + slash + stem if slash else stem) != key:
            yield from _sample(key, found)
            key, found = its, _Found(None, None)
        found = _with(found, member, suffix.lower(), window)
    yield from _sample(key, found)


def _with(found: _Found, member: Member, suffix: str, read: Read) -> _Found:
    if suffix == "cls":
        return _Found(found.image, _written(read(member.offset, member.length)))
    if suffix == "json" and found.label is None:
        return _Found(found.image, _in_json(read(member.offset, member.length), member.name))
    if not _is_picture(suffix):
        return found
    if found.image is not None:
        raise ValueError(f"holds two images of one sample, {found.image.name} and {member.name}")
    return _Found(member, found.label)


@cache
def _is_picture(suffix: str) -> bool:
    """Whether a suffix is one that images have: of `mask.png` only the last part is."""
    return "." not in suffix and is_image(f"a.{suffix}")


def _sample(key: str, found: _Found) -> Iterator[Sample]:
    """The sample, if it has an image."""
    if found.image is None:
        return
    folder, _, name = key.rpartition("/")
    wnid = name[:9] if WNID.match(name) else None
    label = found.label or folder.rpartition("/")[2] or wnid
    if not label:
        raise ValueError(f"tells no class of {found.image.name}: neither a .cls, a .json's label, nor a folder has it")
    yield Sample(*found.image, label, wnid)


def _written(content: bytes) -> str:
    return content.decode("utf-8", "replace").strip()


def _in_json(content: bytes, name: str) -> str | None:
    try:
        told = json.loads(content)
    except ValueError:
        raise ValueError(f"holds {name}, which is no JSON") from None
    label = next((told[key] for key in JSON_KEYS if key in told), None) if isinstance(told, dict) else None
    return None if label is None else str(label)
