"""A run's folder: claim it, record how the run ends, read it back. Files are written whole or not at all.

config.yaml            the configuration, resolved
run.json               state, seed, commit, versions, device, seconds, command
metrics.csv            one row per epoch
checkpoints/           last.ckpt, the training's last state that was kept, and previous.ckpt, the one before it
test.json              the test, taken once
test_predictions.csv   the answer to each test image
pictures/              what was drawn
"""

import csv
import errno
import functools
import json
import os
import platform
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import time
import warnings
import zipfile
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import yaml

from cnnlit.results import lock

if TYPE_CHECKING:  # imported where it is needed, so that runs are read back without it
    import torch

State = Literal["running", "finished", "failed", "interrupted"]
PACKAGES = ("cnnlit", "torch", "torchvision", "lightning", "torchmetrics", "hydra-core", "wandb", "numpy")

JOBS = "jobs.json"
"""The file of a sweep's folder that says how its jobs stand."""


class RunError(Exception):
    """What ended a run, in one line that names it and says how to go on; the code has nothing to show for it."""


class DiskFullError(RunError, OSError):
    """There is no room left for a file of a run."""


def write_whole(path: Path, content: str | bytes | memoryview, *, previous: Path | None = None) -> None:
    """Write a file beside its place, then put it there: a reader sees the old content or the new, never half.

    Args:
        path: of the file; folders above it are made.
        content: of the file.
        previous: where the old content is kept, in place of the one before it; None for nowhere.

    Raises:
        DiskFullError: if there is no room; then everything is as it was.
    """
    content = content.encode() if isinstance(content, str) else content
    try:
        _put_in_place(path, content, previous)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(_no_room(path, len(content), error)) from None
        raise


