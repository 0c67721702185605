"""The folder of replicas that are trained in one process: a run's folder for each, and the state of all together.

0/ 1/ …            runs as any other, with checkpoints of their own at the end of the training
checkpoints/       the state of all together while they train
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from cnnlit.runs.folder import Run
from cnnlit.runs.reading import read, read_config
from cnnlit.runs.sweep_folder import is_sweep

if TYPE_CHECKING:
    import torch


def is_stack(folder: Path) -> bool:
    """Whether a folder holds replicas that are trained in one process."""
    other = (folder / "run.json").exists() or is_sweep(folder)
    return not other and (folder / "0" / "run.json").is_file()


def read_configs(folder: Path) -> list[dict[str, Any]]:
    """The configuration of each replica in a folder, in their order."""
    number = sum(1 for path in folder.iterdir() if path.name.isdecimal())
    return [read_config(folder / str(replica)) for replica in range(number)]


class Stack(Run):
    """Replicas in their folder: claimed by `open_all`; what ends the `with` block with an error ends those that run.

    Args:
        folder: of all.
        replicas: their number.

    Attributes:
        runs: one for each.
    """

    def __init__(self, folder: Path, replicas: int) -> None:
        super().__init__(folder)
        self.runs = [Run(folder / str(number)) for number in range(replicas)]

    def open_all(self, configs: Sequence[dict[str, Any]], *, device: "torch.device", resume: bool) -> None:
        """Claim the folders of new runs, or take up those that are not finished; see Run.open.

        Args:
            configs: of each.
            device: that this process trains on.
            resume: go on with what is in the folder.

        Raises:
            FileExistsError: if the folder holds replicas already.
            ValueError: if those to resume are all finished, or another process is at work on them.
        """
        held = is_stack(self.folder)
        self._writes = True
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._lock.take():
            raise ValueError(f"resume={self.folder}: another process is at work on these replicas")
        if held and not resume:
            raise FileExistsError(
                f"{self.folder} holds replicas already: resume={self.folder} goes on with them, "
                "hydra.run.dir names another folder"
            )
        # The first one last: where it is, all are.
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
        """Those that have not come to their end."""
        return [run for run in self.runs if run.record["state"] == "running"]

    def fail(self, error: str) -> None:
        """Mark all that run as failed."""
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
            shutil.rmtree(self.checkpoint.parent, ignore_errors=True)  # each has its own
        self._lock.give_back()
