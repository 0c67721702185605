"""Runs read back for comparison: found below folders, each with what it was, how it ended and what it measured."""

import glob
import itertools
import json
import math
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml

from cnnlit.results.runs import State, quoted, read, read_config, read_jobs, read_metrics

T = TypeVar("T")
WITHOUT_RUNS = {"checkpoints", "pictures", "wandb", "tensorboard", ".git"}
"""Folders of a run, below which no other run is looked for."""

OWN_WORDS = ("hydra.mode=", "hydra.sweep.dir=")
"""What Hydra notes of a sweep's command line that another one says in its own way."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What is known of a run.

    Attributes:
        place: its folder, or its address at W&B.
        state: how it ended.
        reason: why it did not finish, where that is known.
        config: resolved, plain containers; empty if it cannot be read.
        overrides: what was chosen on the command line for this run, `key=value`, as far as that is known.
        test: numbers of test.json.
        curves: a row per epoch of metrics.csv, without empty cells.
        seconds: from the command's start to its end; of replicas that were trained in one process, its share of that.
    """

    place: str
    state: State
    reason: str = ""
    seed: int | None = None
    config: dict[str, Any] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    test: dict[str, float] = field(default_factory=dict)
    curves: list[dict[str, float]] = field(default_factory=list)
    seconds: float | None = None
    device: str = ""
    commit: str = ""
    command: str = ""
    started: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The end of its place: enough to find it among the others."""
        return "/".join(Path(self.place).parts[-2:])

    def picture(self, name: str) -> Path | None:
        """A file of its folder pictures/, if it was drawn."""
        path = Path(self.place) / "pictures" / f"{name}.png"
        return path if path.is_file() else None


class Runs(NamedTuple):
    """Runs, the folder that they have in common, and the jobs of sweeps that left no trace of themselves."""

    records: list[RunRecord]
    folder: Path
    never_started: list[str]


def find(places: Iterable[str]) -> Runs:
    """All runs in or below folders.

    Args:
        places: folders, or patterns such as `multirun/2026-*`.

    Raises:
        ValueError: if there is no such folder, or no run in it.
    """
    found: dict[Path, None] = {}
    for place in places:
        roots = [place] if Path(place).exists() else sorted(glob.glob(place, recursive=True))
        if not roots:
            raise ValueError(f"runs={place}: there is no such folder")
        below = [folder for root in roots for folder in _run_folders(Path(root))]
        if not below:
            raise ValueError(f"runs={place}: there is no run.json in it or below; python -m cnnlit.train makes runs")
        found |= dict.fromkeys(below)
    # A sweep's jobs may be runs, or with replicas= folders of them.
    sweeps = {folder: _jobs(folder) for each in found for folder in (each.parent, each.parent.parent)}
    records = [_record(folder, sweeps[folder.parent]) for folder in progress(found, "reading runs", len(found))]
    missing = [line for folder, jobs in sorted(sweeps.items()) for line in _never_started(folder, jobs)]
    common = Path(os.path.commonpath([folder.parent for folder in found]))
    return Runs(records, common, missing)


def command_for_more(found: Runs, seeds: int) -> str:
    """The command that gives a sweep more seeds, in its folder.

    Args:
        found: the runs.
        seeds: that it shall have then, from its first on.

    Returns:
        The command; empty where the runs are not one sweep over seeds.
    """
    known = {record.seed for record in found.records}
    note = _grid(found.folder)
    alone = all(Path(record.place).parent == found.folder for record in found.records)
    # Without jobs.json it is of another launcher, which would not know its jobs again.
    if not note or not alone or None in known or not read_jobs(found.folder):
        return ""
    told = [*note["overrides"]["task"], *note["overrides"].get("hydra", [])]
    words = [word for word in told if not word.startswith(("seed=", *OWN_WORDS))]
    first = min(seed for seed in known if seed is not None)
    place = quoted(Path(os.path.relpath(found.folder)))
    more = [f"seed=range({first},{first + seeds})", f"hydra.sweep.dir={place}"]
    return shlex.join(["python", "-m", "cnnlit.train", "-m", *words, *more])


def progress(work: Iterable[T], what: str, total: int) -> Iterator[T]:
    """The same, with a bar on a terminal's stderr while it lasts, if it is more than a moment's work."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    quiet = total < 20 or not console.is_terminal
    yield from track(work, what, total, console=console, transient=True, disable=quiet)


def _run_folders(root: Path) -> Iterator[Path]:
    for folder, below, files in os.walk(root.resolve()):
        below[:] = sorted((name for name in below if name not in WITHOUT_RUNS), key=_by_number)
        if "run.json" in files:
            yield Path(folder)


