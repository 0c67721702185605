"""Which images a run could not read and left out."""

from typing import Any

from lightning import Callback, LightningModule, Trainer

from cnnlit.parallel.processes import of_all
from cnnlit.runs.folder import Run


class UnreadableImages(Callback):
    """Lists in run.json, as `unreadable`, the images that any process of the run has left out.

    The list is updated with each checkpoint, so that a resumed run still knows what was left out before, and after the
    test.

    Reads `unreadable` of the datamodule.

    Args:
        run: the run whose record it is.
    """

    def __init__(self, run: Run) -> None:
        self.run = run

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._note(trainer)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._note(trainer)

    def _note(self, trainer: Trainer) -> None:
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]
        if left_out := of_all({*datamodule.unreadable, *self.run.record.get("unreadable", [])}):
            self.run.record["unreadable"] = left_out
