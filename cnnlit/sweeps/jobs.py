"""A job of a sweep: what is to be run, in which folder, and what is there of it already."""

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import mean
from typing import Any, Literal

import yaml

from cnnlit.config.command import Failure
from cnnlit.runs import reading

NOT_KEPT = {"resume", "run_root", "replicas_as"}
"""Keys that say where and how a run is made, which its own configuration leaves out."""


class JobFailed(Failure):
    """A job of a sweep did not come to a result."""


@dataclass
class Job:
    """One run of a sweep; or with `replicas` several, in folders 0, 1, … of its own, that it counts as the mean of.

    Args:
        number: in the sweep.
        overrides: its command line.
        label: those of them that tell it from the others.
        folder: its run's.
        settings: its whole configuration, plain containers.
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
        """The validation error, or without a validation set the test error; None of a job that is not finished."""
        return self.test_error if self.val_error is None else self.val_error

    @property
    def result(self) -> str:
        """What it came to, for a person."""
        errors = {"validation error": self.val_error, "test error": self.test_error}
        of_each = f", means of {len(self.folders)}" if len(self.folders) > 1 else ""
        return ", ".join(f"{name} {error:.2%}" for name, error in errors.items() if error is not None) + of_each

    @property
    def folders(self) -> list[Path]:
        """Of its runs."""
        count = self.settings.get("replicas", 1)
        return [self.folder / str(number) for number in range(count)] if count > 1 else [self.folder]

    @property
    def key(self) -> str:
        """Its configuration, as `begun` has it."""
        return _key(self._kept)

    @cached_property
    def _kept(self) -> dict[str, Any]:
        """What its first run keeps of its configuration."""
        kept = {key: value for key, value in self.settings.items() if key not in NOT_KEPT}
        written: dict[str, Any] = yaml.safe_load(yaml.safe_dump({**kept, "replicas": 1}))
        return written

    @property
    def log(self) -> Path:
        """What the job wrote to the terminal, where it was not shown."""
        return self.folder / "log.txt"

    def arguments(self) -> list[str] | None:
        """Its command line: for a new run, for one that goes on, or None if it is finished.

        A failed run goes on as one that was cut off does: what stopped it may be mended.

        Raises:
            ValueError: if its folder holds a run with another configuration, or one that is running.
        """
        first = self.folders[0]  # whose seed is this job's
        claim = first / "run.json"
        if claim.is_file() and claim.stat().st_size == 0:
            claim.unlink()  # of a run that was killed as it began
        try:
            before = _kept_by(first)
        except FileNotFoundError:
            return [*self.overrides, f"hydra.run.dir={reading.quoted(self.folder)}"]
        if difference := _difference(before, self._kept):
            raise ValueError(f"{first} holds a run with {difference}; hydra.sweep.dir names another folder")
        records = self._records()
        for folder, record in records.items():
            if record["state"] == "running":
                raise ValueError(
                    f"{folder}: this run is going on, as process {record['pid']} of {record['host']}; "
                    "wait for its end, or end it"
                )
        finished = [record for record in records.values() if record["state"] == "finished"]
        return None if len(finished) == len(self.folders) else [f"resume={reading.quoted(self.folder)}"]

    def read(self) -> bool:
        """What its runs came to; False if one is not finished."""
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
        """What the first of its runs that has failed says of that; None if none has."""
        failed = [record for record in self._records().values() if record["state"] == "failed"]
        return str(failed[0]["error"]).splitlines()[0] if failed else None

    def _records(self) -> dict[Path, dict[str, Any]]:
        """Of those of its runs that have begun, by folder."""
        records = {}
        for folder in self.folders:
            with suppress(FileNotFoundError):
                records[folder] = reading.read(folder)
        return records


def begun(sweep: Path) -> dict[str, int]:
    """The jobs whose configuration lies in a sweep's folder: the key of each, and its number."""
    numbers = sorted(int(path.name) for path in sweep.iterdir() if path.name.isdecimal()) if sweep.is_dir() else []
    keys = {}
    for number in numbers:
        for first in (sweep / str(number), sweep / str(number) / "0"):
            with suppress(OSError, ValueError):
                keys[_key(_kept_by(first))] = number
                break
    return keys


def _kept_by(folder: Path) -> dict[str, Any]:
    return {"replicas": 1, **reading.read_config(folder)}  # which a run of older code does not say


def _key(config: dict[str, Any]) -> str:
    return json.dumps(config, sort_keys=True)


def print_table(jobs: Sequence[Job]) -> None:
    """A row for each job, on stdout."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console() if sys.stdout.isatty() else Console(width=1000)
    table = Table(box=None, pad_edge=False)
    for name in ("job", "", "state", "val error", "test error", "seconds", "folder"):
        table.add_column(name, justify="right" if name.endswith(("error", "seconds")) else "left", overflow="fold")
    for job in jobs:
        errors = ["" if error is None else f"{error:.2%}" for error in (job.val_error, job.test_error)]
        state = f"{job.state}: {job.reason}" if job.reason else job.state
        seconds = "" if job.seconds is None else f"{job.seconds:.0f}"
        cells = [str(job.number), job.label, state, *errors, seconds, str(job.folder)]
        table.add_row(*map(Text, cells))
    console.print(table, highlight=False)


def _difference(before: Any, now: Any, name: str = "") -> str | None:
    """The first value that two configurations do not share, in words."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            place = f"{name}.{key}" if name else str(key)
            if found := _difference(before.get(key, "nothing"), now.get(key, "nothing"), place):
                return found
        return None
    return None if before == now else f"{name}={_shown(before)}, where this job has {_shown(now)}"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
