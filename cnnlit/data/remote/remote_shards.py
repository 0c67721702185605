"""Bytes of shards at an address: read ahead, neighbours at once, kept on this machine as far as there is room."""

import os
import shutil
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from cnnlit.data.remote.addresses import asked
from cnnlit.data.remote.range_requests import bytes_at
from cnnlit.data.shards.shard_files import Range
from cnnlit.data.shards.shard_index import ShardFile
from cnnlit.files import in_bytes

AT_ONCE = 64
"""Requests that a process makes at a time: with an answer in 50 ms, a batch of so many images takes no longer."""
MOST_AHEAD = 2048
"""Ranges that are read ahead and not asked for yet, before the oldest are forgotten."""
GAP_BYTES, SPAN_BYTES = 2**17, 2**22
"""Ranges that are no farther apart come in one request, which is no longer: a request costs as much as such a gap."""
SUM_BYTES = 4


class _Coming(NamedTuple):
    """A range that is read ahead."""

    span: Future[bytes]
    """The bytes of it and its neighbours."""
    at: int
    """Where in them it begins."""


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
        if coming is None:
            return self._obtained(wanted)
        return coming.span.result()[coming.at : coming.at + wanted.length]

    def expect(self, wanted: Iterable[Range]) -> None:
        """See ShardBytes."""
        with self._lock_of_process():
            new = {each for each in map(self._within, wanted) if each not in self._coming}
            for together in _neighbours(new - (here := set(filter(self._is_here, new)))):
                self._ask(together)
            for each in here:
                self._ask([each])
            while len(self._coming) > MOST_AHEAD:
                self._coming.popitem(last=False)

    def _ask(self, together: list[Range]) -> None:
        span = self._threads.submit(self._together, together)
        for each in together:
            self._coming[each] = _Coming(span, each.offset - together[0].offset)

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
        self._coming: OrderedDict[Range, _Coming] = OrderedDict()

    def _within(self, wanted: Range) -> Range:
        """As much of a range as there is."""
        shard, offset, length = wanted
        return Range(shard, offset, max(0, min(length, self._shards[shard].size - offset)))

    def _together(self, ranges: list[Range]) -> bytes:
        """The bytes from the first of some neighbours to the last."""
        if len(ranges) == 1:
            return self._obtained(ranges[0])
        shard, first, _ = ranges[0]
        end = max(each.offset + each.length for each in ranges)
        content = self._asked(Range(shard, first, end - first))
        for each in filter(self._has_room, ranges):
            at = each.offset - first
            _keep(self._kept(each), content[at : at + each.length])
        return content

    def _obtained(self, wanted: Range) -> bytes:
        has_room = self._has_room(wanted)
        if has_room and (content := _whole(self._kept(wanted), wanted.length)) is not None:
            return content
        content = self._asked(wanted)
        if has_room:
            _keep(self._kept(wanted), content)
        return content

    def _asked(self, wanted: Range) -> bytes:
        shard, offset, length = wanted
        address = self._shards[shard].path
        return asked(address, lambda: bytes_at(address, offset, length)) if length else b""

    def _is_here(self, wanted: Range) -> bool:
        return self._has_room(wanted) and self._kept(wanted).exists()

    def _has_room(self, wanted: Range) -> bool:
        return wanted.offset + wanted.length <= self._room[wanted.shard]

    def _kept(self, wanted: Range) -> Path:
        return self._folder / f"{wanted.shard:05d}" / f"{wanted.offset}-{wanted.length}"


def _neighbours(ranges: Iterable[Range]) -> Iterator[list[Range]]:
    """Ranges that are worth one request."""
    together: list[Range] = []
    for each in sorted(ranges):
        if together and not _is_near(together, each):
            yield together
            together = []
        together.append(each)
    if together:
        yield together


def _is_near(together: list[Range], following: Range) -> bool:
    (shard, first, _), last = together[0], together[-1]
    return (
        following.shard == shard
        and following.offset - (last.offset + last.length) <= GAP_BYTES
        and following.offset + following.length - first <= SPAN_BYTES
    )


def room_for(parts: dict[str, tuple[ShardFile, ...]], folder: Path, gb: float) -> dict[str, int]:
    """How many bytes of each shard this machine keeps, by its path.

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
    room: dict[str, int] = {}
    for part in sorted(parts, key=lambda part: part == "train"):  # what is tested is read after each epoch
        for shard in parts[part]:
            room[shard.path] = min(left, shard.size)
            left -= room[shard.path]
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
