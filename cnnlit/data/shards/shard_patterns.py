"""Patterns of shards' names: `imagenet-train-{0000..1023}.tar`, `train-*.parquet`."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from cnnlit.data.sources.folders import some

RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
CHOICE = re.compile(r"\{([^{}]*,[^{}]*)\}")


def is_pattern(name: str, suffixes: Iterable[str]) -> bool:
    """Whether a name is that of shards, and not of a folder."""
    return name.endswith(tuple(suffixes))


def expanded(pattern: str) -> Iterator[str]:
    """All names that braces stand for, as a shell has them: `{08..10}` for 08, 09 and 10, `{a,b}` for a and b."""
    if found := RANGE.search(pattern):
        first, last = found.groups()
        numbers = range(int(first), int(last) + 1)
        inside: Iterable[str] = (str(number).zfill(len(first)) for number in numbers)
    elif found := CHOICE.search(pattern):
        inside = found[1].split(",")
    else:
        yield pattern
        return
    for text in inside:
        yield from expanded(pattern[: found.start()] + text + pattern[found.end() :])


def matching(folder: Path, pattern: str, key: str) -> list[Path]:
    """The shards that a pattern names, below a folder or anywhere.

    Args:
        folder: that relative names are below.
        pattern: with braces, or with `*`.
        key: the option that names it, for messages.

    Raises:
        FileNotFoundError: if one of them is not there.
    """
    names = list(expanded(pattern))
    paths = [path for name in names for path in _found(folder, name)]
    missing = [path.name for path in paths if not path.is_file()]
    if missing or not paths:
        count = f"{len(missing):,} of {len(paths):,} shards ({some(missing)})" if paths else "all of them"
        raise FileNotFoundError(f"{key}={pattern}: {folder} lacks {count}")
    return paths


def _found(folder: Path, name: str) -> list[Path]:
    place = folder / Path(name).expanduser()
    return sorted(place.parent.glob(place.name)) if "*" in place.name else [place]
