"""Time spent waiting for data is counted, and no other time."""

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from cnnlit.callbacks.data_wait import DataWait
from cnnlit.runs.folder import Run
from cnnlit.runs.summary import print_summary

STEPS = 4
WAIT, WORK = 0.05, 0.3


class SlowData(Dataset[Tensor]):
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, index: int) -> Tensor:
        time.sleep(self.seconds)
        return torch.zeros(1)


class SlowTraining(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        time.sleep(WORK)
        return self.weight.sum()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        time.sleep(WORK)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=1.0)


def waited(
    folder: Path, seconds: float, *others: Callback, checkpoint: Path | None = None, epochs: int = 1, **options: Any
) -> tuple[float, Trainer]:
    callback = DataWait()
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=[callback, *others],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
        **options,
    )
    data = DataLoader(SlowData(seconds), batch_size=None)
    trainer.fit(SlowTraining(), data, DataLoader(SlowData(WAIT), batch_size=None), ckpt_path=checkpoint)
    assert float(trainer.callback_metrics["seconds_waiting"]) == pytest.approx(callback.seconds)
    return callback.seconds, trainer


def test_loading_data_counts_as_waiting_and_steps_and_validation_do_not(tmp_path: Path) -> None:
    seconds, _ = waited(tmp_path, WAIT)
    assert STEPS * WAIT <= seconds < STEPS * WORK
    assert waited(tmp_path, 0)[0] < STEPS * WORK


class SavesWithinEpoch(Callback):
    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == STEPS // 2:
            trainer.save_checkpoint(self.path)


def test_time_waited_before_a_resume_within_an_epoch_counts(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    waited(tmp_path, WAIT, SavesWithinEpoch(path))
    assert STEPS * WAIT <= waited(tmp_path, WAIT, checkpoint=path)[0] < STEPS * WORK


def test_a_validation_within_an_epoch_is_not_waiting(tmp_path: Path) -> None:
    assert waited(tmp_path, 0, val_check_interval=0.25)[0] < STEPS * WORK


def test_time_waited_before_a_resume_counts(tmp_path: Path) -> None:
    before, trainer = waited(tmp_path, WAIT)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    after, _ = waited(tmp_path, WAIT, checkpoint=tmp_path / "last.ckpt", epochs=2)
    assert after >= before + STEPS * WAIT


@pytest.mark.parametrize(("waiting", "said"), [(60.0, True), (0.0, False)])
def test_the_summary_names_the_setting_to_change_after_much_waiting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], waiting: float, said: bool
) -> None:
    run = Run(tmp_path)
    run.record["seconds_waiting"] = waiting
    test = {"test/error": 0.5, "test/num_errors": 1, "test/num_images": 2, "test/loss": 1.0}
    print_summary(run, test, val_error=None, pictures={}, tracked=None, when_waiting="turn this")
    assert ("waited for data: 60 s; turn this" in capsys.readouterr().out) is said
