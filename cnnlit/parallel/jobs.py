"""A job of a sweep: what is to be run, in which folder, and what is there of it already."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from cnnlit.results import runs


class JobFailed(Exception):  # noqa: N818  what happened to the job, not to this program
    """A job of a sweep did not come to a result."""


@dataclass
class Job:
    """One run of a sweep.

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
        return ", ".join(f"{name} {error:.2%}" for name, error in errors.items() if error is not None)

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
        claim = self.folder / "run.json"
        if claim.is_file() and claim.stat().st_size == 0:
            claim.unlink()  # of a run that was killed as it began
        try:
            record = runs.read(self.folder)
            before = runs.read_config(self.folder)
        except FileNotFoundError:
            return [*self.overrides, f"hydra.run.dir={quoted(self.folder)}"]
        now = {key: value for key, value in self.settings.items() if key not in ("resume", "run_root")}
        if difference := _difference(before, yaml.safe_load(yaml.safe_dump(now))):
            raise ValueError(f"{self.folder} holds a run with {difference}; hydra.sweep.dir names another folder")
        if record["state"] == "running":
            raise ValueError(
                f"{self.folder}: this run is going on, as process {record['pid']} of {record['host']}; "
                "wait for its end, or end it"
            )
        return None if record["state"] == "finished" else [f"resume={quoted(self.folder)}"]

    def read(self) -> bool:
        """What its run came to; False if that is not finished."""
        try:
            record = runs.read(self.folder)
            test = json.loads((self.folder / "test.json").read_text())
        except FileNotFoundError:
            return False
        if record["state"] == "finished":
            self.state, self.seconds = "finished", record["seconds"]
            self.val_error, self.test_error = record.get("val/error"), test["test/error"]
        return self.state == "finished"


def quoted(path: Path) -> str:
    """A path as a value on Hydra's command line, whatever characters it has."""
    text = str(path)
    return text if re.fullmatch(r"[\w./-]+", text) else '"{}"'.format(text.replace('"', '\\"'))


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
