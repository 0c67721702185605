"""The folder of seeds that are trained in lock-step, in one process: a run for each, and the state of all together.

0/ 1/ …            runs like any other, with checkpoints of their own once training is over
checkpoints/       the state of all together during training
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from cnnlit.files import make_folder
from cnnlit.runs.folder import Run
from cnnlit.runs.reading import read, read_config
from cnnlit.runs.sweep_folder import is_sweep

if TYPE_CHECKING:
    import torch


def is_stack(folder: Path) -> bool:
    """Whether a folder holds seeds that are trained in lock-step."""
    other = (folder / "run.json").exists() or is_sweep(folder)
    return not other and (folder / "0" / "run.json").is_file()


def read_configs(folder: Path) -> list[dict[str, Any]]:
    """The configuration of each seed of a stack, in order."""
    number = sum(1 for path in folder.iterdir() if path.name.isdecimal())
    return [read_config(folder / str(replica)) for replica in range(number)]


class Stack(Run):
    """A stack in its folder: claimed by `open_all`; an error that leaves the `with` block ends all runs of it.

    Args:
        folder: of the stack.
        replicas: number of seeds.

    Attributes:
        runs: one for each seed.
    """

    def __init__(self, folder: Path, replicas: int) -> None:
        super().__init__(folder)
        self.runs = [Run(folder / str(number)) for number in range(replicas)]

    def open_all(self, configs: Sequence[dict[str, Any]], *, device: "torch.device", resume: bool) -> None:
        """Claim the folders for new runs, or resume those that are not finished; see Run.open.

        Args:
            configs: of each run.
            device: the one that this process trains on.
            resume: whether to resume the runs in the folder.

        Raises:
            FileExistsError: if the folder holds a stack already.
            ValueError: if the runs to resume are all finished, or another process is at work on them.
        """
        held = is_stack(self.folder)
        self._writes = True
        self.config = configs[0]
        make_folder(self.folder)
        if not self._lock.take():
            raise ValueError(f"resume={self.folder}: another process is at work on these replicas")
        if held and not resume:
            raise FileExistsError(
                f"{self.folder} holds replicas already: resume={self.folder} goes on with them, "
                "hydra.run.dir names another folder"
            )
        # The first run last: once it exists, all do.
        for run, config in reversed(list(zip(self.runs, configs, strict=True))):
            if resume and (before := read(run.folder))["state"] == "finished":
                run.record = before
                continue
            run.open(config, device=device, writes=True, resume=resume)
            run.record["replicas"] = len(self.runs)
        if not self.running:
            raise ValueError(f"resume={self.folder}: these runs are finished; their results are in test.json of each")
        self.record = self.running[0].record

    @property
    def running(self) -> list[Run]:
        """The runs that have not ended."""
        return [run for run in self.runs if run.record["state"] == "running"]

    def fail(self, error: str) -> None:
        """Mark the runs that have not ended as failed."""
        for run in self.running:
            run.fail(error)

    def _write(self) -> None:
        for run in self.running:
            run.keep()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for run in self.running:
            run.__exit__(kind, error, trace)
        if all(run.record["state"] == "finished" for run in self.runs):
            shutil.rmtree(self.checkpoint.parent, ignore_errors=True)  # each run has its own now
        self._lock.give_back()
