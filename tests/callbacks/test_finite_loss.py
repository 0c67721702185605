"""The step whose loss is not finite is named exactly, however long after it the losses are looked at."""

import itertools
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cnnlit.callbacks import finite_loss
from cnnlit.callbacks.finite_loss import FiniteLoss
from cnnlit.runs.folder import Run, RunError

STEPS_PER_EPOCH = 6


class FailsOnce(LightningModule):
    """Its loss is infinite in one batch, counted from 1."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.model = nn.Linear(1, 1)
        self.batches = itertools.count(1)
        self.fails = batch

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss = self.model(batch).square().mean()
        return loss + math.inf if next(self.batches) == self.fails else loss

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.0)


class AsOnGPU(FiniteLoss):
    """Looks at the losses from time to time, as it does where every look waits for the device."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._every_step = False


def message(folder: Path, callback: FiniteLoss, batch: int, accumulate: int = 1) -> str:
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=3,
        callbacks=[callback],
        accumulate_grad_batches=accumulate,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    with pytest.raises(RunError) as error:
        trainer.fit(FailsOnce(batch), DataLoader(torch.ones(STEPS_PER_EPOCH, 1)))
    return str(error.value)


@pytest.mark.parametrize("steps_between_looks", [0, 1, 2, 3, 100], ids="every_{}".format)
@pytest.mark.parametrize(("step", "epoch"), [(1, 1), (5, 1), (6, 1), (7, 2), (10, 2)])
def test_a_look_at_several_losses_names_the_step_of_the_first_bad_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps_between_looks: int, step: int, epoch: int
) -> None:
    clock = itertools.count()
    monkeypatch.setattr(finite_loss, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    monkeypatch.setattr(finite_loss, "SECONDS_BETWEEN_LOOKS", steps_between_looks)
    assert message(tmp_path, AsOnGPU(Run(tmp_path)), step).startswith(f"step {step} (epoch {epoch}): ")


def test_with_accumulated_gradients_steps_are_counted_and_not_batches(tmp_path: Path) -> None:
    assert message(tmp_path, AsOnGPU(Run(tmp_path)), 5, accumulate=2).startswith("step 3 (epoch 1): ")
