"""Recognise shards in a folder: tar files as WebDataset has them, parquet files as the hub has them."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from cnnlit.data.shards.parquet_images import ParquetReader, parquet_samples, told_classes
from cnnlit.data.shards.samples import Sample, tar_samples
from cnnlit.data.shards.shard_classes import classes_of
from cnnlit.data.shards.shard_files import LocalShards, Range, ShardBytes
from cnnlit.data.shards.shard_index import BESIDE, ShardFile, ShardIndex, cache_folder, local_shard, open_index
from cnnlit.data.shards.shard_patterns import is_pattern, matching
from cnnlit.data.shards.sharded_images import ShardedImages, ShardReader, TarReader
from cnnlit.data.shards.tar_members import WINDOW
from cnnlit.data.sources.archives import ARCHIVES
from cnnlit.data.sources.folders import WNID, ImageFiles, Listing, folders_in, some
from cnnlit.data.sources.named_splits import AS_USUAL, NAMES, Named

FAR_WINDOW = 2**24
"""Bytes of a far shard that are read at a time for its index, where an answer takes longer than bytes do."""

KINDS = {".tar": "tar shards", ".parquet": "parquet files"}
"""Suffixes of shards, and what a set of them is called."""

INSIDE_SHARDS = ("", "data", "default")
"""Where shards may be in a folder: in itself, or where the hub has them in there."""

Parts = dict[str, list[ShardFile]]
"""The shards of each part of a set: `train`, `val`, `test`."""


def find_shards(folder: Path, named: Named = AS_USUAL) -> Listing | None:
    """A set in shards whose names, or folders, tell what they are for; or that options name.

    Raises:
        FileNotFoundError: if a shard that is named is not there.
        ValueError: if one is damaged, or its images have no classes.
    """
    if any(named):
        return _listing(folder, parts) if (parts := _named(folder, named)) else None
    if any(name.lower() in NAMES["train"] and folders_in(folder / name) for name in folders_in(folder)):
        return None  # class folders, beside which archives may lie
    for place in (folder / name for name in INSIDE_SHARDS if (folder / name).is_dir()):
        below = {name: _shards_in(place / name) for name in folders_in(place)}
        if parts := (by_name(place, _shards_in(place)) or in_folders(place, below)):
            return _listing(place, parts)
    return None


def find_loose_shards(folder: Path) -> Listing | None:
    """Shards whose names do not tell what they are for: images to train on, of which some are held out."""
    shards = _shards_in(folder)
    return _listing(folder, {"train": shards}) if shards else None


def _shards_in(folder: Path) -> list[ShardFile]:
    """The shards in a folder, of one kind, sorted; without ImageNet's archives, which are extracted."""
    for suffix in KINDS:
        paths = [path for path in sorted(folder.glob(f"*{suffix}")) if path.is_file() and not _is_archive(path)]
        if paths:
            return list(map(local_shard, paths))
    return []


def _is_archive(path: Path) -> bool:
    return path.name.startswith(".") or path.name in ARCHIVES.values() or bool(WNID.fullmatch(path.stem))


def by_name(folder: Path, shards: Sequence[ShardFile]) -> Parts:
    """Parts by a word in the names of shards: `imagenet1k-train-0000.tar`; none if there is no such word.

    Raises:
        ValueError: if some shards have no such word, or two.
    """
    part_of = {shard: _part_in(shard.name) for shard in shards}
    if not any(part_of.values()):
        return {}
    if untold := [shard.name for shard, part in part_of.items() if part is None]:
        raise ValueError(
            f"{folder}: the names of {some(untold)} do not tell whether to train on them; data.train= and data.val= do"
        )
    return {part: its for part in NAMES if (its := [shard for shard in shards if part_of[shard] == part])}


def _part_in(name: str) -> str | None:
    words = set(re.findall("[a-z]+", name.lower()))
    found = [part for part, names in NAMES.items() if not words.isdisjoint(names)]
    return found[0] if len(found) == 1 else None


def in_folders(folder: Path, below: dict[str, list[ShardFile]]) -> Parts:
    """Parts in folders of their own: `train/00000.tar`.

    Args:
        folder: that holds them.
        below: the shards of each folder in it.

    Raises:
        ValueError: if two folders are one part.
    """
    found: Parts = {}
    for name, shards in below.items():
        part = next((part for part, names in NAMES.items() if name.lower() in names), None)
        if part and shards:
            if part in found:
                raise ValueError(f"{folder} has {name} and another folder for the same part; data.{part}= chooses")
            found[part] = shards
    return found


