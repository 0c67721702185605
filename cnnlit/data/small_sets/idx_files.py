"""Sets in MNIST's file format: idx files, packed or not, and EMNIST's archive of them."""

import gzip
import hashlib
import lzma
import math
import zipfile
import zlib
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnnlit.data.small_sets.contents import Contents, Located, NotThisSetError, images
from cnnlit.data.small_sets.published import SETS, SmallSet

TYPES: dict[int, np.dtype[Any]] = {0x08: np.dtype(">u1"), 0x0B: np.dtype(">i2"), 0x0C: np.dtype(">i4")}
"""By the third byte of a file. Source: yann.lecun.com/exdb/mnist."""

ARCHIVES = ("gzip.zip", "emnist-gzip.zip")
"""Names of EMNIST's archive."""

SAME_MEAN = 0.004
"""The means of a set's training and test images differ by less than this, those of two sets by more."""


class IdxFile(NamedTuple):
    """A file of a set, found."""

    name: str
    """As it is published, unpacked."""
    path: Path
    """The file, or the archive that holds it."""
    packed: Callable[[], bytes]
    """Its bytes, as they are stored."""


def locate_idx(published: SmallSet, folder: Path) -> Located | None:
    """The four files of a set in a folder; None unless all are there."""
    found = find_idx(published, [folder])
    if not found:
        return None
    where = found[0].path if len({file.path for file in found}) == 1 else folder
    form = "idx files" + (", in an archive" if where.is_file() else "")
    contents = cache(lambda: [(file, file.packed()) for file in found])
    return Located(
        form,
        where,
        read=lambda: _read(contents(), published),
        verified=lambda: _verified(contents(), published),
    )


def find_idx(published: SmallSet, folders: Sequence[Path]) -> list[IdxFile]:
    """The four files of a set, from the first folder that holds all; empty if none does."""
    names = idx_names(published)
    for folder in folders:
        found = [file for name in names if (file := _find(folder, name))] or _in_archive(folder, names)
        if len(found) == len(names):
            return found
    return []


def missing_idx(published: SmallSet, folders: list[Path]) -> list[str]:
    """The files of a set that none of the folders holds."""
    return [name for name in idx_names(published) if not any(_find(folder, name) for folder in folders)]


def idx_names(published: SmallSet) -> list[str]:
    """The names of a set's files, unpacked: of both splits the images, then the labels."""
    if len(published.files) == 4:
        return [file.name.removesuffix(".gz") for file in published.files]
    split = published.title.rpartition(" ")[2]  # of EMNIST
    parts = [f"{half}-{part}-ubyte" for half in ("train", "test") for part in ("images-idx3", "labels-idx1")]
    return [f"emnist-{split}-{part}" for part in parts]


def _find(folder: Path, name: str) -> IdxFile | None:
    for candidate in (name, f"{name}.gz", f"{name}.xz", name.replace("-idx", ".idx")):
        path = folder / candidate
        if path.is_file():
            return IdxFile(name, path, path.read_bytes)
    return None


def _in_archive(folder: Path, names: list[str]) -> list[IdxFile]:
    archive = next((path for name in ARCHIVES if (path := folder / name).is_file()), None)
    return [IdxFile(name, archive, partial(_member, archive, f"{name}.gz")) for name in names] if archive else []


def _member(archive: Path, name: str) -> bytes:
    try:
        with zipfile.ZipFile(archive) as opened:
            (member,) = (each for each in opened.namelist() if each.endswith(name))
            return opened.read(member)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise ValueError(f"{archive} is damaged, or lacks {name} ({error})") from None


def _read(files: list[tuple[IdxFile, bytes]], published: SmallSet) -> Contents:
    sums = {file.name.removesuffix(".gz"): file.unpacked for file in published.files}
    arrays = [_array(file, packed, sums.get(file.name), published) for file, packed in files]
    parts = []
    for (pixels, labels), (file, _) in zip((arrays[:2], arrays[2:]), (files[0], files[2]), strict=True):
        if pixels.ndim != 3 or pixels.shape[1:] != published.shape[1:]:
            raise NotThisSetError(f"{file.path} holds an array of {_by(pixels.shape)}, where images are expected")
        numbers = labels[:, 0] if labels.ndim == 2 else labels  # QMNIST tells of each digit where it is from
        emnist = published.title.startswith("EMNIST")
        upright = pixels.transpose(0, 2, 1) if emnist else pixels  # EMNIST's columns are rows
        first = 1 if published.title == "EMNIST letters" else 0
        parts.append(images(upright[:, None], numbers.astype(np.int64) - first, file.path))
    return Contents(parts[0], parts[1], class_names=published.class_names)


