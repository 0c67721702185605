"""The index of a set of shards: where each image is, and its class; made once, and mapped by whoever reads it.

<sum>.json           the shards that it is of, their classes, and what else they say; written last
<sum>.records.npy    the place and the class of each image, in the order of the shards
<sum>.names.npy      their names

They lie in `.cnnlit` beside the shards, or where nothing can be written there, in the cache of this machine. The sum is
of the shards' names, lengths and dates, so that shards that have changed are indexed anew.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnnlit.data.loading.threads import in_order as called_in_order
from cnnlit.data.shards.samples import Sample
from cnnlit.files import Lock, UnwritableError, check_place, make_folder, progress, write_json, writing

FORMAT = 1
FAR_AT_ONCE = 8
"""Far shards that are read at a time for their index."""
BESIDE = ".cnnlit"
RECORD = np.dtype([("shard", "<u4"), ("length", "<u4"), ("place", "<u8"), ("label", "<u4")])
"""One image: see Sample. The label is a number in `ShardIndex.labels`."""


class ShardFile(NamedTuple):
    """A shard."""

    path: str
    """Or its address."""
    size: int
    """In bytes."""
    stamp: str
    """What changes when its content does."""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def is_far(self) -> bool:
        """Whether it is read from an address."""
        return "://" in self.path


class ShardIndex:
    """A mapped index.

    Args:
        kept: the path of its files, without their suffixes.

    Attributes:
        records: [N] of RECORD.
        names: bytes [N].
        labels: the classes as the shards tell them, sorted: numbers by their size.
        wnids: of each label the WordNet id that the names of its images begin with, and those of no other.
        told: the names of classes that the shards tell, in the order of their numbers; or none.
    """

    def __init__(self, kept: Path) -> None:
        about: dict[str, Any] = json.loads(_suffixed(kept, "json").read_bytes())
        self.kept = kept
        self.records: NDArray[Any] = np.load(_suffixed(kept, "records.npy"), mmap_mode="r")
        self.names: NDArray[np.bytes_] = np.load(_suffixed(kept, "names.npy"), mmap_mode="r")
        self.labels: list[str] = about["labels"]
        self.wnids: dict[str, str] = about["wnids"]
        self.told: list[str] = about["told"]

    def __len__(self) -> int:
        return len(self.records)


def open_index(
    shards: Sequence[ShardFile],
    read: Callable[[ShardFile], Iterable[Sample]],
    told: Callable[[], list[str]],
    places: Sequence[Path],
) -> ShardIndex:
    """The index of shards, made if there is none of them as they are now.

    Args:
        shards: in the order of their images.
        read: the images of one.
        told: the names of classes that they tell.
        places: where it may be kept, the first choice first.

    Raises:
        ValueError: one line that names a shard that is damaged, or tells no classes.
        UnwritableError: if it can be kept nowhere.
    """
    name = _sum_of(shards)
    for place in places:
        if _suffixed(place / name, "json").is_file():
            return ShardIndex(place / name)
    place = _writable(places)
    lock = Lock(place)
    lock.take(wait=True)
    try:
        if not _suffixed(place / name, "json").is_file():  # another process was faster
            _write(place / name, shards, read, told)
    finally:
        lock.give_back()
    return ShardIndex(place / name)


def cache_folder() -> Path:
    """Where this machine keeps what can be made again: `$XDG_CACHE_HOME/cnnlit`, by default `~/.cache/cnnlit`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "cnnlit"


def local_shard(path: Path) -> ShardFile:
    """A shard on the disk."""
    status = path.stat()
    return ShardFile(str(path), status.st_size, str(status.st_mtime_ns))


def _writable(places: Sequence[Path]) -> Path:
    for place in places[:-1]:
        try:
            check_place(place, "index")
            make_folder(place)
        except OSError:
            continue
        return place
    try:
        make_folder(places[-1])
    except UnwritableError as error:
        raise UnwritableError(f"an index of shards cannot be kept: {error}; XDG_CACHE_HOME names another") from None
    return places[-1]


