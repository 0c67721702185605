"""Checkpoints: after every epoch, at intervals, and when the run is told to stop."""

import time
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from cnnlit.parallel.lightning_internals import leave_restart
from cnnlit.parallel.signals import StopSignals
from cnnlit.runs.folder import Run

SECONDS_BETWEEN_VOTES = 1.0
"""How long several processes train before they next agree on whether to stop or to save."""


class Checkpoints(Callback):
    """Saves after every epoch, at intervals within long epochs, and on a signal after the current step.

    A signal that comes during the last step of an epoch or its validation ends the run after the validation. Several
    processes all save and stop at the same step, whichever of them received the signal.

    Args:
        run: the run that is saved.
        signals: what stops the run; whoever calls the Trainer has to enter it.
        minutes: between two checkpoints within an epoch; None for none before its end.
    """

    def __init__(self, run: Run, signals: StopSignals, *, minutes: float | None = None) -> None:
        self.run = run
        self.signals = signals
        self.seconds = 60 * minutes if minutes else float("inf")
        self._resumed = self._stopped = False
        self._next_save = self._last_vote = 0.0
        self._steps_to_vote = self._steps_since_vote = 0

    def state_dict(self) -> dict[str, Any]:
        return {"stopped": self._stopped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._stopped = state_dict["stopped"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = self._stopped  # a callback ended the training that is resumed: only its test is missing

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.signals.install()  # the Trainer has just put its own in their place
        self.signals.training = True
        self._resumed = trainer.fit_loop.restarting
        self._last_vote = time.monotonic()
        self._next_save = self._last_vote + self.seconds

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self._resumed:
            leave_restart(trainer)
            self._resumed = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._steps_since_vote += 1
        alone = trainer.world_size == 1
        if self._quiet() if alone else self._steps_since_vote < self._steps_to_vote:
            return
        if trainer.is_last_batch or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return  # no run can resume here: a validation is still to come, or gradients are half accumulated
        signalled, due = self._vote(trainer)
        if signalled or due:
            self._save(trainer)
        if signalled:
            raise SystemExit(128 + signalled)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Only now is the last epoch over: metrics.csv has its row, and a schedule that watches validation was stepped.
        if trainer.global_step and not trainer.fit_loop.restarting:
            trainer.fit_loop.epoch_loop.reset()  # as Lightning does next; or the counts saved are the last epoch's
            self._save(trainer)
        self._leave_if_told(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["config"] = self.run.config  # with which it describes itself

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stopped = trainer.should_stop
        self._save(trainer)
        self.signals.training = False
        self._leave_if_told(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.signals.install()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.signals.training = False

    def _quiet(self) -> bool:
        return self.signals.received is None and time.monotonic() < self._next_save

    def _vote(self, trainer: Trainer) -> tuple[int, bool]:
        """The signal that any of the processes received, or 0, and whether a checkpoint is due."""
        now = time.monotonic()
        speed = self._steps_since_vote / max(now - self._last_vote, 1e-6)
        ballot = [self.signals.received or 0, int(now >= self._next_save), max(1, int(speed * SECONDS_BETWEEN_VOTES))]
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
            raise SystemExit(128 + signalled)