def _named(folder: Path, named: Named) -> Parts:
    """The shards that options name, by a folder of them or by a pattern of their names."""
    found: Parts = {}
    for part, name in named._asdict().items():
        if not name:
            continue
        place = folder / Path(name).expanduser()
        if is_pattern(name, KINDS):
            found[part] = list(map(local_shard, matching(folder, name, f"data.{part}")))
        elif place.is_dir() and (shards := _shards_in(place)):
            found[part] = shards
    if found and len(found) < sum(map(bool, named)):
        lacking = next(part for part, name in named._asdict().items() if name and part not in found)
        raise ValueError(f"data.{lacking}={getattr(named, lacking)}: no shards, and {named.said()} name some")
    return found


def _listing(folder: Path, parts: Parts) -> Listing:
    files = {part: tuple(shards) for part, shards in parts.items()}
    suffix = Path(next(iter(files.values()))[0].name).suffix
    return listing_of(folder, files, suffix, lambda shards: LocalShards([shard.path for shard in shards]), _places)


def _places(shards: Sequence[ShardFile]) -> list[Path]:
    return [Path(shards[0].path).parent / BESIDE, cache_folder() / "shards"]


@dataclass(frozen=True)
class _Part:
    """A part of a set."""

    shards: tuple[ShardFile, ...]
    index: ShardIndex
    reader: ShardReader


def listing_of(
    folder: Path,
    files: dict[str, tuple[ShardFile, ...]],
    suffix: str,
    opened: Callable[[Sequence[ShardFile]], ShardBytes],
    places: Callable[[Sequence[ShardFile]], Sequence[Path]],
) -> Listing:
    """A set in shards, of which an index is made where there is none.

    Args:
        folder: that holds them.
        files: the shards of each part.
        suffix: of all of them.
        opened: what reads shards.
        places: where the index of some may be kept.

    Raises:
        ValueError: see find_shards.
    """
    parts = {part: _part(shards, suffix, opened(shards), places(shards)) for part, shards in files.items()}
    unlabelled = [part for part, its in parts.items() if part != "train" and its.index.labels == ["-1"]]
    parts = {part: its for part, its in parts.items() if part not in unlabelled}
    classes = classes_of({part: its.index for part, its in parts.items()}, folder)
    sets = {
        part: ShardedImages(folder, its.shards, its.index.kept, its.reader, classes.label_of(its.index))
        for part, its in parts.items()
    }
    remarks = tuple(f"{folder}: {part} tells no classes, and is not used" for part in unlabelled)
    none = ImageFiles(folder, np.array([], np.bytes_), torch.empty(0, dtype=torch.int64))
    val, test = sets.get("val"), sets.get("test")
    if test is None:
        val, test = None, val
        remarks += _on_test(folder, classes.ids) if test is not None and "train" in sets else ()
    return Listing(KINDS[suffix], sets.get("train", none), test, classes.ids, classes.names, val, remarks)


def _on_test(folder: Path, classes: list[str]) -> tuple[str, ...]:
    """A word on what is tested where there is no test set; ImageNet's classes need none. See remarks_on."""
    if all(map(WNID.fullmatch, classes)):
        return ()
    return (
        f"{folder}: there is no test set, so the shards for validation are for the test, and images for validation are "
        "held out of those to train on",
    )


def _part(shards: tuple[ShardFile, ...], suffix: str, reading: ShardBytes, places: Sequence[Path]) -> _Part:
    numbers = {shard.path: number for number, shard in enumerate(shards)}
    once = reading.once()
    if suffix == ".tar":

        def read(shard: ShardFile) -> Iterable[Sample]:
            number = numbers[shard.path]
            window = FAR_WINDOW if shard.is_far else WINDOW
            return tar_samples(lambda offset, length: once.read(Range(number, offset, length)), window)

        return _Part(shards, open_index(shards, read, list, places), TarReader(reading))

    def rows(shard: ShardFile) -> Iterator[Sample]:
        return parquet_samples(once, numbers[shard.path], shard)

    told = partial(told_classes, once, shards[0])
    return _Part(shards, open_index(shards, rows, told, places), ParquetReader(reading, shards))
