"""Bytes of shards, by their place."""

import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from cnnlit.systems.portable import open_bytes, read_at

MOST_OPEN = 256
"""Shards that a process keeps open; of a set of more, each image opens its own."""


class Range(NamedTuple):
    """Bytes of a shard."""

    shard: int
    offset: int
    length: int


class ShardBytes(Protocol):
    """What reads shards, wherever they are."""

    def read(self, wanted: Range) -> bytes:
        """Bytes of a shard; fewer at its end.

        Raises:
            OSError: if they cannot be read.
        """
        ...

    def expect(self, wanted: Iterable[Range]) -> None:
        """Tell what will be read soon."""
        ...

    def once(self) -> "ShardBytes":
        """The same for who reads everything a single time: nothing of it is kept."""
        ...


class LocalShards:
    """Shards on a disk.

    Args:
        paths: of the shards.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        self._open: dict[int, int] = {}

    def __reduce__(self) -> tuple[type["LocalShards"], tuple[Sequence[str]]]:
        return LocalShards, (self._paths,)

    def __del__(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)

    def read(self, wanted: Range) -> bytes:
        """See ShardBytes. Not from a memory map: a failing disk would then end the process without a message."""
        if len(self._paths) <= MOST_OPEN:
            return read_at(self._descriptor(wanted.shard), wanted.length, wanted.offset)
        descriptor = open_bytes(self._paths[wanted.shard])
        try:
            return read_at(descriptor, wanted.length, wanted.offset)
        finally:
            os.close(descriptor)

    def expect(self, wanted: Iterable[Range]) -> None:
        """The disk may read ahead a whole batch before its first image is decoded."""
        if hasattr(os, "posix_fadvise") and len(self._paths) <= MOST_OPEN:
            for shard, offset, length in wanted:
                os.posix_fadvise(self._descriptor(shard), offset, length, os.POSIX_FADV_WILLNEED)

    def once(self) -> "LocalShards":
        """See ShardBytes."""
        return self

    def _descriptor(self, shard: int) -> int:
        if shard not in self._open:
            opened = open_bytes(self._paths[shard])
            if self._open.setdefault(shard, opened) != opened:
                os.close(opened)  # another thread was faster
        return self._open[shard]