def _write(
    kept: Path,
    shards: Sequence[ShardFile],
    read: Callable[[ShardFile], Iterable[Sample]],
    told: Callable[[], list[str]],
) -> None:
    texts: dict[str, int] = {}
    wnids: dict[str, set[str | None]] = {}
    parts = []
    threads = FAR_AT_ONCE if shards[0].is_far else 1

    def samples(shard: ShardFile) -> list[Sample]:
        try:
            return list(read(shard))
        except (ValueError, OSError) as error:
            raise ValueError(f"{shard.path} {_said(error)}") from None

    every = called_in_order(samples, shards, threads, ahead=threads)
    for number, its in enumerate(progress(every, "indexing shards", len(shards))):
        parts.append(_table(number, its, texts, wnids))
    labels = in_order(texts)
    number_of = {text: number for number, text in enumerate(labels)}
    records, names = (np.concatenate([part[which] for part in parts]) for which in (0, 1))
    records["label"] = np.array([number_of[text] for text in texts] or [0], np.uint32)[records["label"]]
    for suffix, array in (("records.npy", records), ("names.npy", names)):
        with writing(_suffixed(kept, suffix)) as file:
            np.save(file, array)
    about = {"format": FORMAT, "shards": [shard.name for shard in shards], "images": len(records), "labels": labels}
    write_json(_suffixed(kept, "json"), {**about, "wnids": _distinct(wnids), "told": told()})
    _remove_older(kept, about["shards"])


def _said(error: Exception) -> str:
    """A sentence about a shard that begins with its name."""
    from cnnlit.data.shards.tar_members import DamagedTarError

    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror or error})"
    if isinstance(error, DamagedTarError):
        return f"is damaged or cut short ({error}); download or copy it again"
    return str(error)


def _table(
    number: int, samples: Iterable[Sample], texts: dict[str, int], wnids: dict[str, set[str | None]]
) -> tuple[NDArray[Any], NDArray[np.bytes_]]:
    """The records and names of one shard's images; labels are numbered as they come."""
    rows, names = [], []
    for name, place, length, label, wnid in samples:
        if label not in texts:
            texts[label] = len(texts)
            wnids[label] = set()
        wnids[label].add(wnid)
        rows.append((number, length, place, texts[label]))
        names.append(os.fsencode(name))
    return np.array(rows, RECORD), np.array(names, np.bytes_)


def in_order(texts: Iterable[str]) -> list[str]:
    """Classes in the order of their labels: numbers by their size, others sorted."""
    texts = list(texts)
    return sorted(texts, key=int) if all(map(str.isdecimal, texts)) else sorted(texts)


def _distinct(wnids: dict[str, set[str | None]]) -> dict[str, str]:
    """Of each label its WordNet id, if all of its images have it, and those of no other label."""
    single = {label: wnid for label, its in wnids.items() if len(its) == 1 and (wnid := next(iter(its)))}
    return single if len(set(single.values())) == len(wnids) else {}


def _remove_older(kept: Path, shards: Any) -> None:
    """Remove indices of the same shards as they were before."""
    for path in kept.parent.glob("*.json"):
        if path.stem != kept.name and json.loads(path.read_bytes())["shards"] == shards:
            for suffix in ("json", "records.npy", "names.npy"):
                _suffixed(path.with_suffix(""), suffix).unlink(missing_ok=True)


def _suffixed(kept: Path, suffix: str) -> Path:
    return kept.with_name(f"{kept.name}.{suffix}")


def _sum_of(shards: Iterable[ShardFile]) -> str:
    told: Iterator[tuple[str, ...]] = ((shard.name, str(shard.size), shard.stamp) for shard in shards)
    return hashlib.sha256(json.dumps([FORMAT, *told]).encode()).hexdigest()[:20]
