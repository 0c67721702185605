"""Every argument of Lightning's Trainer is honoured or refused with what does its work; none is accepted in vain."""

import inspect
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import ModelSummary
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.profilers import SimpleProfiler

from cnnlit import config
from cnnlit.callbacks import callbacks_of_a_run
from cnnlit.experiment.settings import TrainSettings
from cnnlit.parallel.trainer import build_trainer
from cnnlit.parallel.trainer_arguments import COMBINED, HARDWARE, INSTEAD, PASSED_ON, Precision
from cnnlit.runs.folder import Run

pytestmark = pytest.mark.filterwarnings("ignore")

ARGUMENTS = set(inspect.signature(Trainer).parameters)


def built(folder: Path, **chosen: Any) -> Trainer:
    """The Trainer of a run whose user chose these arguments."""
    recipe: Any = SimpleNamespace(
        epochs=5, gradient_clip_norm=None, averaging_decay=None, checkpoint="last", early_stopping_patience=None
    )
    data: Any = SimpleNamespace(num_images={"train": 9, "val": 3, "test": 3}, when_waiting=lambda: None)
    run = Run(folder)
    progress = chosen.get("enable_progress_bar", True)
    callbacks = callbacks_of_a_run(run, recipe, data, progress=progress)
    return build_trainer(partial(Trainer, accelerator="cpu"), run, recipe, data, callbacks, chosen)


def test_every_argument_of_this_lightning_is_accounted_for_once() -> None:
    assert HARDWARE | PASSED_ON | COMBINED | INSTEAD.keys() == ARGUMENTS
    assert len(HARDWARE) + len(PASSED_ON) + len(COMBINED) + len(INSTEAD) == len(ARGUMENTS)


def test_every_precision_of_this_lightning_is_known_and_auto() -> None:
    def words(annotation: Any) -> set[Any]:
        return set().union(*(words(each) if get_args(each) else {each} for each in get_args(annotation)))

    lightnings = words(inspect.signature(Trainer).parameters["precision"].annotation) - {type(None)}
    assert set(get_args(Precision)) == lightnings | {"auto"}


@pytest.mark.parametrize("argument", INSTEAD)
def test_what_something_here_does_is_refused_with_its_name(argument: str) -> None:
    node = {"_target_": "lightning.pytorch.Trainer", argument: 1}
    with pytest.raises(ValueError, match=f"^trainer.{argument}=1: ") as refusal:
        config.check({"trainer": node}, TrainSettings)
    (line,) = str(refusal.value).splitlines()
    assert line.endswith(INSTEAD[argument])


EFFECTS: dict[str, tuple[Any, Any]] = {
    "fast_dev_run": (2, lambda trainer: trainer.limit_train_batches == 2 and trainer.max_epochs == 1),
    "min_epochs": (3, lambda trainer: trainer.min_epochs == 3),
    "max_steps": (7, lambda trainer: trainer.max_steps == 7),
    "min_steps": (4, lambda trainer: trainer.min_steps == 4),
    "max_time": ("00:00:01:00", lambda trainer: "Timer" in {type(each).__name__ for each in trainer.callbacks}),
    "reload_dataloaders_every_n_epochs": (1, lambda trainer: trainer.reload_dataloaders_every_n_epochs == 1),
    "limit_train_batches": (2, lambda trainer: trainer.limit_train_batches == 2),
    "limit_val_batches": (2, lambda trainer: trainer.limit_val_batches == 2),
    "limit_test_batches": (2, lambda trainer: trainer.limit_test_batches == 2),
    "val_check_interval": (0.5, lambda trainer: trainer.val_check_interval == 0.5),
    "check_val_every_n_epoch": (3, lambda trainer: trainer.check_val_every_n_epoch == 3),
    "num_sanity_val_steps": (2, lambda trainer: trainer.num_sanity_val_steps == 2),
    "enable_model_summary": (True, lambda trainer: any(isinstance(each, ModelSummary) for each in trainer.callbacks)),
    "log_every_n_steps": (3, lambda trainer: trainer.log_every_n_steps == 3),
    "enable_autolog_hparams": (False, lambda trainer: trainer.enable_autolog_hparams is False),
    "deterministic": ("warn", lambda trainer: torch.is_deterministic_algorithms_warn_only_enabled()),
    "benchmark": (True, lambda trainer: torch.backends.cudnn.benchmark),
    "detect_anomaly": (True, lambda trainer: trainer._detect_anomaly),
    "inference_mode": (False, lambda trainer: trainer.test_loop.inference_mode is False),
    "profiler": ("simple", lambda trainer: isinstance(trainer.profiler, SimpleProfiler)),
    "plugins": (
        [LightningEnvironment()],
        lambda trainer: isinstance(trainer.strategy.cluster_environment, LightningEnvironment),
    ),
    "enable_progress_bar": (False, lambda trainer: trainer.progress_bar_callback is None),
    "overfit_batches": (2, lambda trainer: trainer.limit_train_batches == trainer.limit_val_batches == 2),
}


@pytest.fixture(autouse=True)
def the_settings_of_torch_stay() -> Any:
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = False


@pytest.mark.parametrize("argument", sorted(PASSED_ON | COMBINED))
def test_what_is_accepted_reaches_the_trainer(tmp_path: Path, argument: str) -> None:
    value, has_effect = EFFECTS[argument]
    devices = {"strategy": "ddp", "devices": 1} if argument == "plugins" else {}
    assert not has_effect(built(tmp_path, **devices)) or argument == "plugins"
    assert has_effect(built(tmp_path, **devices, **{argument: value}))


def test_arguments_that_do_not_go_together_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^trainer: .*limit_train_batches"):
        built(tmp_path, limit_train_batches=-1)


def test_a_profile_goes_to_the_folder_of_the_run(tmp_path: Path) -> None:
    profiler = built(tmp_path, profiler=SimpleProfiler()).profiler  # type: ignore[attr-defined]
    assert (profiler.dirpath, profiler.filename) == (str(tmp_path), "profile")
