"""Shards at an address of which this machine holds some: a store that is divided over machines."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from cnnlit.data.loading.threads import in_order
from cnnlit.data.remote.addresses import asked
from cnnlit.data.remote.range_requests import bytes_at
from cnnlit.data.shards.shard_files import LocalShards, Range, ShardBytes
from cnnlit.data.shards.shard_index import FAR_AT_ONCE, ShardFile
from cnnlit.data.sources.folders import some

SAMPLE_BYTES = 2**16
"""From the middle of each copy, which are compared with what lies at the address."""


class PartlyHere:
    """Shards that are read here where they are here, and from afar where they are not. See ShardBytes.

    Args:
        copies: the path of each shard's copy; empty where there is none.
        far: what reads the others.
    """

    def __init__(self, copies: Sequence[str], far: ShardBytes) -> None:
        self._copies, self._far = copies, far
        self._near = LocalShards(copies)

    def read(self, wanted: Range) -> bytes:
        """See ShardBytes."""
        return (self._near if self._copies[wanted.shard] else self._far).read(wanted)

    def expect(self, wanted: Iterable[Range]) -> None:
        """See ShardBytes."""
        wanted = list(wanted)
        self._far.expect(each for each in wanted if not self._copies[each.shard])
        self._near.expect(each for each in wanted if self._copies[each.shard])

    def once(self) -> "PartlyHere":
        """See ShardBytes."""
        return PartlyHere(self._copies, self._far.once())


def copies_in(folder: str, address: str, shards: Sequence[ShardFile]) -> dict[str, str]:
    """The copies of shards in a folder, by the shards' addresses.

    Args:
        folder: that holds some of them, where they lie below the address, or by their names alone.
        address: of the set.
        shards: all of them.

    Raises:
        ValueError: one line, if there are none, or one is not what lies at its address.
        OSError: if the address does not answer.
    """
    place = Path(folder).expanduser()
    if not place.is_dir():
        raise ValueError(f"data.copies={folder}: there is no such folder; leave it out where there are no copies")
    times = Counter(shard.name for shard in shards)
    found: list[tuple[ShardFile, Path]] = []
    for shard in shards:
        names = [shard.path.removeprefix(f"{address}/"), *([shard.name] if times[shard.name] == 1 else [])]
        found += [(shard, path) for path in (place / name for name in names) if path.is_file()][:1]
    if not found:
        holds = some([shard.name for shard in shards])
        raise ValueError(f"data.copies={folder}: none of the shards of {address} is there ({holds}); leave it out")
    return dict(in_order(_checked, found, FAR_AT_ONCE, ahead=FAR_AT_ONCE))


def _checked(copy: tuple[ShardFile, Path]) -> tuple[str, str]:
    """The addresses of a shard and of its copy, which has its length, and the same bytes in the middle."""
    shard, path = copy
    if (size := path.stat().st_size) != shard.size:
        raise ValueError(f"{path} has {size:,} bytes, and {shard.path} {shard.size:,}; copy it again, or remove it")
    first, length = max(0, (size - SAMPLE_BYTES) // 2), min(size, SAMPLE_BYTES)
    here = LocalShards([str(path)]).read(Range(0, first, length))
    if length and here != asked(shard.path, lambda: bytes_at(shard.path, first, length)):
        raise ValueError(f"{path} is no copy of {shard.path}: it has other bytes; copy it again, or remove it")
    return shard.path, str(path)
