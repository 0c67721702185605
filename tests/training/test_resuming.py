"""A run that was cut off and resumed is bitwise the run that was not."""

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer, seed_everything
from torch.nn import CrossEntropyLoss
from torch.optim import AdamW
from torchvision.transforms import v2

from cnnlit.callbacks.averaging import PolyakAveraging
from cnnlit.callbacks.checkpoints import Checkpoints
from cnnlit.data.small_images import SmallImages
from cnnlit.models.lenet5 import LeNet5
from cnnlit.parallel.signals import StopSignals
from cnnlit.runs.checkpoint_io import WholeCheckpoints
from cnnlit.runs.folder import Run
from cnnlit.runs.metrics_file import MetricsFile
from cnnlit.runs.reading import read_metrics
from cnnlit.training.losses import MaximumAPosteriori, MeanSquaredDistance
from cnnlit.training.module import ImageClassification
from cnnlit.training.optimizers import StochasticDiagonalLM
from cnnlit.training.recipe import Recipe
from cnnlit.training.schedules import Passes, Plateau, WarmupCosine

pytestmark = pytest.mark.filterwarnings("ignore")

EPOCHS, STEPS = 3, 7  # 1,257 images in batches of 200
SEED = 4


class Killed(MetricsFile):
    """Ends the process before it writes the row of the first epoch's training, its validation being written."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if "train/loss" in metrics:
            raise SystemExit
        super().log_metrics(metrics, step)


class CutOff(Callback):
    """Gets a signal in step number `step`; or, without one, is killed before the second epoch's first step."""

    def __init__(self, step: int | None) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if self.step is None and trainer.global_step == STEPS:
            raise SystemExit

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            signal.raise_signal(signal.SIGTERM)


def modern() -> Recipe:
    return Recipe(
        batch_size=200,
        epochs=EPOCHS,
        order="fresh",
        loss=MaximumAPosteriori(10.0),
        optimizer=partial(AdamW, lr=0.005),
        schedule=WarmupCosine,
    )


def lecun1998() -> Recipe:
    rates: Any = {"rates": [5e-4, 2e-4], "passes": [1, 2]}
    return Recipe(
        batch_size=200,
        epochs=EPOCHS,
        order="constant",
        loss=MeanSquaredDistance(),
        optimizer=partial(StochasticDiagonalLM, lr=5e-4, num_samples=50),
        schedule=partial(Passes, **rates),
    )


def plateau() -> Recipe:
    """A schedule that watches the validation, weights that are averaged, and filters that are limited."""
    return Recipe(
        batch_size=200,
        epochs=EPOCHS,
        order="fresh",
        loss=MaximumAPosteriori(10.0),
        optimizer=partial(AdamW, lr=0.02),
        schedule=partial(Plateau, factor=0.5, patience=0),
        max_filter_rms=0.05,
        averaging_decay=0.9,
    )


def fine_tuned() -> Recipe:
    """Layers that are frozen or slower, beside weights that are averaged."""
    return Recipe(
        batch_size=200,
        epochs=EPOCHS,
        order="fresh",
        loss=MaximumAPosteriori(10.0),
        optimizer=partial(AdamW, lr=0.005),
        schedule=WarmupCosine,
        averaging_decay=0.9,
        freeze=["c1", "s2"],
        layer_rates={"c3": 0.5},
    )


def balanced() -> Recipe:
    """Classes that are shown equally often, and count differently."""
    return Recipe(
        batch_size=200,
        epochs=EPOCHS,
        order="balanced",
        loss=CrossEntropyLoss(),
        class_weights=[1.0, 5.0, *[1.0] * 8],
        optimizer=partial(AdamW, lr=0.005),
        schedule=WarmupCosine,
        averaging_decay=0.9,
    )


def mixing() -> Recipe:
    """Images that are mixed in one of two ways, drawn anew for each batch, and pass in parts."""
    ways = v2.RandomChoice([v2.MixUp(alpha=0.4, num_classes=10), v2.CutMix(num_classes=10)])
    return Recipe(
        batch_size=200,
        micro_batch_size=70,
        epochs=EPOCHS,
        order="fresh",
        loss=CrossEntropyLoss(label_smoothing=0.1),
        mixing=ways,
        optimizer=partial(AdamW, lr=0.005),
        schedule=WarmupCosine,
    )


def fit(
    folder: Path,
    recipe: Recipe,
    *callbacks: Callback,
    resume: bool = False,
    metrics: type[MetricsFile] = MetricsFile,
    **data: Any,
) -> Any:
    """Three epochs as the train command runs them; the last state on the disk."""
    seed_everything(SEED, workers=True, verbose=False)
    run, signals = Run(folder), StopSignals()
    path = run.checkpoint
    digits = SmallImages(val_split=180, batch_size=200, order=recipe.order, distortion="affine1998", seed=SEED, **data)
    digits.setup()
    task = ImageClassification(
        LeNet5(dropout=0.3, initialization="lecun1998_sqrt"),
        recipe=recipe,
        num_classes=10,
        seed=SEED,
    )
    averaging = [PolyakAveraging(recipe.averaging_decay)] if recipe.averaging_decay else []
    loop = Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        callbacks=[*averaging, *callbacks, Checkpoints(run, signals)],
        plugins=[WholeCheckpoints(run.previous_checkpoint)],
        logger=metrics(folder),
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=folder,
    )
    with signals:
        loop.fit(task, datamodule=digits, ckpt_path=path if resume else None, weights_only=True)
    return torch.load(path, weights_only=True)