def _put_in_place(path: Path, content: bytes | memoryview, previous: Path | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(path)
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if previous is not None and path.exists():
            _keep(path, previous)
        os.replace(aside, path)
        _sync_folder(path.parent)
    finally:
        aside.unlink(missing_ok=True)


def _keep(path: Path, previous: Path) -> None:
    """Give a file its second name, so that it is under one of both at any moment."""
    aside = _aside(previous)
    try:
        os.link(path, aside)
        os.replace(aside, previous)
    except OSError:  # some file systems have no second names
        os.replace(path, previous)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")


def _remove_asides(folder: Path) -> None:
    """Remove what processes that were killed while they wrote left half-written."""
    for room in (folder, folder / "checkpoints", folder / "pictures"):
        for path in room.glob(".*.*.*"):
            if path.suffix[1:].isdecimal():
                path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Let a new name outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _no_room(path: Path, needed: int, error: OSError) -> str:
    if error.errno == errno.EDQUOT:
        return f"the quota of {path.parent} is used up: {path.name} needs {needed / 1e6:.3g} MB"
    free = shutil.disk_usage(path.parent).free
    return (
        f"No space left on the disk of {path.parent}: {path.name} needs {needed / 1e6:.3g} MB, "
        f"{free / 1e6:.3g} MB are free, {max(0, needed - free) / 1e6:.3g} MB are missing"
    )


class Run:
    """A run in its folder: claimed by `open`, closed at the end of the `with` block, however that comes.

    Args:
        folder: where everything about the run is kept.

    Attributes:
        record: what is in run.json.
        error_before: of the run that is resumed, if it failed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record: dict[str, Any] = {}
        self.error_before = ""
        self._writes = False
        self._lock = lock.Lock(folder)
        self._began = time.perf_counter()
        self._seconds_before = 0.0

    @property
    def checkpoint(self) -> Path:
        """The last state of the training that was kept."""
        return self.folder / "checkpoints" / "last.ckpt"

    @property
    def previous_checkpoint(self) -> Path:
        """The one before it."""
        return self.folder / "checkpoints" / "previous.ckpt"

    def sound_checkpoint(self) -> Path | None:
        """The newest checkpoint that is whole, None if none was written yet; warns where it is not the last one.

        Raises:
            RunError: if there are checkpoints and none of them is whole.
        """
        spoilt = []
        for path in (self.checkpoint, self.previous_checkpoint):
            if not path.is_file():
                continue
            if not _is_whole(path):
                spoilt.append(path)
                continue
            for other in spoilt if self._writes else []:
                warnings.warn(f"{other} was cut short; {path} is used in its place", stacklevel=2)
                other.unlink()  # or it would become the previous one
            return path
        if spoilt:
            raise RunError(
                f"no checkpoint can be read, {' and '.join(map(str, spoilt))} cut short; "
                f"the run has to be made again: {self.record['command']}"
            )
        return None

    def open(self, config: dict[str, Any], *, device: "torch.device", writes: bool, resume: bool) -> None:
        """Claim the folder for a new run and write down how it is made, or take up the run that it holds.

        Args:
            config: the resolved configuration, plain containers; its `seed` is recorded.
            device: that this process trains on.
            writes: whether this process keeps the record; one of all that take part does.
            resume: go on with the run in the folder.

        Raises:
            FileExistsError: if the folder of a new run holds a run already.
            FileNotFoundError: if there is no run to resume.
            ValueError: if the run to resume is finished, or another process is at work on it.
        """
        self._writes = writes
        process = {"state": "running", "pid": os.getpid(), "host": socket.gethostname()}
        if writes:
            self.folder.mkdir(parents=True, exist_ok=True)
            free = self._lock.take()
        if resume:
            before = _record(self.folder)
            if writes and not free:
                raise ValueError(
                    f"resume={self.folder}: process {before['pid']} on {before['host']} is at work on this run"
                )
            if before["state"] == "finished":
                self._lock.give_back()
                raise ValueError(f"resume={self.folder}: this run is finished; its result is in test.json")
            if writes:
                _remove_asides(self.folder)
            self.record = {**before, **process}
            self.error_before = self.record.pop("error", "")
            self._seconds_before = self.record["seconds"]
        else:
            self.record = {**process, **_origin(), "seed": config["seed"], "device": describe_device(device)}
            if writes:
                if not free or (self.folder / "run.json").exists():
                    raise FileExistsError(
                        f"{self.folder} holds a run already: resume={self.folder} goes on with it, "
                        "hydra.run.dir names another folder"
                    )
                write_whole(self.folder / "config.yaml", yaml.safe_dump(config, sort_keys=False))
        self._write()

    def keep(self) -> None:
        """Write down how long the run took so far, which it says if it is killed."""
        self._write()

    def fail(self, error: str) -> None:
        """Mark the run as failed; for a process that is about to end without leaving the `with` block."""
        self.record |= {"state": "failed", "error": error}
        self._write()

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
            named = "" if isinstance(error, RunError) else f"{type(error).__name__}: "
            self.record |= {"state": "failed", "error": f"{named}{error}"}
        else:  # KeyboardInterrupt, SystemExit
            self.record["state"] = "interrupted"
        # On a full disk the record may stay as it was; then the run reads as interrupted, and its error is shown.
        with suppress(DiskFullError) if error is not None else nullcontext():
            self._write()
        self._lock.give_back()

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
        "versions": dict(_versions()),
    }


def read(folder: Path) -> dict[str, Any]:
    """The record of a run; one that was killed says so.

    Raises:
        FileNotFoundError: if the folder holds no run.
    """
    record = _record(folder)
    if record["state"] == "running" and not _at_work(folder, record):
        record["state"] = "interrupted"
    return record


def _record(folder: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads((folder / "run.json").read_text())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        raise FileNotFoundError(f"{folder} holds no run: there is no readable run.json") from None
    return record


def _at_work(folder: Path, record: dict[str, Any]) -> bool:
    """Whether the process that a run names still runs, on whichever machine."""
    here = record["host"] == socket.gethostname()
    if here and record["pid"] == os.getpid():
        return True
    locked = lock.held(folder)
    if locked is not None:
        return locked
    return not here or Path(f"/proc/{record['pid']}").exists() or not Path("/proc").exists()


def _is_whole(checkpoint: Path) -> bool:
    """Whether every part of a file that torch.save wrote has the checksum that it was written with."""
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, EOFError):
        return False


def read_config(folder: Path) -> dict[str, Any]:
    """The resolved configuration of a run, as plain containers.

    Raises:
        FileNotFoundError: if the folder holds no run.
    """
    read(folder)
    # libyaml reads in a tenth of the time; without it the same in Python.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    config: dict[str, Any] = yaml.load((folder / "config.yaml").read_text(), loader)
    return config


def read_jobs(sweep: Path) -> list[dict[str, Any]]:
    """The jobs of a sweep, by number, as they stand in its jobs.json; none if it has no such file."""
    try:
        jobs: list[dict[str, Any]] = json.loads((sweep / JOBS).read_text())["jobs"]
    except (OSError, ValueError, KeyError):
        return []
    return jobs


def quoted(path: Path) -> str:
    """A path as a value on Hydra's command line, whatever characters it has."""
    text = str(path)
    return text if re.fullmatch(r"[\w./-]+", text) else '"{}"'.format(text.replace('"', '\\"'))


def checkpoint_of(folder: Path) -> Path:
    """The network of a run after its last epoch.

    Raises:
        FileNotFoundError: if there is none yet.
    """
    path = folder / "checkpoints" / "last.ckpt"
    if not path.is_file():
        raise FileNotFoundError(f"run={folder}: there is no {path}; its first epoch has not come to its end")
    return path


def read_metrics(folder: Path) -> list[dict[str, str]]:
    """The rows of a run's metrics.csv, none if there is no such file; empty cells are empty strings."""
    path = folder / "metrics.csv"
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write plain containers as indented JSON, whole or not at all."""
    write_whole(path, json.dumps(content, indent=2) + "\n")


def describe_device(device: "torch.device") -> str:
    """The device as a person names it."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file() and (model := re.search(r"model name\s*: (.*)", cpuinfo.read_text())):
        name = model[1]
    return f"{device.type}: {name}, {torch.get_num_threads()} threads"


@functools.cache  # a process may make many runs
def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


@functools.cache
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
