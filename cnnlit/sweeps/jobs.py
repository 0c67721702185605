"""A job of a sweep: its command line, its folder, and what that folder already holds."""

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from inspect import Parameter
from pathlib import Path
from statistics import mean
from typing import Any, Literal

import yaml

from cnnlit.config.command import Failure
from cnnlit.config.signatures import read_signature
from cnnlit.runs import reading
from cnnlit.sweeps.command_line import quoted

NOT_KEPT = {"resume", "run_root", "replicas_as"}
"""Keys that say where and how a run is made; the run's config.yaml leaves them out."""


class JobFailed(Failure):
    """A job of a sweep ended without a result."""


@dataclass
class Job:
    """One run of a sweep; or with `replicas` several, in subfolders 0, 1, …, whose mean is the job's result.

    Args:
        number: of the job in the sweep.
        overrides: the job's command line.
        label: the overrides that distinguish it from the other jobs.
        folder: of the run, or of the replicas' runs.
        settings: the whole configuration, plain containers.
    """

    number: int
    overrides: list[str]
    label: str
    folder: Path
    settings: dict[str, Any] = field(repr=False)
    state: Literal["not started", "running", "finished", "failed", "interrupted"] = "not started"
    reason: str = ""
    val_error: float | None = None
    test_error: float | None = None
    seconds: float | None = None

    @property
    def objective(self) -> float | None:
        """The validation error, or the test error if there is no validation set; None unless the job is finished."""
        return self.test_error if self.val_error is None else self.val_error

    @property
    def result(self) -> str:
        """The errors, for a person to read."""
        errors = {"validation error": self.val_error, "test error": self.test_error}
        of_each = f", means of {len(self.folders)}" if len(self.folders) > 1 else ""
        return ", ".join(f"{name} {error:.2%}" for name, error in errors.items() if error is not None) + of_each

    @property
    def folders(self) -> list[Path]:
        """The folder of each of its runs."""
        count = self.settings.get("replicas", 1)
        return [self.folder / str(number) for number in range(count)] if count > 1 else [self.folder]

    @property
    def key(self) -> str:
        """Identifies the configuration; see `numbers_by_key`."""
        return _key(self._kept)

    @cached_property
    def _kept(self) -> dict[str, Any]:
        """The part of the configuration that its first run writes to config.yaml."""
        kept = {key: value for key, value in self.settings.items() if key not in NOT_KEPT}
        written: dict[str, Any] = yaml.safe_load(yaml.safe_dump({**kept, "replicas": 1}))
        return written

    @property
    def log(self) -> Path:
        """The job's output, if it was not shown on the terminal."""
        return self.folder / "log.txt"

    def entry(self, sweep: Path) -> dict[str, Any]:
        """What the sweep's jobs.json says about the job.

        Args:
            sweep: the sweep's folder.
        """
        keys = ("number", "overrides", "state", "reason", "val_error", "test_error", "seconds")
        return {"folder": str(self.folder.relative_to(sweep)), **{key: getattr(self, key) for key in keys}}

    def arguments(self) -> list[str] | None:
        """The arguments that start the job or resume it, or None if it is finished.

        A failed job is resumed like an interrupted one: the cause may have been fixed since.

        Raises:
            ValueError: if the folder holds a run with another configuration, or one that is still running.
        """
        first = self.folders[0]  # has this job's seed
        claim = first / "run.json"
        if claim.is_file() and claim.stat().st_size == 0:
            claim.unlink()  # left by a run that was killed as it began
        try:
            before = _kept_by(first)
        except FileNotFoundError:
            return [*self.overrides, f"hydra.run.dir={quoted(self.folder)}"]
        if difference := _difference(_comparable(before), _comparable(self._kept)):
            raise ValueError(f"{first} holds a run with {difference}; hydra.sweep.dir names another folder")
        records = self._records()
        for folder, record in records.items():
            if record["state"] == "running":
                raise ValueError(
                    f"{folder}: this run is going on, as process {record['pid']} of {record['host']}; "
                    "wait for its end, or end it"
                )
        finished = [record for record in records.values() if record["state"] == "finished"]
        return None if len(finished) == len(self.folders) else [f"resume={quoted(self.folder)}"]

    def read(self) -> bool:
        """Read the results of its runs; False if any of them is not finished."""
        records = self._records().values()
        if len(records) < len(self.folders) or any(record["state"] != "finished" for record in records):
            return False
        tests = [json.loads((folder / "test.json").read_text())["test/error"] for folder in self.folders]
        errors = [record["val/error"] for record in records if "val/error" in record]
        self.state = "finished"
        self.val_error, self.test_error = mean(errors) if errors else None, mean(tests)
        if len(self.folders) == 1 or self.seconds is None:
            self.seconds = max(record["seconds"] for record in records)
        return True

    def failure(self) -> str | None:
        """The first line of the error that the first failed run recorded; None if none failed."""
        failed = [record for record in self._records().values() if record["state"] == "failed"]
        return str(failed[0]["error"]).splitlines()[0] if failed else None

    def _records(self) -> dict[Path, dict[str, Any]]:
        """The record of each run that has begun, by folder."""
        records = {}
        for folder in self.folders:
            with suppress(FileNotFoundError):
                records[folder] = reading.read(folder)
        return records


