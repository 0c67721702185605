"""Stores: images resized once and kept in a few large files, from which they stream.

prepared.json       what is stored and how, the classes, and checksums; written last
train-00000.bin …   shards: images one after the other, JPEG or raw, the training set in a random order
train.index.npy     the place of each image, its size, label and checksum; in the order of the original listing
train.names.npy     the original path of each image below its folder
val-…               likewise
"""

import json
import mmap
import os
import zlib
from collections.abc import Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnnlit.data.loading.decoding import num_cores
from cnnlit.data.shards.shard_files import Range, ShardBytes
from cnnlit.data.sources.folders import Listing, some
from cnnlit.files import progress
from cnnlit.systems.portable import open_bytes, read_at

FORMAT = 1
COMPLETE, HALF_MADE = "prepared.json", "preparing.json"
RECORD = np.dtype(
    [
        ("shard", "<u4"),
        ("length", "<u4"),
        ("offset", "<u8"),
        ("crc32", "<u4"),
        ("height", "<u4"),
        ("width", "<u4"),
        ("label", "<u4"),
    ]
)
"""One image in the index; offset and length in bytes."""

Split = Literal["train", "val", "dev"]
"""`val` is what is tested, as ImageNet's validation set is; `dev` what a set names for validation beside it."""


class StoredImage:
    """An image in a shard, read when its pixels are asked for. See DecodableImage."""

    __slots__ = ("_images", "_number", "height", "width")

    def __init__(self, images: "StoredImages", number: int, height: int, width: int) -> None:
        self.height = height
        self.width = width
        self._images = images
        self._number = number

    def rgb(self) -> NDArray[np.uint8]:
        """See DecodableImage."""
        if self._images.encoding == "raw":
            return self._images.pixels(self._number)
        content = self._images.content(self._number)
        try:
            pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(content)
        except ValueError as error:
            raise ValueError(f"{self._images.path(self._number)} is damaged ({error}); {_MEND}") from None
        return pixels


_MEND = "data.on_unreadable=skip leaves it out, prepare.replace_damaged=true makes it anew from its original"


class StoredImages:
    """The images of a store, in the order of the original listing. See ImageSet.

    A worker process opens the store by its path, and maps the part of the index that it reads.

    Args:
        folder: of the store.
        split: which part of it.
        numbers: int64 [N], the indices of a subset; None for all.
        far: what reads its shards, if they are at an address; `folder` then holds the index alone.
        address: in that case, for messages.

    Raises:
        ValueError: if a file is missing or has changed in length.
    """

    def __init__(
        self,
        folder: Path,
        split: Split,
        numbers: NDArray[np.int64] | None = None,
        far: ShardBytes | None = None,
        address: Path | None = None,
    ) -> None:
        self._shards: dict[int, int] = {}
        self._maps: dict[int, mmap.mmap] = {}
        about = read_about(folder)
        self.folder = address or folder
        self.split = split
        self._far, self._address, self._kept = far, address, folder
        self.is_far = far is not None
        self.encoding: Literal["jpeg", "raw"] = about["encoding"]
        if numbers is None and far is None:
            _check_lengths(folder, about["splits"][split]["files"])
        self._index: NDArray[Any] = np.load(folder / f"{split}.index.npy", mmap_mode="r")
        self._names: NDArray[np.bytes_] = np.load(folder / f"{split}.names.npy", mmap_mode="r")
        self._numbers = np.arange(len(self._index)) if numbers is None else numbers
        self.labels = torch.from_numpy(self._index["label"][self._numbers].astype(np.int64))

    def __reduce__(self) -> tuple[Any, ...]:
        return StoredImages, (self._kept, self.split, self._numbers, self._far, self._address)

    def __del__(self) -> None:
        for descriptor in self._shards.values():
            os.close(descriptor)

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def names(self) -> NDArray[np.bytes_]:
        """See ImageSet."""
        return np.asarray(self._names[self._numbers])

    @property
    def places(self) -> Tensor:
        """int64 [N], the rank of each image in the order of the disk, from 0."""
        index = self._index[self._numbers]
        places = np.empty(len(index), np.int64)
        places[np.lexsort((index["offset"], index["shard"]))] = np.arange(len(index))
        return torch.from_numpy(places)

    @property
    def sums(self) -> list[Hashable]:
        """Of each image its length in bytes and its CRC-32, as it is stored."""
        index = self._index[self._numbers]
        return list(zip(index["length"].tolist(), index["crc32"].tolist(), strict=True))

    def path(self, index: int) -> str:
        """See ImageSet."""
        number = self._numbers[index]
        shard = shard_name(self.split, self._index[number]["shard"])
        return f"{os.fsdecode(self._names[number])} in {self.folder / shard}"

    def open(self, index: int) -> StoredImage:
        *_, height, width, _ = self._index[self._numbers[index]].item()
        return StoredImage(self, index, height, width)

    def expect(self, indices: Tensor) -> None:
        """Tell which images will be opened soon: a disk may read ahead a whole batch before its first is decoded."""
        rows = self._index[self._numbers[indices.numpy()]].tolist()
        if self._far is not None:
            self._far.expect(Range(shard, offset, length) for shard, length, offset, *_ in rows)
        elif hasattr(os, "posix_fadvise"):
            for shard, length, offset, *_ in rows:
                os.posix_fadvise(self._descriptor(shard), offset, length, os.POSIX_FADV_WILLNEED)

    def content(self, index: int) -> bytes:
        """The bytes of an image.

        Raises:
            ValueError: one line that names it, if it does not match its checksum.
        """
        shard, length, offset, *_ = self._index[self._numbers[index]].item()
        # Not from a memory map: a failing disk would then end the process without a message.
        if self._far is None:
            content = read_at(self._descriptor(shard), length, offset)
        else:
            content = self._far.read(Range(shard, offset, length))
        if len(content) != length or (self.encoding == "jpeg" and not self._is_whole(index, content)):
            raise ValueError(f"{self.path(index)} is damaged; {_MEND}")
        return content

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """A raw image, uint8 [height, width, 3], mapped from its shard: only the pages that are used are read."""
        shard, length, offset, _, height, width, _ = self._index[self._numbers[index]].item()
        if self._far is not None:
            return np.frombuffer(bytearray(self.content(index)), np.uint8).reshape(height, width, 3)
        if shard not in self._maps:
            # Writable, as torch warns of any other array; a copy on write stays in this process.
            self._maps[shard] = mmap.mmap(self._descriptor(shard), 0, access=mmap.ACCESS_COPY)
        return np.frombuffer(self._maps[shard], np.uint8, length, offset).reshape(height, width, 3)

    def subset(self, indices: Tensor) -> "StoredImages":
        return StoredImages(self._kept, self.split, self._numbers[indices.numpy()], self._far, self._address)

    def damaged(self) -> Iterator[bool]:
        """For each image whether it does not match its checksum; reads all of them."""

        def check(index: int) -> bool:
            try:
                return not self._is_whole(index, self.content(index))
            except (ValueError, OSError):
                return True

        with ThreadPoolExecutor(num_cores()) as threads:
            for first in range(0, len(self), 4096):
                yield from threads.map(check, range(first, min(first + 4096, len(self))))

    def replace(self, index: int, content: bytes) -> None:
        """Write an image over its damaged bytes.

        Raises:
            ValueError: if these are not the bytes that were stored.
        """
        if not self._is_whole(index, content):
            raise ValueError(
                f"{self.path(index)} is damaged, and its original has changed since, or the packages that encode it; "
                "data.on_unreadable=skip leaves it out, or prepare the store anew"
            )
        shard, _, offset, *_ = self._index[self._numbers[index]].item()
        with (self.folder / shard_name(self.split, shard)).open("r+b") as file:
            file.seek(offset)
            file.write(content)

    def _is_whole(self, index: int, content: bytes) -> bool:
        _, length, _, crc32, *_ = self._index[self._numbers[index]].item()
        return bool(len(content) == length) and zlib.crc32(content) == int(crc32)

    def _descriptor(self, shard: int) -> int:
        if shard not in self._shards:
            opened = open_bytes(self.folder / shard_name(self.split, shard))
            if self._shards.setdefault(shard, opened) != opened:
                os.close(opened)  # another thread was faster
        return self._shards[shard]


