"""The state of a training on the disk: written whole, after every epoch and when the run is told to stop."""

import io
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from cnnlit.results.runs import write_whole


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints that are there whole or not at all, also when the process is killed while it writes."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_whole(Path(path), content.getvalue())


class LastCheckpoint(ModelCheckpoint):
    """Keeps the state at the end of the last epoch.

    Args:
        path: of the checkpoint.
    """

    state_key = "LastCheckpoint"
    """There is one; Lightning asks for its name ten times a step, and ModelCheckpoint would spell its settings out."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            dirpath=path.parent, filename=path.stem, save_on_train_epoch_end=True, enable_version_counter=False
        )


class StopOnSignal(Callback):
    """On SIGTERM, saves the state after the current step, then exits with code 143.

    After the last step of an epoch there is still its validation to come; then the state at its end is kept, as
    it always is, and the next epoch does not begin.

    Args:
        path: of the checkpoint.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._received: int | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning has set its own handler by now, which would end the run without saving.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received = number

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_last_batch and self._told(trainer):
            trainer.save_checkpoint(self.path)
            raise SystemExit(128 + signal.SIGTERM)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._told(trainer):
            raise SystemExit(128 + signal.SIGTERM)

    def _told(self, trainer: Trainer) -> bool:
        received = self._received is not None
        if trainer.world_size == 1:
            return received
        # All ranks have to agree, or one leaves while the others wait for it.
        return trainer.strategy.reduce_boolean_decision(received, all=False)