def assert_same_state(resumed: Any, whole: Any) -> None:
    """Equal to the bit, but for the paths and times that are a run's own."""
    assert resumed["global_step"] == whole["global_step"] == EPOCHS * STEPS
    assert resumed["epoch"] == whole["epoch"]
    assert resumed["lr_schedulers"] == whole["lr_schedulers"]
    assert resumed["state_dict"].keys() == whole["state_dict"].keys()
    for name, tensor in whole["state_dict"].items():
        assert torch.equal(resumed["state_dict"][name], tensor), name
    (one,), (other,) = resumed["optimizer_states"], whole["optimizer_states"]
    assert one["param_groups"] == other["param_groups"]
    for number, state in other["state"].items():
        for name, tensor in state.items():
            assert torch.equal(one["state"][number][name], tensor), name


def curves(folder: Path) -> list[dict[str, str]]:
    rows = read_metrics(folder)
    for row in rows:
        del row["seconds"]
    return rows


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Any, list[dict[str, str]]]]:
    """The state and the curves of a run without interruption, of each recipe once."""
    known: dict[Any, Any] = {}

    def run(recipe: Callable[[], Recipe], **data: Any) -> tuple[Any, list[dict[str, str]]]:
        key = recipe, *data.items()
        if key not in known:
            folder = tmp_path_factory.mktemp("whole")
            known[key] = fit(folder, recipe(), **data), curves(folder)
        return known[key]

    return run


@pytest.mark.parametrize("recipe", [modern, lecun1998, plateau, fine_tuned])
@pytest.mark.parametrize(
    "step",
    [
        pytest.param(3, id="in_the_first_epoch"),
        pytest.param(STEPS, id="on_the_last_batch_of_the_first_epoch"),
        pytest.param(None, id="at_the_end_of_the_first_epoch"),
        pytest.param(2 * STEPS + 1, id="on_the_first_batch_of_the_last_epoch"),
        pytest.param(3 * STEPS - 1, id="in_the_last_epoch"),
        pytest.param(3 * STEPS, id="on_the_last_batch_of_all"),
    ],
)
def test_a_resumed_run_is_bitwise_the_uninterrupted_one(
    tmp_path: Path, whole: Any, recipe: Callable[[], Recipe], step: int | None
) -> None:
    with pytest.raises(SystemExit):
        fit(tmp_path, recipe(), CutOff(step))
    resumed = fit(tmp_path, recipe(), resume=True)
    state, rows = whole(recipe)
    assert_same_state(resumed, state)
    assert len(rows) == EPOCHS
    assert curves(tmp_path) == rows


@pytest.mark.parametrize("recipe", [modern, plateau])
def test_a_run_that_is_killed_before_it_wrote_an_epochs_row_writes_it_when_it_is_resumed(
    tmp_path: Path, whole: Any, recipe: Callable[[], Recipe]
) -> None:
    with pytest.raises(SystemExit):
        fit(tmp_path, recipe(), CutOff(STEPS - 1))
    with pytest.raises(SystemExit):
        fit(tmp_path, recipe(), resume=True, metrics=Killed)
    resumed = fit(tmp_path, recipe(), resume=True)
    state, rows = whole(recipe)
    assert_same_state(resumed, state)
    assert curves(tmp_path) == rows


def test_a_run_that_mixes_images_resumes_in_its_epoch(tmp_path: Path, whole: Any) -> None:
    with pytest.raises(SystemExit):
        fit(tmp_path, mixing(), CutOff(STEPS + 3))
    resumed = fit(tmp_path, mixing(), resume=True)
    state, rows = whole(mixing)
    assert_same_state(resumed, state)
    assert curves(tmp_path) == rows


@pytest.mark.parametrize("step", [3, 2 * STEPS + 1])
def test_a_run_with_balanced_classes_resumes_in_its_epoch(tmp_path: Path, whole: Any, step: int) -> None:
    with pytest.raises(SystemExit):
        fit(tmp_path, balanced(), CutOff(step))
    resumed = fit(tmp_path, balanced(), resume=True)
    state, rows = whole(balanced)
    assert_same_state(resumed, state)
    assert torch.equal(state["class_weights"], torch.tensor([1.0, 5.0, *[1.0] * 8]))
    assert curves(tmp_path) == rows


def test_a_run_can_be_cut_off_twice_in_an_epoch(tmp_path: Path, whole: Any) -> None:
    with pytest.raises(SystemExit):
        fit(tmp_path, modern(), CutOff(STEPS + 2))
    with pytest.raises(SystemExit):
        fit(tmp_path, modern(), CutOff(STEPS + 5), resume=True)
    resumed = fit(tmp_path, modern(), resume=True)
    state, rows = whole(modern)
    assert_same_state(resumed, state)
    assert curves(tmp_path) == rows


def test_a_run_with_fixed_copies_resumes_in_their_sweep(tmp_path: Path, whole: Any) -> None:
    with pytest.raises(SystemExit):
        fit(tmp_path, modern(), CutOff(STEPS + 3), distortion_copies=2)
    resumed = fit(tmp_path, modern(), resume=True, distortion_copies=2)
    state, rows = whole(modern, distortion_copies=2)
    assert_same_state(resumed, state)
    assert curves(tmp_path) == rows
