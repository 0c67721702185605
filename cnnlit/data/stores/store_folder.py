"""The folder of a store that is being written: claimed by one process, shards, index. See store.py for the format."""

import json
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnnlit.data.loading.batch_sampler import BatchSampler
from cnnlit.data.loading.image_set import ImageSet, blocks_of
from cnnlit.data.stores.store import COMPLETE, HALF_MADE, RECORD, Split, shard_name
from cnnlit.data.transforms.random_numbers import generator
from cnnlit.files import LOCK, Lock, check_place, make_folder, remove_leftovers, write_whole, writing

SHARDS = 128
"""Most shards of a split: a process that reads has each of them open."""
LEAST_IN_SHARD = 4096
"""Fewest images in a shard, unless there are no more; as many at most are made again after an interruption."""
SHARES = ".shares"
"""The folder, in that of a store, of the locks of those who make shares of it."""
PIECE = np.dtype([("number", "<u8"), *RECORD.descr])
"""One image of a shard, until the shards are merged: its index in the listing, and its record."""


class StoredBytes(NamedTuple):
    """An image as it is stored."""

    number: int
    """Its index in the listing."""
    content: bytes
    height: int
    width: int


class Shard(NamedTuple):
    """A shard that is to be written."""

    name: str
    split: Split
    place: int
    """Its number among the shards of its split."""
    images: ImageSet
    """All images of the split."""
    numbers: NDArray[np.int64]
    """The indices of those that it holds, in the order in which they are stored."""


@contextmanager
def claimed(folder: Path, settings: dict[str, Any], *, shared: bool = False) -> Iterator[bool]:
    """Claim the folder for this store and for this process; whether the store is complete.

    Args:
        folder: of the store.
        settings: that it has to be made with.
        shared: for a moment alone, while other processes make shards of it.

    Raises:
        ValueError: if the folder holds something else, or another process is at work on it.
    """
    if (folder / COMPLETE).is_file():
        _check_complete(folder, settings)
        yield True
        return
    check_place(folder, "prepare.to")
    make_folder(folder)
    half_made = folder / HALF_MADE
    if not half_made.is_file() and any(not _is_passing(path) for path in folder.iterdir()):
        raise ValueError(f"prepare.to={folder}: there is something else; name a new folder")
    lock = Lock(folder)
    if not lock.take(wait=shared):
        raise ValueError(f"prepare.to={folder}: another process is preparing this store")
    try:
        if (folder / COMPLETE).is_file():  # another process has just finished it
            _check_complete(folder, settings)
            yield True
            return
        if not shared:
            remove_leftovers(folder)
        if half_made.is_file():
            _check_same(folder, "is half made", json.loads(half_made.read_bytes()), settings)
        else:
            write_about(half_made, settings)
        yield False
        if (folder / COMPLETE).is_file():
            _clear(folder)
    finally:
        lock.give_back()


def shards_of(split: Split, images: ImageSet) -> Iterator[Shard]:
    """The shards of a split. Training images are in a fixed random order: neighbours are of different classes.

    Those that can only be read in blocks are mixed as training mixes them, so that each block is read once.
    """
    count = len(images)
    order = _mixed(images) if split == "train" else torch.arange(count)
    size = max(LEAST_IN_SHARD, -(-count // SHARDS))
    for place, numbers in enumerate(torch.split(order, size) if count else ()):
        yield Shard(shard_name(split, place), split, place, images, numbers.numpy())


def _mixed(images: ImageSet) -> Tensor:
    """The order of training images in a store."""
    count, blocks = len(images), blocks_of(images)
    if blocks is None:
        return torch.randperm(count, generator=generator(count))
    return BatchSampler(count, 1, order="fresh", seed=count, blocks=blocks).presentations(0)


def write_shard(folder: Path, shard: Shard, images: Iterable[StoredBytes]) -> None:
    """Write the images of a shard; its records are there before it is, so a shard that is there is complete."""
    records, offset = [], 0
    with writing(folder / shard.name) as file:
        for number, content, height, width in images:
            file.write(content)
            label = int(shard.images.labels[number])
            records.append((number, shard.place, len(content), offset, zlib.crc32(content), height, width, label))
            offset += len(content)
        _save(_piece(folder, shard.name), np.array(records, PIECE))


def write_index(folder: Path, split: Split, images: ImageSet) -> dict[str, Any]:
    """Merge the records of all shards of a split into its index, in the order of the listing.

    Returns:
        What prepared.json says about the split.
    """
    shards = [shard.name for shard in shards_of(split, images)]
    pieces = np.concatenate([np.empty(0, PIECE), *(np.load(_piece(folder, name)) for name in shards)])
    pieces.sort(order="number")
    numbers = pieces["number"].astype(np.int64)
    index = np.empty(len(pieces), RECORD)
    for field in RECORD.names or ():
        index[field] = pieces[field]
    tables = {f"{split}.index.npy": index, f"{split}.names.npy": images.names[numbers]}
    for name, table in tables.items():
        _save(folder / name, table)
    unreadable = np.setdiff1d(np.arange(len(images)), numbers).tolist()
    return {
        "images": len(index),
        "bytes": int(index["length"].sum(dtype=np.int64)),
        "unreadable": [os.fsdecode(images.names[number]) for number in unreadable],
        "files": {name: (folder / name).stat().st_size for name in [*shards, *tables]},
        "crc32": {name: zlib.crc32((folder / name).read_bytes()) for name in tables},
    }


def write_about(path: Path, content: dict[str, Any]) -> None:
    """Write what is known of a store, complete or not."""
    write_whole(path, json.dumps(content, indent=1) + "\n")


def _piece(folder: Path, shard: str) -> Path:
    return folder / f"{shard}.piece.npy"


def _save(path: Path, array: NDArray[Any]) -> None:
    with writing(path) as file:
        np.save(file, array)


def _is_passing(path: Path) -> bool:
    """Whether a file or folder is there while a store is made, and no part of it."""
    return path.name in (LOCK, SHARES) or path.suffix == ".part"


def _check_complete(folder: Path, settings: dict[str, Any]) -> None:
    about = json.loads((folder / COMPLETE).read_bytes())
    _check_same(folder, "holds images that were prepared", about, settings)
    _clear(folder)


def _clear(folder: Path) -> None:
    """Remove what a complete store does not need."""
    for path in (*folder.glob("*.piece.npy"), folder / HALF_MADE, folder / LOCK):
        path.unlink(missing_ok=True)
    remove_leftovers(folder)
    shutil.rmtree(folder / SHARES, ignore_errors=True)


def _check_same(folder: Path, how: str, before: dict[str, Any], settings: dict[str, Any]) -> None:
    for key, value in settings.items():
        if before.get(key) != value:
            short = isinstance(value, str | int)
            different = f"{key}={before.get(key)}, this is {key}={value}" if short else f"other {key}"
            raise ValueError(
                f"prepare.to={folder} {how} with {different}: say the same again, or name another folder, or remove it"
            )