def numbers_by_key(sweep: Path) -> dict[str, int]:
    """The numbers of the jobs that have begun in a sweep's folder, by their configurations' keys."""
    numbers = sorted(int(path.name) for path in sweep.iterdir() if path.name.isdecimal()) if sweep.is_dir() else []
    found = {}
    for number in numbers:
        for first in (sweep / str(number), sweep / str(number) / "0"):
            with suppress(OSError, ValueError):
                found[_key(_kept_by(first))] = number
                break
    return found


def _kept_by(folder: Path) -> dict[str, Any]:
    return {"replicas": 1, **reading.read_config(folder)}  # older versions did not write replicas


def _key(config: dict[str, Any]) -> str:
    return json.dumps(_comparable(config), sort_keys=True)


def _comparable(value: Any) -> Any:
    """A configuration with the defaults of our own classes, and without keys that are null or empty.

    A key that a later version has added thus changes no job, unless it is set.
    """
    if not isinstance(value, dict):
        return value
    signature = read_signature(str(value.get("_target_"))) or {}
    defaults = {key: each.default for key, each in signature.items() if each.default is not Parameter.empty}
    kept = {key: _comparable(each) for key, each in (defaults | value).items()}
    return {key: each for key, each in kept.items() if each not in (None, [], {}, ())}


def print_line(line: str) -> None:
    """A line about a sweep, on stderr."""
    from rich.console import Console

    Console(stderr=True).print(line, markup=False, highlight=False, soft_wrap=True)


def print_table(jobs: Sequence[Job]) -> None:
    """A row for each job, on stdout."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console() if sys.stdout.isatty() else Console(width=1000)
    table = Table(box=None, pad_edge=False)
    for name in ("job", "", "state", "val error", "test error", "seconds", "folder"):
        is_number = name.endswith(("error", "seconds"))
        table.add_column(name, justify="right" if is_number else "left", overflow="fold", no_wrap=is_number)
    for job in jobs:
        errors = ["" if error is None else f"{error:.2%}" for error in (job.val_error, job.test_error)]
        state = f"{job.state}: {job.reason}" if job.reason else job.state
        seconds = "" if job.seconds is None else f"{job.seconds:.0f}"
        cells = [str(job.number), job.label, state, *errors, seconds, str(job.folder)]
        table.add_row(*map(Text, cells))
    console.print(table, highlight=False)


def _difference(before: Any, now: Any, name: str = "") -> str | None:
    """The first value that differs between two configurations, in words."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            place = f"{name}.{key}" if name else str(key)
            if found := _difference(before.get(key, "nothing"), now.get(key, "nothing"), place):
                return found
        return None
    return None if before == now else f"{name}={_shown(before)}, where this job has {_shown(now)}"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
