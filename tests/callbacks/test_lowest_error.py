"""The best network and early stopping are the same however often the run was cut off."""

import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer, seed_everything
from torch.optim import AdamW

from cnnlit.callbacks import lowest_error
from cnnlit.callbacks.averaging import PolyakAveraging
from cnnlit.callbacks.checkpoints import Checkpoints
from cnnlit.callbacks.lowest_error import LowestError
from cnnlit.data.small_images import SmallImages
from cnnlit.models.lenet5 import LeNet5
from cnnlit.parallel.signals import StopSignals
from cnnlit.runs.checkpoint_io import WholeCheckpoints
from cnnlit.runs.folder import Run
from cnnlit.runs.reading import checkpoint_of
from cnnlit.training.losses import MaximumAPosteriori
from cnnlit.training.module import ImageClassification
from cnnlit.training.recipe import Recipe
from cnnlit.training.schedules import Constant

pytestmark = pytest.mark.filterwarnings("ignore")

MOST, STEPS = 40, 7


class CutOff(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            signal.raise_signal(signal.SIGTERM)


class Measured(Callback):
    """The validation errors and the weights at each of them."""

    def __init__(self) -> None:
        self.errors: list[float] = []
        self.weights: list[Any] = []

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.errors.append(float(trainer.callback_metrics["val/error"]))
        self.weights.append({name: value.clone() for name, value in pl_module.state_dict().items()})


def fit(folder: Path, *callbacks: Callback, averaging: bool = False, resume: bool = False) -> Trainer:
    seed_everything(2, workers=True, verbose=False)
    recipe = Recipe(
        batch_size=200, epochs=MOST, order="fresh", loss=MaximumAPosteriori(10.0), schedule=Constant,
        optimizer=partial(AdamW, lr=0.02), checkpoint="best", early_stopping_patience=3,
    )  # fmt: skip
    digits = SmallImages(val_split=180, batch_size=200)
    digits.setup()
    task = ImageClassification(LeNet5(activation="relu"), recipe=recipe, num_classes=10, seed=2)
    run, signals = Run(folder), StopSignals()
    loop = Trainer(
        accelerator="cpu", max_epochs=MOST, logger=False, enable_checkpointing=False, enable_model_summary=False,
        callbacks=[
            *([PolyakAveraging(0.5)] if averaging else []), *callbacks,
            LowestError(run, keep=True, patience=recipe.early_stopping_patience), Checkpoints(run, signals),
        ],
        plugins=[WholeCheckpoints(run.previous_checkpoint)], enable_progress_bar=False, num_sanity_val_steps=0,
        use_distributed_sampler=False, default_root_dir=folder,
    )  # fmt: skip
    with signals:
        loop.fit(task, datamodule=digits, ckpt_path=run.checkpoint if resume else None, weights_only=True)
    return loop


def best(folder: Path) -> Any:
    return torch.load(checkpoint_of(folder), weights_only=True)["state_dict"]


def assert_equal(one: Any, other: Any) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trainer, Measured]:
    folder, measured = tmp_path_factory.mktemp("whole"), Measured()
    return folder, fit(folder, measured), measured


def test_training_ends_after_so_many_epochs_without_a_new_lowest_error(whole: Any) -> None:
    _, loop, measured = whole
    first = measured.errors.index(min(measured.errors))
    assert len(measured.errors) < MOST
    assert loop.current_epoch == len(measured.errors) == first + 1 + 3


def test_the_first_network_with_the_lowest_error_is_kept_and_is_the_runs(whole: Any) -> None:
    folder, loop, measured = whole
    lowest = lowest_error(loop)
    assert lowest is not None
    assert lowest.error == min(measured.errors)
    assert lowest.epoch == measured.errors.index(min(measured.errors)) + 1
    assert checkpoint_of(folder).name == "best.ckpt"
    assert_equal(best(folder), measured.weights[lowest.epoch - 1])


@pytest.mark.parametrize("where", ["within_the_epoch_after_the_best", "in_the_last_epoch", "before_the_best"])
def test_a_resumed_run_keeps_the_same_network_and_ends_at_the_same_epoch(
    tmp_path: Path, whole: Any, where: str
) -> None:
    folder, loop, measured = whole
    found = measured.errors.index(min(measured.errors)) + 1
    step = {
        "within_the_epoch_after_the_best": found * STEPS + 3,
        "in_the_last_epoch": loop.global_step - 2,
        "before_the_best": (found - 1) * STEPS + 2,
    }[where]
    with pytest.raises(SystemExit):
        fit(tmp_path, CutOff(step))
    resumed = fit(tmp_path, resume=True)
    assert resumed.global_step == loop.global_step
    assert_equal(best(tmp_path), best(folder))


def test_a_run_that_was_interrupted_in_its_test_is_not_trained_further(tmp_path: Path, whole: Any) -> None:
    _, loop, _ = whole
    fit(tmp_path)
    before = best(tmp_path)
    again = fit(tmp_path, resume=True)
    assert again.global_step == loop.global_step
    assert_equal(best(tmp_path), before)


def test_of_averaged_weights_the_average_is_kept(tmp_path: Path) -> None:
    loop = fit(tmp_path, averaging=True)
    kept = torch.load(checkpoint_of(tmp_path), weights_only=True)
    assert kept["state_dict"].keys() == kept["current_model_state"].keys()
    name = next(iter(kept["state_dict"]))
    assert not torch.equal(kept["state_dict"][name], kept["current_model_state"][name])
    assert loop.current_epoch < MOST
