"""The state of a training on the disk: after every epoch, at intervals, and when the run is told to stop."""

import os
import re
import signal
import subprocess
import time
import warnings
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from cnnlit.runs.folder import Run

SECONDS_BETWEEN_VOTES = 1.0
"""How long the processes of a run train on before they ask one another whether to stop or to save."""


class Checkpoints(Callback):
    """Keeps the state after every epoch, within long ones at intervals, and after the current step on a signal.

    After the last step of an epoch there is still its validation to come; a signal that comes then ends the run after
    it. With several processes, all of them stop and save at the same step, whichever of them was told.

    The trainer's signals are StopSignals.

    Args:
        run: whose checkpoint it is.
        minutes: between two checkpoints of an epoch; None for none before its end.
        requeue: on SIGUSR1, ask SLURM to start the job again.
    """

    def __init__(self, run: Run, *, minutes: float | None = None, requeue: bool = False) -> None:
        self.run = run
        self.seconds = 60 * minutes if minutes else float("inf")
        self.requeue = requeue
        self._signals: Any = None
        self._resumed = False
        self._next_save = self._last_vote = 0.0
        self._steps_to_vote = self._steps_since_vote = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._signals = trainer._signal_connector
        self._signals.training = True
        self._resumed = trainer.fit_loop.restarting
        self._last_vote = time.monotonic()
        self._next_save = self._last_vote + self.seconds

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self._resumed:
            # From here on the run is as any other. Lightning holds it for a resumed one until the end of the epoch, and
            # leaves out the step of a schedule by epochs; and it counts a step that was not, at which it logs.
            trainer.fit_loop.restarting = False
            trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step
            self._resumed = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._steps_since_vote += 1
        alone = trainer.world_size == 1
        if (self._quiet() if alone else self._steps_since_vote < self._steps_to_vote) or _between(trainer):
            return
        signalled, due = self._vote(trainer)
        if signalled or due:
            self._save(trainer)
        if signalled:
            self._leave(trainer, signalled)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Only now is an epoch past: its row is in metrics.csv, and a schedule that watches the validation has seen it.
        if trainer.global_step and not trainer.fit_loop.restarting:
            trainer.fit_loop.epoch_loop.reset()  # as Lightning does next; its count of steps would be the past epoch's
            self._save(trainer)
        self._leave_if_told(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["config"] = self.run.config  # with which it describes itself

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._save(trainer)
        self._signals.training = False
        self._leave_if_told(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._signals = trainer._signal_connector
        self._signals.training = False

    def _quiet(self) -> bool:
        return self._signals.received is None and time.monotonic() < self._next_save

    def _vote(self, trainer: Trainer) -> tuple[int, bool]:
        """The signal that any process received, or 0, and whether it is time for a checkpoint."""
        now = time.monotonic()
        speed = self._steps_since_vote / max(now - self._last_vote, 1e-6)
        ballot = [self._signals.received or 0, int(now >= self._next_save), max(1, int(speed * SECONDS_BETWEEN_VOTES))]
        if trainer.world_size > 1:
            ballots = torch.tensor(ballot, device=trainer.strategy.root_device)
            ballot = trainer.strategy.reduce(ballots, reduce_op="max").tolist()
        self._last_vote, self._steps_since_vote = now, 0
        signalled, due, self._steps_to_vote = ballot
        return signalled, bool(due)

    def _save(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.run.checkpoint)
        self.run.keep()
        self._next_save = time.monotonic() + self.seconds

    def _leave_if_told(self, trainer: Trainer) -> None:
        signalled, _ = self._vote(trainer)
        if signalled:
            self._leave(trainer, signalled)

    def _leave(self, trainer: Trainer, number: int) -> None:
        if self.requeue and number == signal.SIGUSR1 and trainer.is_global_zero:
            requeue()
        raise SystemExit(128 + number)


def _between(trainer: Trainer) -> bool:
    """Whether the state is one that a run cannot go on from: before a validation, or with gradients added up."""
    return trainer.is_last_batch or trainer.fit_loop._should_accumulate()


def requeue() -> None:
    """Ask SLURM to start this process's job again, which is to go on with the run; warns where it refuses."""
    job = os.environ.get("SLURM_JOB_ID", "")
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    if not re.fullmatch(r"\d+(_\d+)?", job):
        warnings.warn("requeue=true: this is no job of SLURM's, there is no SLURM_JOB_ID", stacklevel=2)
        return
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", None) or error
        warnings.warn(f"scontrol requeue {job} failed: {str(reason).strip()}", stacklevel=2)
