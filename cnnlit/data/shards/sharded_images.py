"""Images in shards, behind the interface of images in files."""

import os
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnnlit.data.loading.decoding import EncodedImage, UnreadableError
from cnnlit.data.shards.shard_files import Range, ShardBytes
from cnnlit.data.shards.shard_index import ShardFile, ShardIndex


class ShardReader(Protocol):
    """What gets an image's bytes from a shard of some format."""

    def content(self, shard: int, place: int, length: int) -> bytes:
        """The bytes of an image, by its record in the index.

        Raises:
            ValueError, OSError: if they cannot be read.
        """
        ...

    def expect(self, records: NDArray[Any]) -> None:
        """Tell which images will be read soon."""
        ...

    def blocks(self, records: NDArray[Any]) -> Tensor | None:
        """int64 [N], which images are read together, counted from 0; None if each is read alone."""
        ...


class TarReader:
    """Images of tar files. See ShardReader.

    Args:
        shards: what reads them.
    """

    def __init__(self, shards: ShardBytes) -> None:
        self._shards = shards

    def content(self, shard: int, place: int, length: int) -> bytes:
        content = self._shards.read(Range(shard, place, length))
        if len(content) != length:
            raise ValueError("the shard has become shorter")
        return content

    def expect(self, records: NDArray[Any]) -> None:
        self._shards.expect(Range(shard, place, length) for shard, length, place, _ in records.tolist())

    def blocks(self, records: NDArray[Any]) -> None:
        return None


class ShardedImages:
    """Images in shards, in the order of the shards. See ImageSet.

    A worker process is handed the path of the index, and maps the part of it that it reads.

    Args:
        folder: that the shards are in.
        shards: all of them.
        kept: the index. See ShardIndex.
        reader: of their format.
        label_of: int64, the label of each class of the index.
        numbers: int64 [N], the indices of a subset; None for all.
    """

    def __init__(
        self,
        folder: Path,
        shards: tuple[ShardFile, ...],
        kept: Path,
        reader: ShardReader,
        label_of: NDArray[np.int64],
        numbers: NDArray[np.int64] | None = None,
    ) -> None:
        index = ShardIndex(kept)
        self.folder = folder
        self.shards = shards
        self._rest = kept, reader, label_of
        self._reader = reader
        self._records, self._names = index.records, index.names
        self._numbers = np.arange(len(index)) if numbers is None else numbers
        self.labels = torch.from_numpy(label_of[self._records["label"][self._numbers]])

    def __reduce__(self) -> tuple[Any, ...]:
        return ShardedImages, (self.folder, self.shards, *self._rest, self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def names(self) -> NDArray[np.bytes_]:
        """See ImageSet: below its shard, as two shards may have images of one name."""
        shards = np.array([os.fsencode(shard.name) for shard in self.shards], np.bytes_)
        within = np.char.add(shards[self._records["shard"][self._numbers]], b"/")
        return np.asarray(np.char.add(within, self._names[self._numbers]))

    @property
    def places(self) -> Tensor:
        """int64 [N], the rank of each image in the order of the shards, from 0."""
        places = np.empty(len(self), np.int64)
        places[np.argsort(self._numbers, kind="stable")] = np.arange(len(self))
        return torch.from_numpy(places)

    @property
    def is_far(self) -> bool:
        """Whether they are read from an address."""
        return self.shards[0].is_far

    @property
    def blocks(self) -> Tensor | None:
        """See ShardReader."""
        return self._reader.blocks(self._records[self._numbers])

    @property
    def sums(self) -> list[Hashable] | None:
        """Of each image its length in bytes; None where the index has none, as of parquet files."""
        lengths: list[Hashable] = self._records["length"][self._numbers].tolist()
        return lengths if self.blocks is None else None

    def path(self, index: int) -> str:
        """See ImageSet."""
        number = self._numbers[index]
        return f"{os.fsdecode(self._names[number])} in {self.shards[self._records[number]['shard']].path}"

    def content(self, index: int) -> bytes:
        """The bytes of an image.

        Raises:
            UnreadableError: one line that names it.
        """
        shard, length, place, _ = self._records[self._numbers[index]].item()
        try:
            return self._reader.content(shard, place, length)
        except (ValueError, OSError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            raise UnreadableError(f"{self.path(index)} cannot be read: {reason}") from None

    def open(self, index: int) -> EncodedImage:
        """See ImageSet."""
        return EncodedImage(self.content(index), self.path(index))

    def expect(self, indices: Tensor) -> None:
        """Tell which images will be opened soon."""
        self._reader.expect(self._records[self._numbers[indices.numpy()]])

    def subset(self, indices: Tensor) -> "ShardedImages":
        """See LabelledImages."""
        return ShardedImages(self.folder, self.shards, *self._rest, self._numbers[indices.numpy()])
