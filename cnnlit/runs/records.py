"""Runs read back for comparison: found below folders, each with its configuration, outcome and results."""

import glob
import json
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from cnnlit.files import progress
from cnnlit.runs.evaluations import Answers, read_answers
from cnnlit.runs.reading import State, read, read_config, read_metrics, run_folders
from cnnlit.runs.sweep_folder import Place, job_overrides, never_started, places


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What is known about a run.

    Attributes:
        place: its folder, or its URL at W&B.
        state: how it ended.
        reason: why it did not finish, where that is known.
        config: resolved, plain containers; empty if it cannot be read.
        overrides: the command line's choices for this run, `key=value`, as far as they are known.
        test: the numbers in test.json.
        curves: the rows of metrics.csv, one per epoch, without empty cells.
        planned: when it came into its sweep; None if it is no job of one.
        class_names: what its classes are called; empty where that was not written down.
        seconds: from the start of the command to its end; divided by their number for seeds trained in lock-step.
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
    planned: Place | None = None
    class_names: tuple[str, ...] = ()

    @cached_property
    def answers(self) -> Answers | None:
        """What the network said to each test image; None if that is not there."""
        return None if "://" in self.place else read_answers(Path(self.place))

    @property
    def name(self) -> str:
        """The last two parts of its place, enough to tell it from the others."""
        return "/".join(Path(self.place).parts[-2:])

    def picture(self, name: str) -> Path | None:
        """A figure in its folder pictures/, if it was drawn."""
        path = Path(self.place) / "pictures" / f"{name}.png"
        return path if path.is_file() else None


class Runs(NamedTuple):
    """Runs, the folder that they have in common, and a line for each job of their sweeps that never started."""

    records: list[RunRecord]
    folder: Path
    never_started: list[str]


def find(roots: Iterable[str]) -> Runs:
    """All runs in or below folders.

    Args:
        roots: folders, or patterns such as `multirun/2026-*`.

    Raises:
        ValueError: if there is no such folder, or no run in it.
    """
    found: dict[Path, None] = {}
    for root in roots:
        there = [root] if Path(root).exists() else sorted(glob.glob(root, recursive=True))
        if not there:
            raise ValueError(f"runs={root}: there is no such folder")
        below = [folder for each in there for folder in run_folders(Path(each))]
        if not below:
            raise ValueError(f"runs={root}: there is no run.json in it or below; python -m cnnlit.train makes runs")
        found |= dict.fromkeys(below)
    # A job of a sweep is a run, or with replicas= a folder of runs.
    sweeps = {folder: job_overrides(folder) for each in found for folder in (each.parent, each.parent.parent)}
    planned = {folder / job: place for folder in sweeps for job, place in places(folder).items()}
    records = [
        _record(folder, sweeps[folder.parent], planned.get(folder) or planned.get(folder.parent))
        for folder in progress(found, "reading runs", len(found))
    ]
    missing = [line for folder, jobs in sorted(sweeps.items()) for line in never_started(folder, jobs)]
    common = Path(os.path.commonpath([folder.parent for folder in found]))
    return Runs(records, common, missing)


def _record(folder: Path, jobs: Mapping[str, Sequence[str]], planned: Place | None) -> RunRecord:
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
        seconds=_seconds_of_one(record),
        device=record.get("device") or "",
        commit=record.get("commit") or "",
        command=record.get("command") or "",
        started=record.get("started") or "",
        versions=record.get("versions") or {},
        planned=planned,
        class_names=tuple(record.get("class_names") or ()),
    )


def _seconds_of_one(record: dict[str, Any]) -> float | None:
    seconds: float | None = record.get("seconds")
    return None if seconds is None else seconds / record.get("replicas", 1)


def _numbers(row: dict[str, Any]) -> dict[str, float]:
    """The values that are numbers, or text that reads as one; nan, from a run that diverged, counts."""
    numbers = {}
    for key, value in row.items():
        try:
            numbers[key] = float(value)
        except (TypeError, ValueError):
            continue
    return numbers


def _overrides(folder: Path, command: str, jobs: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Those of the job, if the run is one in jobs.json; otherwise those of the run's own command."""
    if folder.name in jobs:
        return tuple(jobs[folder.name])
    words = shlex.split(command)[3:]  # after python -m cnnlit.train
    return tuple(word.lstrip("+") for word in words if "=" in word and not word.startswith("hydra"))
