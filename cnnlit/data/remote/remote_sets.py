"""Recognise a set at an address: a prepared store, tar shards, parquet files."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnlit.data.loading.threads import in_order
from cnnlit.data.remote.addresses import (
    NOTHING_CACHED,
    Address,
    Cached,
    as_address,
    asked,
    file_system,
    is_address,
    protocol_of,
)
from cnnlit.data.remote.range_requests import bytes_at
from cnnlit.data.remote.remote_shards import RemoteShards, room_for
from cnnlit.data.remote.shard_copies import PartlyHere, copies_in
from cnnlit.data.shards.shard_files import ShardBytes
from cnnlit.data.shards.shard_index import FAR_AT_ONCE, ShardFile, cache_folder
from cnnlit.data.shards.shard_layouts import INSIDE_SHARDS, KINDS, Parts, by_name, in_folders, listing_of
from cnnlit.data.shards.shard_patterns import expanded, is_pattern
from cnnlit.data.sources.folders import Listing, some
from cnnlit.data.sources.layouts import find_images
from cnnlit.data.sources.named_splits import AS_USUAL, Named
from cnnlit.data.stores.store import COMPLETE, Split, StoredImages, read_about, shard_name
from cnnlit.files import progress, write_whole


def find_anywhere(root: str | Path, source: str, named: Named, cached: Cached, *, as_0_1: bool = False) -> Listing:
    """The images in a folder, see find_images, or at an address, see find_remote.

    Raises:
        ValueError: beside theirs, for a cache where nothing is far.
    """
    if is_address(root):
        return find_remote(root, named, cached)
    if cached != NOTHING_CACHED:
        keys = "data.cache_dir, data.cache_gb and data.copies"
        raise ValueError(f"{keys} are for addresses, and {root} is a folder; leave them out")
    return find_images(root, source, named, as_0_1=as_0_1)


def find_remote(root: object, named: Named = AS_USUAL, cached: Cached = NOTHING_CACHED) -> Listing:
    """The images at an address.

    Args:
        root: the address of a folder.
        named: patterns of the shards of its parts, where their names do not tell.
        cached: what this machine has of them, or keeps.

    Raises:
        FileNotFoundError: if nothing is recognised; says what was found.
        ValueError: if what is recognised is damaged or contradicts itself, or copies of it do.
        OSError: if the address does not answer, or the cache has no room.
    """
    address = as_address(root)
    if any(named):
        parts = {part: _matching(address, part, name) for part, name in named._asdict().items() if name}
        return _listing(address, parts, cached)
    files = _files(address)
    if COMPLETE in files:
        return _store(address, files, cached)
    for inside in INSIDE_SHARDS:
        below = _below(files, inside)
        if parts := (by_name(Address(address), below.get("", [])) or in_folders(Address(address), below)):
            return _listing(address, parts, cached)
    if loose := _below(files, "").get(""):
        return _listing(address, {"train": loose}, cached)
    holds = f"holds {some(sorted(files))}" if files else "is empty, or not there"
    raise FileNotFoundError(
        f"{address} {holds}; expected a prepared store (prepared.json), tar shards (train-00000.tar) or parquet files "
        "(train-00000-of-00001.parquet); data.train= and data.val= name shards of other names"
    )


def _files(address: str) -> dict[str, ShardFile]:
    """The files at an address and in the folders there, by their path below it."""
    protocol = protocol_of(address)
    files = file_system(protocol)
    found: dict[str, dict[str, Any]] = asked(address, lambda: files.find(address, maxdepth=3, detail=True))
    begin = (address if protocol.startswith("http") else address.partition("://")[2]) + "/"

    shards = _told(protocol, found)
    return {path.removeprefix(begin): shard for path, shard in zip(sorted(found), shards, strict=True)}


def _told(protocol: str, found: dict[str, dict[str, Any]]) -> list[ShardFile]:
    """Files that were found, sorted, each asked for where only its name is told, as in a page of links."""
    files = file_system(protocol)

    def shard(path: str) -> ShardFile:
        about = found[path]
        if about.get("size") is None:
            about = asked(path, lambda: files.info(path))
        return _shard(protocol, path, about)

    return list(in_order(shard, sorted(found), FAR_AT_ONCE, ahead=FAR_AT_ONCE))


def _shard(protocol: str, path: str, about: dict[str, Any]) -> ShardFile:
    address = path if "://" in path else f"{protocol}://{path}"
    told = (about.get(key) for key in ("ETag", "etag", "LastModified", "updated", "mtime", "created"))
    if (size := about.get("size")) is None:
        raise ValueError(f"{address}: the server does not tell how long it is, so parts of it cannot be asked for")
    return ShardFile(address, int(size), str(next((each for each in told if each), "")))


def _below(files: dict[str, ShardFile], inside: str) -> dict[str, list[ShardFile]]:
    """The shards in a folder, and in the folders in it by their names."""
    found: dict[str, list[ShardFile]] = {}
    for path, shard in files.items():
        folder, _, name = path.rpartition("/")
        within = folder == inside or not inside or folder.startswith(f"{inside}/")
        if name.endswith(tuple(KINDS)) and within:
            found.setdefault(folder.removeprefix(inside).strip("/"), []).append(shard)
    return found


def _matching(address: str, part: str, pattern: str) -> list[ShardFile]:
    """The shards that a pattern names, each of which is asked for.

    Raises:
        FileNotFoundError: if one is not there.
        ValueError: if it is no pattern of shards.
    """
    if not is_pattern(pattern, KINDS):
        raise ValueError(f"data.{part}={pattern}: at an address, a pattern that ends in .tar or .parquet names shards")
    whole = pattern if "://" in pattern else f"{address}/{pattern}"
    protocol = protocol_of(whole)
    files = file_system(protocol)
    if "*" in whole:
        found = asked(whole, lambda: files.glob(whole, detail=True))
        if not found:
            raise FileNotFoundError(f"data.{part}={pattern}: {address} holds none of them")
        return _told(protocol, found)
    names = list(expanded(whole))
    told = progress(((name, asked(name, lambda n=name: files.info(n))) for name in names), "shards", len(names))  # type: ignore[misc]
    return [_shard(protocol, name, about) for name, about in told]


def _listing(address: str, parts: Parts, cached: Cached) -> Listing:
    files = {part: tuple(shards) for part, shards in parts.items()}
    suffix = "." + next(iter(files.values()))[0].name.rpartition(".")[2]
    opened = _opener(address, files, cached)
    return listing_of(Address(address), files, suffix, opened, lambda _: [_cache(cached) / "shards"])


def _cache(cached: Cached) -> Path:
    return Path(cached.folder).expanduser() if cached.folder else cache_folder()


def _opener(address: str, files: dict[str, tuple[ShardFile, ...]], cached: Cached) -> Any:
    every = [shard for shards in files.values() for shard in shards]
    folder = _cache(cached) / "ranges" / _sum_of(every)
    copies = copies_in(cached.copies, address, every) if cached.copies else {}
    far = {part: tuple(shard for shard in shards if shard.path not in copies) for part, shards in files.items()}
    room = room_for(far, folder, cached.gb)

    def opened(shards: Sequence[ShardFile]) -> ShardBytes:
        part = next(part for part, its in files.items() if its == shards)
        remote = RemoteShards(shards, folder / part, [room.get(shard.path, 0) for shard in shards])
        here = [copies.get(shard.path, "") for shard in shards]
        return PartlyHere(here, remote) if any(here) else remote

    return opened


def _store(address: str, files: dict[str, ShardFile], cached: Cached) -> Listing:
    """A store, whose index lies on this machine."""
    indices = [name for name in files if name.endswith((".index.npy", ".names.npy"))]
    folder = _cache(cached) / "stores" / _sum_of([files[name] for name in [COMPLETE, *indices]])
    for name in (*indices, COMPLETE):
        if not (folder / name).is_file():
            shard = files[name]
            content = asked(shard.path, lambda shard=shard: bytes_at(shard.path, 0, shard.size))  # type: ignore[misc]
            write_whole(folder / name, content)
    about = read_about(folder)
    shards = {split: _shards_of(address, files, about, split) for split in about["splits"]}
    opened = _opener(address, shards, cached)
    sets = {split: StoredImages(folder, split, None, opened(its), Address(address)) for split, its in shards.items()}
    return Listing("prepared", sets["train"], sets.get("val"), about["classes"], about["class_names"], sets.get("dev"))


def _shards_of(address: str, files: dict[str, ShardFile], about: Any, split: Split) -> tuple[ShardFile, ...]:
    """The shards of a split of a store.

    Raises:
        ValueError: if one is missing or has another length.
    """
    lengths = {name: size for name, size in about["splits"][split]["files"].items() if name.endswith(".bin")}
    for name, length in lengths.items():
        if name not in files or files[name].size != length:
            has = f"has {files[name].size:,} bytes" if name in files else "is missing"
            raise ValueError(f"{address}/{name} {has} where {length:,} were written; copy it again")
    return tuple(files[shard_name(split, number)] for number in range(len(lengths)))


def _sum_of(shards: Sequence[ShardFile]) -> str:
    return hashlib.sha256(json.dumps([list(shard) for shard in shards]).encode()).hexdigest()[:20]
