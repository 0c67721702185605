"""A run's folder, read back: its record, configuration, checkpoint and curves; and where such folders are."""

import csv
import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import yaml

from cnnlit.files import is_locked
from cnnlit.runs.moved import update_config

State = Literal["running", "finished", "failed", "interrupted"]

WITHOUT_RUNS = {"checkpoints", "pictures", "wandb", "tensorboard", ".git"}
"""Subfolders of a run, in which no other run is searched for."""


BEST = "best.ckpt"
"""The checkpoint of the lowest validation error, which only runs with recipe.checkpoint=best have."""


def read(folder: Path) -> dict[str, Any]:
    """The record of a run; the state of one that was killed is `interrupted`.

    Raises:
        FileNotFoundError: if the folder holds no run.
    """
    record = read_record(folder)
    if record["state"] == "running" and not _at_work(folder, record):
        record["state"] = "interrupted"
    return record


def read_record(folder: Path) -> dict[str, Any]:
    """The contents of run.json as the run itself left them.

    Raises:
        FileNotFoundError: if the folder holds no run.
    """
    try:
        record: dict[str, Any] = json.loads((folder / "run.json").read_text())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        raise FileNotFoundError(f"{folder} holds no run: there is no readable run.json") from None
    return record


def read_launched(folder: Path, launch: str | None) -> dict[str, Any] | None:
    """The record of a run that this start of torchrun has begun before it restarted its processes; None for any other.

    Args:
        folder: of the run.
        launch: which start of torchrun this is; None without torchrun.
    """
    try:
        record = read_record(folder)
    except FileNotFoundError:
        return None
    return record if launch and record.get("launch") == launch else None


def read_test(folder: Path) -> dict[str, Any]:
    """The contents of a finished run's test.json."""
    test: dict[str, Any] = json.loads((folder / "test.json").read_text())
    return test


def read_objective(folder: Path, record: dict[str, Any]) -> float:
    """The last validation error of a finished run, or without a validation set the test error."""
    return float(record.get("val/error", read_test(folder)["test/error"]))


def _at_work(folder: Path, record: dict[str, Any]) -> bool:
    """Whether the process named in a record is still running, here or on another machine."""
    here = record["host"] == socket.gethostname()
    if here and record["pid"] == os.getpid():
        return True
    locked = is_locked(folder)
    if locked is not None:
        return locked
    return not here or Path(f"/proc/{record['pid']}").exists() or not Path("/proc").exists()


def read_config(folder: Path) -> dict[str, Any]:
    """The resolved configuration of a run, plain containers; one from an older version is brought up to date.

    Raises:
        FileNotFoundError: if the folder holds no run.
    """
    read_record(folder)
    # libyaml takes a tenth of the time, but may be missing.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    config: dict[str, Any] = update_config(yaml.load((folder / "config.yaml").read_text(), loader))
    return config


def checkpoint_of(folder: Path) -> Path:
    """The checkpoint that holds a run's network: the best one, if the recipe asked for it, or else the latest.

    Raises:
        FileNotFoundError: if there is none yet.
    """
    best = folder / "checkpoints" / BEST
    if best.is_file():
        return best
    path = folder / "checkpoints" / "last.ckpt"
    if not path.is_file():
        raise FileNotFoundError(f"run={folder}: there is no {path}; its first epoch has not come to its end")
    return path


def network_of(folder: Path) -> str:
    """Which of a run's networks `checkpoint_of` holds, in words."""
    return str(read_record(folder).get("tested") or "the network after the last step")


def read_metrics(folder: Path) -> list[dict[str, str]]:
    """The rows of a run's metrics.csv, none if there is no such file; empty cells are empty strings."""
    path = folder / "metrics.csv"
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def run_folders(root: Path) -> Iterator[Path]:
    """All folders in or below `root` that hold a run; numbered ones in numerical order."""
    for folder, below, files in os.walk(root.resolve()):
        below[:] = sorted((name for name in below if name not in WITHOUT_RUNS), key=_by_number)
        if "run.json" in files:
            yield Path(folder)


def _by_number(name: str) -> list[tuple[int, str]]:
    """Job 10 comes after job 9."""
    return [(int(part or 0), word) for word, part in re.findall(r"(\D*)(\d*)", name)]