def _array(file: IdxFile, packed: bytes, md5: str | None, published: SmallSet) -> NDArray[Any]:
    try:
        content = unpack(packed)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise ValueError(f"{file.path} is damaged: it cannot be unpacked ({error})") from None
    if md5 and digest(content) != md5:
        raise NotThisSetError(_other_data(file, content, published))
    return as_array(content, file.path)


def unpack(packed: bytes) -> bytes:
    """The content of a file that gzip or xz may have packed."""
    if packed.startswith(b"\x1f\x8b"):
        return gzip.decompress(packed)
    return lzma.decompress(packed) if packed.startswith(b"\xfd7zXZ") else packed


def as_array(content: bytes, path: Path) -> NDArray[Any]:
    """The array of an idx file: a magic number, its lengths, its values, all big-endian.

    Raises:
        ValueError: if the file holds more or less than its header says, or has none.
    """
    dimensions = content[3] if len(content) > 3 else 0
    kind = TYPES.get(content[2]) if content[:2] == b"\0\0" and len(content) >= 4 + 4 * dimensions > 4 else None
    if kind is None:
        raise ValueError(f"{path} is no idx file, as MNIST's are, or is damaged ({len(content):,} bytes)")
    shape = tuple(np.frombuffer(content, ">u4", dimensions, offset=4).tolist())
    expected = 4 + 4 * dimensions + math.prod(shape) * kind.itemsize
    if len(content) != expected:
        raise ValueError(f"{path} is damaged: it has {len(content):,} bytes, and its header says {expected:,}")
    array: NDArray[Any] = np.frombuffer(content, kind, offset=4 + 4 * dimensions).reshape(shape)
    return array


def _verified(files: list[tuple[IdxFile, bytes]], published: SmallSet) -> bool | None:
    sums = {file.name.removesuffix(".gz"): file for file in published.files}
    if all(file.unpacked for file in published.files):
        return True  # or `_read` had refused them
    if not sums.keys() >= {file.name for file, _ in files}:
        return None
    # Whoever packs a file again changes its sum, so another one says nothing.
    return all(digest(packed) == sums[file.name].md5 for file, packed in files) or None


def digest(content: bytes) -> str:
    """The md5 of bytes."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _other_data(file: IdxFile, content: bytes, published: SmallSet) -> str:
    """What is in a file that has the name of one of a set's and another content."""
    files = f"point data.root to {published.title}'s files"
    said = (
        f"{file.path} has the name of {published.title}'s {file.name} and other content "
        f"(md5 {digest(content)}, {len(content):,} bytes)"
    )
    try:
        array = as_array(content, file.path)
    except ValueError:
        return f"{said}: it is damaged, or no idx file; {files}"
    if array.ndim == 3:
        return f"{said}: {looks_like(float(array.mean()) / 255, array.shape, published)}"
    if array.ndim == 2:  # no other set says more of a digit than what it is
        return f"{said}: they look like QMNIST's: say data=qmnist, under QMNIST's names, or {files}"
    return f"{said}: {_by(array.shape)} labels of another set, or damaged ones; {files}"


def looks_like(mean: float, shape: tuple[int, ...], but: SmallSet) -> str:
    """Which set of the table images look like that are not those of `but`, and what to do about it.

    Args:
        mean: of all their bytes, 0 to 1.
        shape: how many they are, their height and width.
        but: the set that was asked for.
    """
    likely = {name: each for name, each in SETS.items() if _may_be(each, mean, shape, but)}
    others = [_say(name, each, but) for name, each in likely.items() if each.title != but.title]
    if len(others) < len(likely):
        or_else = f", or {others[0]}" if others else ""
        return f"they look like {but.title}'s, changed or damaged{or_else}; point data.root to the published files"
    if others:
        return f"they look like {' or '.join(others)}, or point data.root to {but.title}'s files"
    return (
        f"they are of another set (mean {mean:.4f}, where {but.title}'s is {but.mean}); point data.root to "
        f"{but.title}'s files, or read your own arrays with data=npz"
    )


def _say(name: str, each: SmallSet, but: SmallSet) -> str:
    """Whose images they may be, and how these are asked for."""
    under = "" if idx_names(each) == idx_names(but) else f" under {each.title}'s names"
    return f"{each.title}'s: say data={name}{under}"


def _may_be(each: SmallSet, mean: float, shape: tuple[int, ...], but: SmallSet) -> bool:
    """Whether images may be a set's: by their mean where that is known, else by how many they are."""
    if each.shape[1:] != shape[1:]:
        return False
    if each.mean is not None:
        return abs(mean - each.mean) < SAME_MEAN
    return shape[0] in each.counts and shape[0] not in but.counts


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
