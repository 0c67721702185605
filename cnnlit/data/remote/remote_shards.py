"""Bytes of shards at an address: read ahead, kept on this machine as far as there is room."""

import os
import shutil
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from cnnlit.data.remote.addresses import asked
from cnnlit.data.remote.fsspec_internals import bytes_at
from cnnlit.data.shards.shard_files import Range
from cnnlit.data.shards.shard_index import ShardFile
from cnnlit.files import in_bytes

AT_ONCE = 32
"""Ranges that a process asks for at a time."""
MOST_AHEAD = 2048
"""Ranges that are read ahead and not asked for yet, before the oldest are forgotten."""
SUM_BYTES = 4


class RemoteShards:
    """Shards at an address. See ShardBytes.

    What is kept on this machine is what lies in the first bytes of all shards together: every epoch shows each image
    once, so that what was shown last is not needed sooner than anything else, and whatever is kept from the beginning
    saves as much. Processes of a machine share it without a word: each file is written whole or not at all.

    Args:
        shards: all of them.
        folder: where ranges are kept.
        room: for how many of the bytes of each shard, from its beginning.
    """

    def __init__(self, shards: Sequence[ShardFile], folder: Path, room: Sequence[int]) -> None:
        self._shards, self._folder, self._room = shards, folder, room
        self._begin()

    def __reduce__(self) -> tuple[type["RemoteShards"], tuple[Sequence[ShardFile], Path, Sequence[int]]]:
        return RemoteShards, (self._shards, self._folder, self._room)

    def read(self, wanted: Range) -> bytes:
        """See ShardBytes: at once, if it was expected.

        Raises:
            OSError: one line that names the shard, after some attempts.
        """
        wanted = self._within(wanted)
        with self._lock_of_process():
            coming = self._coming.pop(wanted, None)
        return coming.result() if coming else self._obtained(wanted)

    def expect(self, wanted: Iterable[Range]) -> None:
        """See ShardBytes."""
        with self._lock_of_process():
            for each in map(self._within, wanted):
                if each not in self._coming:
                    self._coming[each] = self._threads.submit(self._obtained, each)
            while len(self._coming) > MOST_AHEAD:
                self._coming.popitem(last=False)[1].cancel()

    def once(self) -> "RemoteShards":
        """See ShardBytes."""
        return RemoteShards(self._shards, self._folder, [0] * len(self._shards))

    def _lock_of_process(self) -> threading.Lock:
        if self._process != os.getpid():  # the threads of the process that forked this one are not here
            self._begin()
        return self._lock

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(AT_ONCE, "shards")
        self._coming: OrderedDict[Range, Future[bytes]] = OrderedDict()

    def _within(self, wanted: Range) -> Range:
        """As much of a range as there is."""
        shard, offset, length = wanted
        return Range(shard, offset, max(0, min(length, self._shards[shard].size - offset)))

    def _obtained(self, wanted: Range) -> bytes:
        shard, offset, length = wanted
        kept = self._kept(wanted) if offset + length <= self._room[shard] else None
        if kept is not None and (content := _whole(kept, length)) is not None:
            return content
        address = self._shards[shard].path
        content = asked(address, lambda: bytes_at(address, offset, length)) if length else b""
        if kept is not None:
            _keep(kept, content)
        return content

    def _kept(self, wanted: Range) -> Path:
        return self._folder / f"{wanted.shard:05d}" / f"{wanted.offset}-{wanted.length}"


def room_for(parts: dict[str, tuple[ShardFile, ...]], folder: Path, gb: float) -> dict[str, list[int]]:
    """How many bytes of each shard this machine keeps.

    Args:
        parts: the shards of each part of a set.
        folder: where it keeps them.
        gb: for all of them.

    Raises:
        OSError: one line, if the disk has not as much room.
    """
    left = int(gb * 1e9)
    needed = min(left, sum(shard.size for shards in parts.values() for shard in shards))
    there = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    place = next(each for each in (folder, *folder.parents) if each.exists())
    if needed - there > (free := shutil.disk_usage(place).free):
        raise OSError(f"data.cache_gb={gb:g}: {in_bytes(free)} are free in {place}; data.cache_dir= names another disk")
    room: dict[str, list[int]] = {}
    for part in sorted(parts, key=lambda part: part == "train"):  # what is tested is read after each epoch
        room[part] = []
        for shard in parts[part]:
            room[part].append(min(left, shard.size))
            left -= room[part][-1]
    return room


def _whole(path: Path, length: int) -> bytes | None:
    """What was kept, if it is as it was written."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    total, content = content[:SUM_BYTES], content[SUM_BYTES:]
    return content if len(content) == length and zlib.crc32(content) == int.from_bytes(total, "little") else None


def _keep(path: Path, content: bytes) -> None:
    """Keep a range, if the disk lets one; not synced: a sum tells whether it was written to its end."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(zlib.crc32(content).to_bytes(SUM_BYTES, "little") + content)
        os.replace(aside, path)
