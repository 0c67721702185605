"""A run in its folder: claims it, and keeps the record up to date until the run ends, however it ends.

config.yaml            the configuration, resolved; of a run that was resumed, what its last part ran with
run.json               state, seed, commit, versions, device, seconds, command; for each resume, what changed
metrics.csv            one row per epoch
checkpoints/           last.ckpt, the latest saved state of the training, and previous.ckpt, the one before it;
                       best.ckpt with recipe.checkpoint=best
test.json              the result of the test, which is run once
test_predictions.csv   the prediction for each test image
pictures/              figures
"""

import os
import socket
import time
import warnings
import zipfile
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import yaml

from cnnlit.files import Lock, UnwritableError, make_folder, remove_leftovers, write_json, write_whole
from cnnlit.runs.origin import describe_device, origin, resumption
from cnnlit.runs.reading import BEST, read_config, read_record

if TYPE_CHECKING:  # runs are read back without torch
    import torch


class RunError(Exception):
    """Ended a run: one line says why and how to go on, and a traceback would add nothing."""


class UnresumableError(RunError):
    """Ends a run that would end the same way if it were resumed."""


class Run:
    """A run in its folder: claimed by `open`, closed at the end of the `with` block, however it ends.

    Args:
        folder: where the run keeps its files.
        launch: which start of torchrun trains it, for that one to go on with it; None without torchrun.
        command: that makes it; None for the command line of this process.

    Attributes:
        config: the resolved configuration, plain containers.
        record: the contents of run.json.
        error_before: the error of the run that is resumed, if it failed.
    """

    def __init__(self, folder: Path, launch: str | None = None, command: str | None = None) -> None:
        self.folder = folder
        self.launch = launch
        self.command = command
        self.config: dict[str, Any] = {}
        self.record: dict[str, Any] = {}
        self.error_before = ""
        self._writes = False
        self._lock = Lock(folder)
        self._began = time.perf_counter()
        self._seconds_before = 0.0

    @property
    def checkpoint(self) -> Path:
        """The latest saved state of the training."""
        return self.folder / "checkpoints" / "last.ckpt"

    @property
    def previous_checkpoint(self) -> Path:
        """The one before it."""
        return self.folder / "checkpoints" / "previous.ckpt"

    @property
    def best_checkpoint(self) -> Path:
        """The network of the lowest validation error, where the recipe asks for it."""
        return self.folder / "checkpoints" / BEST

    @property
    def has_checkpoint(self) -> bool:
        """Whether any state of the training was kept."""
        return self.checkpoint.is_file() or self.previous_checkpoint.is_file()

    @property
    def writes(self) -> bool:
        """Whether this process keeps the record; false before the run was opened."""
        return self._writes

    @property
    def is_of_a_stack(self) -> bool:
        """Whether it was trained in lock-step with others."""
        return "replicas" in self.record

    def other_rounding(self) -> str | None:
        """Why what follows agrees to rounding alone with what a run without interruption would have done, if so."""
        parts = self.record.get("resumed", [])
        if not parts or not self.has_checkpoint:
            return None
        before = (parts[-2] if len(parts) > 1 else self.record)["device"]
        moved = [key for key in parts[-1]["changed"] if key.startswith("trainer.")]
        if parts[-1]["device"] == before and not moved:
            return None
        how = f"on {parts[-1]['device']}, so far on {before}" if parts[-1]["device"] != before else ", ".join(moved)
        return f"goes on with other rounding ({how}): to the same numbers up to rounding, not to the same bits"

    def sound_checkpoint(self) -> Path | None:
        """The newest checkpoint that is intact, None if none was written yet; warns if it is not the last one.

        Raises:
            UnresumableError: if there are checkpoints and none of them is intact.
        """
        damaged = []
        for path in (self.checkpoint, self.previous_checkpoint):
            if not path.is_file():
                continue
            if not _is_intact(path):
                damaged.append(path)
                continue
            for other in damaged if self._writes else []:
                warnings.warn(f"{other} was cut short; {path} is used in its place", stacklevel=2)
                other.unlink()  # or it would become previous.ckpt
            return path
        if damaged:
            raise UnresumableError(
                f"no checkpoint can be read, {' and '.join(map(str, damaged))} cut short; "
                f"the run has to be made again: {self.record['command']}"
            )
        return None

    def open(
        self,
        config: dict[str, Any],
        *,
        device: "torch.device",
        writes: bool,
        resume: bool,
        longer_than: int | None = None,
    ) -> None:
        """Claim the folder for a new run and record how it is made, or resume the run that it holds.

        Args:
            config: the resolved configuration, plain containers; its `seed` is recorded.
            device: the one that this process trains on.
            writes: whether this process keeps the record; exactly one of a run's processes does.
            resume: whether to resume the run in the folder.
            longer_than: the number of its epochs so far, if it is to have more of them.

        Raises:
            FileExistsError: if the folder for a new run holds a run already.
            FileNotFoundError: if there is no run to resume.
            ValueError: if the run to resume is finished, or another process is at work on it.
        """
        self._writes = writes
        self.config = config
        if writes:
            make_folder(self.folder)
        free = self._lock.take() if writes else True
        if resume:
            self._take_up(free, device, longer_than)
        else:
            self._claim(free, config, device)
        self._write()

    def _take_up(self, free: bool, device: "torch.device", longer_than: int | None) -> None:
        before = read_record(self.folder)
        if not free:
            raise ValueError(
                f"resume={self.folder}: process {before['pid']} on {before['host']} is at work on this run"
                + self._lock.doubt
            )
        if before["state"] == "finished" and not longer_than:
            self._lock.give_back()
            raise ValueError(f"resume={self.folder}: this run is finished; its result is in test.json")
        if longer_than:
            self._lengthen(before, longer_than)
        part = resumption(read_config(self.folder), self.config, device)
        if self._writes:
            remove_leftovers(self.folder, self.checkpoint.parent, self.folder / "pictures")
            if part["changed"]:
                self._write_config()
        self.record = {**before, **self._this_process(), "resumed": [*before.get("resumed", []), part]}
        self.error_before = self.record.pop("error", "")
        self._seconds_before = self.record["seconds"]

    def _lengthen(self, before: dict[str, Any], epochs: int) -> None:
        """Keep what came out after fewer epochs beside what will come out."""
        for name in ("tested", "val/error"):
            before.pop(name, None)
        before["epochs_before"] = [*before.get("epochs_before", []), epochs]
        if self._writes:
            with suppress(FileNotFoundError):
                (self.folder / "test.json").rename(self.folder / f"test_after_{epochs}_epochs.json")

    def _claim(self, free: bool, config: dict[str, Any], device: "torch.device") -> None:
        if self._writes and (not free or (self.folder / "run.json").exists()):
            raise FileExistsError(
                f"{self.folder} holds a run already: resume={self.folder} goes on with it, "
                "hydra.run.dir names another folder"
            )
        made = origin(self.command)
        self.record = {**self._this_process(), **made, "seed": config["seed"], "device": describe_device(device)}
        if self._writes:
            self._write_config()

    def _write_config(self) -> None:
        write_whole(self.folder / "config.yaml", yaml.safe_dump(self.config, sort_keys=False))

    def keep(self) -> None:
        """Record how long the run has taken so far, in case it is killed."""
        self._write()

    def fail(self, error: str) -> None:
        """Mark the run as failed; for a process about to end without leaving the `with` block."""
        self.record |= {"state": "failed", "error": error}
        self._write()

    def finish(self, test: dict[str, float]) -> None:
        """Write test.json, the last thing that a run does."""
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
            named = "" if isinstance(error, RunError | UnwritableError) else f"{type(error).__name__}: "
            self.record |= {"state": "failed", "error": f"{named}{error}"}
        else:  # KeyboardInterrupt, SystemExit
            self.record["state"] = "interrupted"
        # On a full disk the record may stay as it was; the run then reads as interrupted, and its error is still shown.
        with suppress(UnwritableError) if error is not None else nullcontext():
            self._write()
        self._lock.give_back()

    @property
    def seconds(self) -> float:
        """Time since the command started, plus that of earlier commands if the run was resumed."""
        return self._seconds_before + time.perf_counter() - self._began

    def _this_process(self) -> dict[str, Any]:
        launch = {"launch": self.launch} if self.launch else {}
        return {"state": "running", "pid": os.getpid(), "host": socket.gethostname(), **launch}

    def _write(self) -> None:
        self.record["seconds"] = round(self.seconds, 3)
        if self._writes:
            write_json(self.folder / "run.json", self.record)


def _is_intact(checkpoint: Path) -> bool:
    """Whether every part of a file written by torch.save matches its checksum."""
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, EOFError):
        return False