def _by_number(name: str) -> list[tuple[int, str]]:
    """Job 10 comes after job 9."""
    return [(int(part or 0), word) for word, part in re.findall(r"(\D*)(\d*)", name)]


def _record(folder: Path, jobs: Mapping[str, Sequence[str]]) -> RunRecord:
    config: dict[str, Any] = {}
    reason = ""
    try:
        record = read(folder)
        config = read_config(folder)
    except (OSError, KeyError, ValueError, yaml.YAMLError) as error:
        reason = "cut off before it was written down" if not (folder / "config.yaml").is_file() else str(error)
        record = {"state": "failed", "error": reason}
    test = {}
    if record["state"] == "finished":
        try:
            test = _numbers(json.loads((folder / "test.json").read_text()))
        except (OSError, ValueError) as error:
            reason = f"test.json cannot be read ({type(error).__name__})"
    return RunRecord(
        place=str(folder),
        state=record["state"],
        reason=reason or record.get("error") or "",
        seed=record.get("seed", config.get("seed")),
        config=config,
        overrides=_overrides(folder, record.get("command") or "", jobs),
        test=test,
        curves=[_numbers(row) for row in read_metrics(folder)],
        seconds=_share(record),
        device=record.get("device") or "",
        commit=record.get("commit") or "",
        command=record.get("command") or "",
        started=record.get("started") or "",
        versions=record.get("versions") or {},
    )


def _share(record: dict[str, Any]) -> float | None:
    seconds: float | None = record.get("seconds")
    return None if seconds is None else seconds / record.get("replicas", 1)


def _numbers(row: dict[str, Any]) -> dict[str, float]:
    """Those values that are numbers, written out or not; a diverged run's nan is one."""
    numbers = {}
    for key, value in row.items():
        try:
            numbers[key] = float(value)
        except (TypeError, ValueError):
            continue
    return numbers


def _overrides(folder: Path, command: str, jobs: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Of a sweep's job its own values; of a single run its command's."""
    if folder.name in jobs:
        return tuple(jobs[folder.name])
    words = shlex.split(command)[3:]
    return tuple(word.lstrip("+") for word in words if "=" in word and not word.startswith("hydra"))


def _jobs(folder: Path) -> dict[str, list[str]]:
    """The folder of each job of a sweep, by name, and its overrides; none if it is no sweep."""
    told = {job["folder"]: [word.lstrip("+") for word in job["overrides"]] for job in read_jobs(folder)}
    return told or {str(number): words for number, words in enumerate(_unfolded(folder))}


def _unfolded(folder: Path) -> list[list[str]]:
    """The overrides of each job of another launcher's sweep, in Hydra's order; none if it is not a plain grid."""
    sweep = _grid(folder)
    if sweep is None:
        return []
    params = sweep["sweeper"].get("params") or {}
    words = {key: f"{key}={value}" for key, value in params.items()}
    words |= {word.partition("=")[0]: word for word in sweep["overrides"]["task"]}  # in place of the file's
    choices = [_choices(word) for word in words.values()]
    if any(choice is None for choice in choices):
        return []
    number = math.prod(len(choice or []) for choice in choices)
    if any(path.name.isdecimal() and int(path.name) >= number for path in folder.iterdir()):
        return []  # made in another way than this
    return [list(job) for job in itertools.product(*(choice or [] for choice in choices))]


def _grid(folder: Path) -> dict[str, Any] | None:
    """What Hydra notes of a sweep over all combinations of values; None if it is another sweep, or none."""
    try:
        note: dict[str, Any] = yaml.safe_load((folder / "multirun.yaml").read_text())["hydra"]
        basic = note["sweeper"]["_target_"].endswith("BasicSweeper") and "task" in note["overrides"]
    except (OSError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return None
    return note if basic else None


def _choices(word: str) -> list[str] | None:
    """`key=a,b` is two; None for what only Hydra can unfold."""
    key, _, values = word.lstrip("+").partition("=")
    if span := re.fullmatch(r"range\((?:(\d+),\s*)?(\d+)\)", values):
        return [f"{key}={value}" for value in range(int(span[1] or 0), int(span[2]))]
    if re.match(r"\w+\(", values):
        return None
    # Commas inside brackets or quotation marks do not separate.
    parts = re.findall(r"""(?:\[[^\]]*\]|\{[^}]*\}|'[^']*'|"[^"]*"|[^,\[\{'"])+""", values)
    return [f"{key}={part.strip()}" for part in parts or [""]]


def _never_started(folder: Path, jobs: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for name, words in jobs.items():
        if next(_run_folders(folder / name), None) is None:
            yield f"job {name} of {folder.name}: {' '.join(words)}"
