"""The lowest validation error: where the best network is kept, and when to stop waiting for a better one."""

import math
from typing import Any

from lightning import Callback, LightningModule, Trainer

from cnnlit.runs.folder import Run


class LowestError(Callback):
    """Keeps the network of the lowest validation error, and ends training that has not improved on it for long.

    Its state is in the checkpoints, so that a resumed run keeps the same network and ends at the same epoch. The error
    is that of all devices together, so all decide alike.

    Args:
        run: whose `best_checkpoint` is written.
        keep: whether to keep the network; of equally good ones, the first.
        patience: epochs without a new lowest error after which training ends; None for never.

    Attributes:
        error: the lowest validation error so far.
        epoch: the epoch after which it was measured, from 1.
    """

    def __init__(self, run: Run, *, keep: bool, patience: int | None) -> None:
        self.run = run
        self.keep = keep
        self.patience = patience
        self.error = math.inf
        self.epoch = 0

    def state_dict(self) -> dict[str, Any]:
        return {"error": self.error, "epoch": self.epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.error, self.epoch = state_dict["error"], state_dict["epoch"]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        error = float(trainer.callback_metrics["val/error"])
        if error < self.error:
            self.error, self.epoch = error, trainer.current_epoch + 1
            if self.keep:
                trainer.save_checkpoint(self.run.best_checkpoint)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.patience and trainer.current_epoch + 1 - self.epoch >= self.patience:
            trainer.should_stop = True
