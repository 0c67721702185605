"""Photographs that were brought once to a chosen size and stored in few large files, from which they stream.

prepared.json       what is stored and how, the classes, and checksums; it is written last
train-00000.bin …   shards: images one after the other, JPEG or raw, the training set in an order of its own
train.index.npy     where each image lies, its size, label and checksum; in the order in which they were listed
train.names.npy     the path that each had below its folder
val-…               likewise
"""

import json
import mmap
import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnnlit.data.loading.decoding import num_cores
from cnnlit.data.sources.folders import Listing
from cnnlit.files import progress

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
"""Of one image in the index; offset and length in bytes."""

Split = Literal["train", "val"]


class StoredImage:
    """An image in a shard, which is read when its pixels are asked for. See decoding.DecodableImage."""

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


_MEND = "prepare.verify=true finds all that is; prepare the store anew"


class StoredImages:
    """Stored images and their classes, in the order in which the images that they were made of were listed.

    What is written is as `folders.ImageFiles`. It costs a worker process nothing but the index of what it reads.

    Args:
        folder: of the store.
        split: which part of it.
        numbers: int64 [N], which of its images; None for all.

    Raises:
        ValueError: if a file is missing or not as long as it was.
    """

    def __init__(self, folder: Path, split: Split, numbers: NDArray[np.int64] | None = None) -> None:
        self._shards: dict[int, int] = {}
        self._maps: dict[int, mmap.mmap] = {}
        about = read_about(folder)
        self.folder = folder
        self.split = split
        self.encoding: Literal["jpeg", "raw"] = about["encoding"]
        if numbers is None:
            _check_lengths(folder, about["splits"][split]["files"])
        self._index: NDArray[Any] = np.load(folder / f"{split}.index.npy", mmap_mode="r")
        self._names: NDArray[np.bytes_] = np.load(folder / f"{split}.names.npy", mmap_mode="r")
        self._numbers = np.arange(len(self._index)) if numbers is None else numbers
        self.labels = torch.from_numpy(self._index["label"][self._numbers].astype(np.int64))

    def __reduce__(self) -> tuple[Any, ...]:
        return StoredImages, (self.folder, self.split, self._numbers)

    def __del__(self) -> None:
        for descriptor in self._shards.values():
            os.close(descriptor)

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def names(self) -> NDArray[np.bytes_]:
        """[N], the paths that the images had below their folder."""
        return np.asarray(self._names[self._numbers])

    @property
    def places(self) -> Tensor:
        """int64 [N], the place of each image among these as they lie on the disk, from 0."""
        index = self._index[self._numbers]
        places = np.empty(len(index), np.int64)
        places[np.lexsort((index["offset"], index["shard"]))] = np.arange(len(index))
        return torch.from_numpy(places)

    def path(self, index: int) -> str:
        """Where an image lies, for messages."""
        number = self._numbers[index]
        shard = shard_name(self.split, self._index[number]["shard"])
        return f"{os.fsdecode(self._names[number])} in {self.folder / shard}"

    def open(self, index: int) -> StoredImage:
        shard, length, offset, _, height, width, _ = self._index[self._numbers[index]].item()
        if hasattr(
            os, "posix_fadvise"
        ):  # the disk may begin with it, and with the whole batch before the first is decoded
            os.posix_fadvise(self._descriptor(shard), offset, length, os.POSIX_FADV_WILLNEED)
        return StoredImage(self, index, height, width)

    def content(self, index: int) -> bytes:
        """The bytes of an image.

        Raises:
            ValueError: one line that names it, if they are not those that were written.
        """
        shard, length, offset, crc32, *_ = self._index[self._numbers[index]].item()
        # Not by a memory map: with a disk that fails, that would end the process without a word.
        content = os.pread(self._descriptor(shard), length, offset)
        if len(content) != length or (self.encoding == "jpeg" and zlib.crc32(content) != crc32):
            raise ValueError(f"{self.path(index)} is damaged; {_MEND}")
        return content

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """A raw image as it lies in its shard, uint8 [height, width, 3]: what of it is not looked at is not read."""
        shard, length, offset, _, height, width, _ = self._index[self._numbers[index]].item()
        if shard not in self._maps:
            # Writable, for torch takes no other array without a warning; what is written stays in this process.
            self._maps[shard] = mmap.mmap(self._descriptor(shard), 0, access=mmap.ACCESS_COPY)
        return np.frombuffer(self._maps[shard], np.uint8, length, offset).reshape(height, width, 3)

    def subset(self, indices: Tensor) -> "StoredImages":
        return StoredImages(self.folder, self.split, self._numbers[indices.numpy()])

    def damaged(self) -> Iterator[str | None]:
        """For each image None, or its path if its bytes are not those that were written; reads all of them."""

        def check(index: int) -> str | None:
            try:
                whole = zlib.crc32(self.content(index)) == self._index[self._numbers[index]]["crc32"]
            except (ValueError, OSError):
                whole = False
            return None if whole else self.path(index)

        with ThreadPoolExecutor(num_cores()) as threads:
            for first in range(0, len(self), 4096):
                yield from threads.map(check, range(first, min(first + 4096, len(self))))

    def _descriptor(self, shard: int) -> int:
        if shard not in self._shards:
            opened = os.open(self.folder / shard_name(self.split, shard), os.O_RDONLY)
            if self._shards.setdefault(shard, opened) != opened:
                os.close(opened)  # another thread was faster
        return self._shards[shard]


def find_prepared(root: str | Path) -> Listing | None:
    """The photographs of a store; None if the folder is none.

    Raises:
        ValueError: if it is half made, or not as it was made.
    """
    folder = Path(root)
    if not (folder / COMPLETE).is_file():
        if (folder / HALF_MADE).is_file():
            raise ValueError(f"{folder} is a half-made store: say the python -m cnnlit.prepare again that began it")
        return None
    about = read_about(folder)
    train = StoredImages(folder, "train")
    test = StoredImages(folder, "val") if "val" in about["splits"] else None
    return Listing("prepared", train, test, about["classes"], about["class_names"])


def verify(folder: Path) -> int:
    """Read all of a store against its checksums; the number of images.

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
    checked = progress((path for each in images for path in each.damaged()), "verifying", count)
    damaged = [path for path in checked if path]
    if damaged:
        more = f" and {len(damaged) - 3} more" if len(damaged) > 3 else ""
        raise ValueError(f"damaged: {', '.join(damaged[:3])}{more}; remove {folder} and prepare the store anew")
    return count


def read_about(folder: Path) -> dict[str, Any]:
    """What prepared.json says.

    Raises:
        ValueError: if it cannot be read, or is of another version of the format.
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
