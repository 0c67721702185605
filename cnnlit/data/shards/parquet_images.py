"""Images in parquet files as Hugging Face's hub has them: a column `image` of (bytes, path), a column of labels.

A parquet file is read by groups of rows, of which the hub's have a hundred: an image alone would cost as many times as
much. Training therefore shows groups in random order and the images of some of them mixed, see BatchSampler.
"""

import io
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnnlit.data.shards.samples import Sample
from cnnlit.data.shards.shard_files import Range, ShardBytes
from cnnlit.data.shards.shard_index import ShardFile
from cnnlit.data.sources.folders import WNID

IMAGE_COLUMNS, LABEL_COLUMNS = ("image", "img"), ("label", "fine_label", "labels", "class", "target")

GROUPS_KEPT = 32
"""Groups of rows that a process keeps: those that two rounds of mixed blocks are in, for a batch may be of both."""

ROW_BITS = 32
"""Bits of the row in a place; the group has the others."""


class ParquetReader:
    """Images of parquet files. See ShardReader.

    Args:
        shards: what reads the files.
        files: all of them.
    """

    def __init__(self, shards: ShardBytes, files: Sequence[ShardFile]) -> None:
        self._shards = shards
        self._files = files
        self._forget()

    def __reduce__(self) -> tuple[type["ParquetReader"], tuple[ShardBytes, Sequence[ShardFile]]]:
        return ParquetReader, (self._shards, self._files)

    def content(self, shard: int, place: int, length: int) -> bytes:
        row = place & ((1 << ROW_BITS) - 1)
        content = self._group(shard, place >> ROW_BITS)[row].as_py()
        if content is None:
            raise ValueError("its bytes are not in the file")
        return bytes(content)

    def expect(self, records: NDArray[Any]) -> None:
        if self._process != os.getpid():
            self._forget()
        groups = {(shard, place >> ROW_BITS) for shard, _, place, _ in records.tolist()}
        with self._one_at_a_time, suppress(ValueError, OSError):  # whoever reads them is told
            self._shards.expect([self._range(*each) for each in sorted(groups) if each not in self._kept])

    def blocks(self, records: NDArray[Any]) -> Tensor:
        groups = (records["place"] >> np.uint64(ROW_BITS)).astype(np.int64)
        keys = (records["shard"].astype(np.int64) << ROW_BITS) + groups
        return torch.from_numpy(np.unique(keys, return_inverse=True)[1].astype(np.int64))

    def _group(self, shard: int, group: int) -> Any:
        """The images of a group, an array of bytes."""
        if self._process != os.getpid():  # what a forked worker inherits belongs to the process that opened it
            self._forget()
        key = shard, group
        with self._one_at_a_time:  # files of parquet are for one thread each
            rows = self._kept.pop(key, None)
            self._kept[key] = rows = self._read(shard, group) if rows is None else rows
            while len(self._kept) > GROUPS_KEPT:
                self._kept.popitem(last=False)
        return rows

    def _read(self, shard: int, group: int) -> Any:
        file = self._file(shard)
        table = file.read_row_group(group, columns=[_bytes_column(file)], use_threads=False)
        return _bytes_of(table.column(0).combine_chunks())

    def _forget(self) -> None:
        self._process = os.getpid()
        self._one_at_a_time = threading.Lock()
        self._opened: dict[int, Any] = {}
        self._kept: OrderedDict[tuple[int, int], Any] = OrderedDict()

    def _file(self, shard: int) -> Any:
        if shard not in self._opened:
            self._opened[shard] = open_parquet(self._shards, shard, self._files[shard])
        return self._opened[shard]

    def _range(self, shard: int, group: int) -> Range:
        """Where the images of a group lie."""
        file = self._file(shard)
        about, wanted = file.metadata.row_group(group), _bytes_column(file)
        columns = [about.column(number) for number in range(about.num_columns)]
        column = next(each for each in columns if each.path_in_schema == wanted)
        first = column.dictionary_page_offset or column.data_page_offset
        return Range(shard, min(first, column.data_page_offset), column.total_compressed_size)


class RangeFile(io.RawIOBase):
    """A file of ranges, for those who read files.

    Args:
        shards: what reads it.
        shard: its number.
        size: in bytes.
    """

    def __init__(self, shards: ShardBytes, shard: int, size: int) -> None:
        self._shards, self._shard, self._size, self._place = shards, shard, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._place)
        content = self._shards.read(Range(self._shard, self._place, left if size < 0 else min(size, left)))
        self._place += len(content)
        return content


def open_parquet(shards: ShardBytes, number: int, shard: ShardFile) -> Any:
    """A parquet file, whose footer is read.

    Raises:
        ValueError: what is wrong with it, as the end of a sentence about it.
    """
    try:
        from pyarrow import parquet
    except ImportError:
        raise ValueError("is a parquet file, which pyarrow reads: pip install 'cnnlit[parquet]'") from None
    try:
        return parquet.ParquetFile(RangeFile(shards, number, shard.size), pre_buffer=False)
    except OSError:
        raise
    except Exception as error:  # pyarrow's errors are of many kinds
        raise ValueError(f"is damaged or cut short ({error}); download or copy it again") from None


def parquet_samples(shards: ShardBytes, number: int, shard: ShardFile) -> Iterator[Sample]:
    """All images of a parquet file, by its columns of labels and paths alone.

    Raises:
        ValueError: what is wrong with it, as the end of a sentence about it.
    """
    file = open_parquet(shards, number, shard)
    columns = [file.schema.column(each).path for each in range(len(file.schema))]
    image, label = _column(file, IMAGE_COLUMNS), _column(file, LABEL_COLUMNS)
    path = f"{image}.path"
    row_of_set = 0
    for group in range(file.metadata.num_row_groups):
        table = file.read_row_group(group, columns=[label, *([path] if path in columns else [])], use_threads=False)
        labels = table[label].to_pylist()
        told = [each and each["path"] for each in table[image].to_pylist()] if path in columns else [None] * len(labels)
        for row, (its, name) in enumerate(zip(labels, told, strict=True)):
            if its is None:
                raise ValueError(f"tells no class in row {row_of_set + row}")
            known = PurePath(name or "").name
            wnid = known[:9] if WNID.match(known) else None
            called = f"{row_of_set + row:07d}{'-' + known if known else ''}"
            yield Sample(called, (group << ROW_BITS) + row, len(labels), str(its), wnid)
        row_of_set += len(labels)


def told_classes(shards: ShardBytes, shard: ShardFile) -> list[str]:
    """The names of classes that the hub's metadata in a parquet file have, in the order of their labels; or none."""
    file = open_parquet(shards, 0, shard)
    metadata = (file.schema_arrow.metadata or {}).get(b"huggingface")
    features = json.loads(metadata).get("info", {}).get("features", {}) if metadata else {}
    names = features.get(_column(file, LABEL_COLUMNS), {}).get("names")
    return list(map(str, names)) if isinstance(names, list) else []


def _column(file: Any, names: Sequence[str]) -> str:
    found = file.schema_arrow.names
    for name in names:
        if name in found:
            return name
    raise ValueError(f"has the columns {', '.join(found)}; one of {', '.join(names)} is expected")


def _bytes_column(file: Any) -> str:
    """The column of the images' bytes: within one of pairs with their paths, or by itself."""
    from pyarrow import types

    name = _column(file, IMAGE_COLUMNS)
    return f"{name}.bytes" if types.is_struct(file.schema_arrow.field(name).type) else name


def _bytes_of(rows: Any) -> Any:
    from pyarrow import types

    return rows.field("bytes") if types.is_struct(rows.type) else rows
