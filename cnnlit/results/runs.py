"""A run's folder: claim it, record how the run ends, read it back. Files are written whole or not at all.

config.yaml            the configuration, resolved
run.json               state, seed, commit, versions, device, seconds, command
metrics.csv            one row per epoch
checkpoints/last.ckpt  the end of the last epoch
test.json              the test, taken once
test_predictions.csv   the answer to each test image
pictures/              what was drawn
"""

import json
import os
import platform
import re
import secrets
import shlex
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import torch
import yaml

State = Literal["running", "finished", "failed", "interrupted"]
PACKAGES = ("cnnlit", "torch", "torchvision", "lightning", "torchmetrics", "hydra-core", "wandb", "numpy")


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file beside its place, then put it there: a reader sees the old content or the new, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


class Run:
    """A run in its folder: claimed by `open`, closed at the end of the `with` block, however that comes.

    Args:
        folder: where everything about the run is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record: dict[str, Any] = {}
        self._writes = False
        self._began = time.perf_counter()
        self._seconds_before = 0.0

    @property
    def checkpoint(self) -> Path:
        """The last complete state of the training."""
        return self.folder / "checkpoints" / "last.ckpt"

    def open(self, config: dict[str, Any], *, device: torch.device, writes: bool, resume: bool) -> None:
        """Claim the folder for a new run and write down how it is made, or take up the run that it holds.

        Args:
            config: the resolved configuration, plain containers; its `seed` is recorded.
            device: that this process trains on.
            writes: whether this process keeps the record; one of all that take part does.
            resume: go on with the run in the folder.

        Raises:
            FileExistsError: if the folder of a new run holds a run already.
            FileNotFoundError: if there is no run to resume.
            ValueError: if the run to resume is finished.
        """
        self._writes = writes
        process = {"state": "running", "pid": os.getpid(), "host": socket.gethostname()}
        if resume:
            before = read(self.folder)
            if before["state"] == "finished":
                raise ValueError(f"resume={self.folder}: this run is finished; its result is in test.json")
            self.record = {**before, **process}
            self.record.pop("error", None)
            self._seconds_before = self.record["seconds"]
        else:
            self.record = {**process, **_origin(), "seed": config["seed"], "device": describe_device(device)}
            if writes:
                self._claim(config)
        self._write()

    def _claim(self, config: dict[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            (self.folder / "run.json").touch(exist_ok=False)
        except FileExistsError:
            raise FileExistsError(
                f"{self.folder} holds a run already: resume={self.folder} goes on with it, "
                "hydra.run.dir names another folder"
            ) from None
        write_whole(self.folder / "config.yaml", yaml.safe_dump(config, sort_keys=False))

    def finish(self, test: dict[str, float]) -> None:
        """Write test.json; the last thing that a run does."""
        if self._writes:
            write_json(self.folder / "test.json", test)

    def __enter__(self) -> "Run":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.record["state"] = "finished"
        elif isinstance(error, Exception):
            self.record |= {"state": "failed", "error": f"{type(error).__name__}: {error}"}
        else:  # KeyboardInterrupt, SystemExit
            self.record["state"] = "interrupted"
        self._write()

    @property
    def seconds(self) -> float:
        """From the command's start to now, the time before a resume included."""
        return self._seconds_before + time.perf_counter() - self._began

    def _write(self) -> None:
        self.record["seconds"] = round(self.seconds, 3)
        if self._writes:
            write_json(self.folder / "run.json", self.record)


def _origin() -> dict[str, Any]:
    """Where a new run comes from."""
    return {
        "id": secrets.token_hex(4),
        "command": shlex.join(["python", "-m", "cnnlit.train", *sys.argv[1:]]),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "versions": _versions(),
    }


def read(folder: Path) -> dict[str, Any]:
    """The record of a run; one that was killed says so.

    Raises:
        FileNotFoundError: if the folder holds no run.
    """
    try:
        record: dict[str, Any] = json.loads((folder / "run.json").read_text())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        raise FileNotFoundError(f"{folder} holds no run: there is no readable run.json") from None
    here = record["host"] == socket.gethostname()
    if record["state"] == "running" and here and not Path(f"/proc/{record['pid']}").exists() and Path("/proc").exists():
        record["state"] = "interrupted"
    return record


def read_config(folder: Path) -> dict[str, Any]:
    """The resolved configuration of a run, as plain containers.

    Raises:
        FileNotFoundError: if the folder holds no run.
    """
    read(folder)
    config: dict[str, Any] = yaml.safe_load((folder / "config.yaml").read_text())
    return config


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write plain containers as indented JSON, whole or not at all."""
    write_whole(path, json.dumps(content, indent=2) + "\n")


def describe_device(device: torch.device) -> str:
    """The device as a person names it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file() and (model := re.search(r"model name\s*: (.*)", cpuinfo.read_text())):
        name = model[1]
    return f"{device.type}: {name}, {torch.get_num_threads()} threads"


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _commit() -> str | None:
    """The commit that this code is, with `-dirty` if it was changed since; None outside a repository."""
    source = Path(__file__).parent
    git = ["git", "-C", str(source), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    tracked = ["git", "-C", str(source), "ls-files", "--error-unmatch", "runs.py"]
    try:
        subprocess.run(tracked, check=True, capture_output=True, timeout=10)
        return subprocess.run(git, check=True, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