def find_prepared(root: str | Path) -> Listing | None:
    """The images of a store; None if the folder is not one.

    Raises:
        ValueError: if it is incomplete or damaged.
    """
    folder = Path(root)
    if not (folder / COMPLETE).is_file():
        if (folder / HALF_MADE).is_file():
            raise ValueError(f"{folder} is a half-made store: say the python -m cnnlit.prepare again that began it")
        return None
    about = read_about(folder)
    train = StoredImages(folder, "train")
    test, val = (StoredImages(folder, split) if split in about["splits"] else None for split in ("val", "dev"))
    return Listing("prepared", train, test, about["classes"], about["class_names"], val)


def verify(folder: Path) -> int:
    """Compare a whole store with its checksums; returns the number of images.

    Raises:
        ValueError: one line that names what is damaged.
    """
    about = read_about(folder)
    splits: list[Split] = list(about["splits"])
    for split in splits:
        for name in (f"{split}.index.npy", f"{split}.names.npy"):
            if zlib.crc32((folder / name).read_bytes()) != about["splits"][split]["crc32"][name]:
                raise ValueError(f"{folder / name} is damaged; prepare the store anew")
    images = [StoredImages(folder, split) for split in splits]
    count = sum(map(len, images))
    checked = progress((is_so for each in images for is_so in each.damaged()), "verifying", count)
    places = ((each, index) for each in images for index in range(len(each)))
    damaged = [each.path(index) for (each, index), is_so in zip(places, checked, strict=True) if is_so]
    if damaged:
        raise ValueError(
            f"damaged: {some(damaged)}; prepare.replace_damaged=true makes them anew from their originals, "
            "data.on_unreadable=skip trains without them"
        )
    return count


def read_about(folder: Path) -> dict[str, Any]:
    """The content of prepared.json.

    Raises:
        ValueError: if it cannot be read, or has another version of the format.
    """
    try:
        about: dict[str, Any] = json.loads((folder / COMPLETE).read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder / COMPLETE} cannot be read ({error}); prepare the store anew") from None
    if about.get("format") != FORMAT:
        raise ValueError(f"{folder} has format {about.get('format')}, this cnnlit reads {FORMAT}; prepare it anew")
    return about


def shard_name(split: Split, number: int) -> str:
    return f"{split}-{number:05d}.bin"


def _check_lengths(folder: Path, lengths: dict[str, int]) -> None:
    for name, length in lengths.items():
        path = folder / name
        found = path.stat().st_size if path.is_file() else None
        if found != length:
            has = "is missing" if found is None else f"has {found:,} bytes"
            raise ValueError(f"{path} {has} where {length:,} were written; copy it again or prepare the store anew")
