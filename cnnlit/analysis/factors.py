"""What differs between runs: the keys of their configurations, grouped into factors with levels."""

import json
import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnlit.runs.records import RunRecord

INCIDENTAL = {
    *("seed", "replicas", "run_root", "resume", "num_threads", "logger"),
    *("checkpoint_minutes", "requeue", "timeout_seconds"),
}
"""Keys that say where a run was made and not what it is, with everything below them."""

INCIDENTAL_ENDINGS = (".root", ".folder", "_dir")
ABSENT = "absent"

Partition = tuple[int, ...]
"""For each run, the number of its level."""


@dataclass(frozen=True)
class Factor:
    """Something that differs between runs.

    Attributes:
        key: the one that describes it best.
        keys: all that change exactly when it does, `key` included.
        names: of its levels.
        levels: for each run, the number of its level.
    """

    key: str
    keys: tuple[str, ...]
    names: tuple[str, ...]
    levels: Partition

    @property
    def word(self) -> str:
        """`pooling` of `model.pooling`."""
        return self.key.removesuffix("._target_").rpartition(".")[2]


def flat(config: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested mappings as `{"model.pooling": "max"}`; lists count as values."""
    values: dict[str, Any] = {}
    for key, value in config.items():
        path = f"{above}{key}"
        values |= flat(value, f"{path}.") if isinstance(value, Mapping) and value else {path: value}
    return values


def bundles(records: Sequence[RunRecord]) -> dict[Partition, list[str]]:
    """The keys that differ, grouped by how they change together."""
    configs = [flat(record.config) for record in records]
    together: dict[Partition, list[str]] = {}
    for key in dict.fromkeys(key for config in configs for key in config):
        values = [ABSENT if config.get(key) in (None, [], {}) else config[key] for config in configs]
        levels = numbered(map(_canonical, values))
        if max(levels) and not _is_incidental(key) and values != [record.seed for record in records]:
            together.setdefault(levels, []).append(key)
    return together


def find_factors(records: Sequence[RunRecord]) -> list[Factor]:
    """What differs, leaving out whatever follows from another difference."""
    together = bundles(records)
    configs = [flat(record.config) for record in records]
    order = {key: place for place, key in enumerate(dict.fromkeys(key for config in configs for key in config))}
    found = [_factor(records, configs, together[levels], levels) for levels in _telling(list(together))]
    return sorted(found, key=lambda factor: order.get(factor.keys[0], 0))


def _telling(partitions: Sequence[Partition]) -> list[Partition]:
    """The partitions that no other determines; one that is the product of coarser ones is replaced by these.

    A learning rate that is set per activation is not a factor, nor is one set per activation and pooling.
    """
    found: dict[Partition, None] = {}
    for levels in sorted(partitions, key=max, reverse=True):
        if any(follows(levels, other) for other in found):
            continue
        coarser = [other for other in partitions if other != levels and follows(other, levels)]
        crossed = _telling(coarser)
        if len(crossed) > 1 and math.prod(max(each) + 1 for each in crossed) == max(levels) + 1:
            found |= dict.fromkeys(crossed)
        elif max(levels):
            found[levels] = None
    # A product follows from all of its factors together, not from any one of them.
    return [one for one in found if not any(one != other and follows(one, other) for other in found)]


def asked_for(records: Sequence[RunRecord], factors: Sequence[Factor], key: str) -> Factor:
    """The factor for a key that the user wants the arms named by.

    Raises:
        ValueError: if the runs do not differ in it.
    """
    for factor in factors:
        if key in (factor.key, *factor.keys):
            return factor
    configs = [flat(record.config) for record in records]
    known = {name for config in configs for name in config}
    path = key if key in known else f"{key}._target_"
    levels = numbered(_canonical(config.get(path, ABSENT)) for config in configs)
    if path not in known or max(levels, default=0) == 0:
        there = ", ".join(dict.fromkeys(factor.key for factor in factors)) or "nothing"
        raise ValueError(f"by={key}: the runs do not differ in it; they differ in {there}")
    return Factor(path, (path,), _names(path, configs, levels), levels)


def _is_incidental(key: str) -> bool:
    return key.partition(".")[0] in INCIDENTAL or key.endswith(INCIDENTAL_ENDINGS)


def _canonical(value: Any) -> Hashable:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)  # 0 and 0.0 are the same dropout
    return json.dumps(value, sort_keys=True, default=str)


def numbered(values: Iterable[Hashable]) -> Partition:
    """Number the values in the order in which they first occur."""
    numbers: dict[Hashable, int] = {}
    return tuple(numbers.setdefault(value, len(numbers)) for value in values)


def follows(levels: Partition, other: Partition) -> bool:
    """Whether each level of `other` determines the level."""
    return len(set(zip(levels, other, strict=True))) == len(set(other))


def _factor(
    records: Sequence[RunRecord], configs: Sequence[Mapping[str, Any]], keys: Sequence[str], levels: Partition
) -> Factor:
    """The factor, under the key that describes it best: one set on the command line, or the plainest and shortest."""
    chosen = [dict(word.split("=", 1) for word in record.overrides if "=" in word) for record in records]
    for key, count in Counter(key for words in chosen for key in words).most_common():
        # The choice of a group (`model=resnet18`) or a key, with one value in each run.
        names = [words.get(key, "default") for words in chosen]
        mine = key in keys or any(name.startswith(f"{key}.") for name in keys)
        if count and mine and key not in INCIDENTAL and numbered(names) == levels and "," not in "".join(names):
            words = _unique(names) if key not in keys else _names(key, configs, levels)
            return Factor(key, tuple(keys), tuple(words), levels)

    def plainness(key: str) -> tuple[bool, bool, int, int]:
        values = [config.get(key, ABSENT) for config in configs]
        wordy = all(isinstance(value, str | bool) for value in values)
        return not wordy, any(isinstance(value, list) for value in values), key.count("."), len(key)

    key = min(keys, key=plainness)
    return Factor(key, tuple(keys), _names(key, configs, levels), levels)


def _unique(values: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _names(key: str, configs: Sequence[Mapping[str, Any]], levels: Partition) -> tuple[str, ...]:
    """The names of the levels: words as they are, `dropout=0.5` for what means nothing without its key."""
    values = [configs[levels.index(level)].get(key, ABSENT) for level in range(max(levels) + 1)]
    return tuple(_name(key, value) for value in values)


def _name(key: str, value: Any) -> str:
    word = key.removesuffix("._target_").rpartition(".")[2]
    if isinstance(value, str) and value != ABSENT:
        return value.rpartition(".")[2] if key.endswith("_target_") else value
    if isinstance(value, list):
        parts = [_part(each) for each in value]
        return f"{word}={'+'.join(parts) or 'none'}"
    shown = f"{value:g}" if isinstance(value, float) else "null" if value is None else str(value).lower()
    return f"{word}={shown}"


def _part(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value.get("_target_", json.dumps(value))).rpartition(".")[2]
    return str(value)


def joined(factors: Sequence[Factor], levels: Sequence[int]) -> str:
    """The names of the levels, with their keys where two factors share a name."""
    names = [factor.names[level] for factor, level in zip(factors, levels, strict=True)]
    shared = Counter(name for factor in factors for name in factor.names)
    return ", ".join(
        f"{factor.word}={name}" if shared[name] > 1 and "=" not in name else name
        for factor, name in zip(factors, names, strict=True)
    )


def model_name(records: Sequence[RunRecord]) -> str:
    """The name of the single arm of runs that do not differ."""
    target = str(flat(records[0].config).get("model._target_", "all runs"))
    return target.rpartition(".")[2]
