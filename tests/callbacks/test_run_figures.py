"""After a test a run has its figures, and none of them can cost the run."""

import csv
import os
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from drawings.made_answers import DIGITS, Answers, answers, metrics_rows, random_images
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure
from matplotlib.image import imread
from torch import Tensor, nn

import cnnlit
from cnnlit.callbacks import run_figures
from cnnlit.callbacks.run_figures import RunFigures, compare_with_1998
from cnnlit.data.transforms.presented import PresentedImage

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
OF_A_TEST = {"confusion_matrix", "class_errors", "calibration", "errors"}
PICTURES = {"training_images", "learning_curves", "filters"} | OF_A_TEST


def test_comparison_counts_repeated_errors_and_repeated_answers() -> None:
    labels, predicted, _ = answers(100, {4: 6, 9: 5, 50: 1})
    assert compare_with_1998(predicted, labels, {4: 6, 9: 4, 77: 1}) == (3, 3, 2, 1)


class Digits(pl.LightningDataModule):
    class_names = DIGITS
    test_images = random_images(40, 28, 28)
    published_errors = {4: 6, 9: 4, 30: 1}  # noqa: RUF012

    def training_images(self, loader: Any) -> list[PresentedImage]:
        return [PresentedImage(image, 3, image, "as it is") for image in random_images(len(loader), 28, 28)]

    def train_dataloader(self) -> Any:
        return torch.utils.data.DataLoader(range(3))

    def test_dataloader(self) -> Any:
        return torch.utils.data.DataLoader(range(40), batch_size=40)


class Classifier(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Conv2d(1, 6, 5), nn.Flatten())
        self.recipe = SimpleNamespace(mixing=None)
        self.test_predictions: Answers | None = answers(40, {4: 6, 9: 5})

    def test_result(self) -> dict[str, float]:
        return {"test/calibration_error": 0.1}

    def test_step(self, batch: Tensor, batch_idx: int) -> None:
        pass


class ImageLogger(pl.loggers.CSVLogger):
    """Takes pictures as W&B's does."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.logged: dict[str, list[str]] = {}

    def log_image(self, key: str, images: list[str]) -> None:
        self.logged[key] = images


def after_a_test(folder: Path, module: pl.LightningModule | None = None, logger: Any = False) -> RunFigures:
    """RunFigures after a test of 40 images with 2 errors, in a folder that has a metrics.csv."""
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["epoch", "train/error", "train/loss", "val/error", "val/loss"])
        writer.writeheader()
        writer.writerows(metrics_rows(3))
    callback = RunFigures(folder)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        logger=logger,
        callbacks=[callback],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=folder,
    )
    trainer.test(module or Classifier(), datamodule=Digits(), verbose=False)
    return callback


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_test_leaves_whole_pictures_and_nothing_else(tmp_path: Path) -> None:
    paths = after_a_test(tmp_path).paths
    assert set(paths) == PICTURES | {"test_predictions"}
    for name in PICTURES:
        assert paths[name] == tmp_path / "pictures" / f"{name}.png"
        assert paths[name].read_bytes().startswith(PNG_SIGNATURE)
        assert paths[name].stat().st_size > 2000
        assert min(imread(paths[name]).shape[:2]) > 150
    assert files(tmp_path) == {f"pictures/{name}.png" for name in PICTURES} | {"metrics.csv", "test_predictions.csv"}


def test_predictions_are_written_in_test_order(tmp_path: Path) -> None:
    with after_a_test(tmp_path).paths["test_predictions"].open() as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == ["index", "label", "predicted", "confidence"]
    assert [int(row["index"]) for row in table] == list(range(40))
    assert {int(row["index"]): int(row["predicted"]) for row in table if row["label"] != row["predicted"]} == {
        4: 6,
        9: 5,
    }
    assert float(table[39]["confidence"]) == 1.0


def test_comparison_is_kept_where_there_are_published_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert after_a_test(tmp_path).comparison == (2, 3, 2, 1)
    monkeypatch.setattr(Digits, "published_errors", None)
    assert after_a_test(tmp_path).comparison is None


def test_a_test_without_training_has_no_learning_curves_and_no_warning(tmp_path: Path) -> None:
    callback = RunFigures(tmp_path)
    trainer = pl.Trainer(
        accelerator="cpu", devices=1, logger=False, callbacks=[callback], enable_progress_bar=False, barebones=False
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.test(Classifier(), datamodule=Digits(), verbose=False)
    assert set(callback.paths) == PICTURES - {"learning_curves"} | {"test_predictions"}
    assert not [warning for warning in caught if "left out" in str(warning.message)]


def test_a_picture_that_fails_is_named_in_one_line_and_the_others_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Figure:
        raise RuntimeError("no ink\nleft")

    monkeypatch.setattr(run_figures, "draw_errors", fail)
    with pytest.warns(UserWarning, match=r"^pictures/errors.png left out: RuntimeError: no ink left$"):
        callback = after_a_test(tmp_path)
    assert set(callback.paths) == PICTURES - {"errors"} | {"test_predictions"}
    assert files(tmp_path / "pictures") == {f"{name}.png" for name in PICTURES - {"errors"}}


def test_a_picture_cut_off_while_it_is_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = after_a_test(tmp_path).paths["filters"].read_bytes()

    def full(_: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(UserWarning, match=r"pictures/filters.png left out: OSError: No space"):
        after_a_test(tmp_path)
    assert (tmp_path / "pictures/filters.png").read_bytes() == before
    assert files(tmp_path / "pictures") == {f"{name}.png" for name in PICTURES}


def test_a_network_without_predictions_still_has_its_filters(tmp_path: Path) -> None:
    module = Classifier()
    module.test_predictions = None
    with pytest.warns(UserWarning, match=r"The figures of the test left out: TypeError"):
        callback = after_a_test(tmp_path, module)
    assert set(callback.paths) == {"training_images", "learning_curves", "filters"}


def test_a_network_without_convolutions_says_so(tmp_path: Path) -> None:
    module = Classifier()
    module.model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    with pytest.warns(UserWarning, match=r"pictures/filters.png left out: ValueError: the model has no Conv2d"):
        callback = after_a_test(tmp_path, module)
    assert "errors" in callback.paths


def test_a_test_of_the_first_images_shows_those_and_is_not_compared(tmp_path: Path) -> None:
    module = Classifier()
    module.test_predictions = answers(10, {4: 6})
    callback = after_a_test(tmp_path, module)
    assert set(callback.paths) == PICTURES | {"test_predictions"}
    assert callback.comparison is None


def test_only_the_first_process_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pl.Trainer, "is_global_zero", False)
    assert after_a_test(tmp_path).paths == {}
    assert files(tmp_path) == {"metrics.csv"}


def test_loggers_that_take_pictures_are_given_them(tmp_path: Path) -> None:
    logger = ImageLogger(tmp_path)
    callback = after_a_test(tmp_path, logger=logger)
    assert logger.logged == {f"pictures/{name}": [str(callback.paths[name])] for name in PICTURES}


def test_tensorboard_is_given_the_pictures_as_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    logger = TensorBoardLogger(tmp_path)
    shapes = {}
    monkeypatch.setattr(logger.experiment, "add_image", lambda tag, image, *_, **__: shapes.update({tag: image.shape}))
    callback = after_a_test(tmp_path, logger=logger)
    assert shapes == {f"pictures/{name}": (*imread(callback.paths[name]).shape[:2], 3) for name in PICTURES}


def test_tensorboard_takes_them(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        after_a_test(tmp_path, logger=TensorBoardLogger(tmp_path))
    assert not [warning for warning in caught if "left out" in str(warning.message)]


def test_a_logger_that_fails_costs_a_warning_and_no_picture(tmp_path: Path) -> None:
    class Offline(ImageLogger):
        def log_image(self, **_: object) -> None:  # type: ignore[override]
            raise ConnectionError("offline")

    with pytest.warns(UserWarning, match="errors in Offline left out: ConnectionError: offline"):
        callback = after_a_test(tmp_path, logger=Offline(tmp_path))
    assert set(callback.paths) >= PICTURES


@pytest.mark.slow
def test_importing_the_callback_imports_no_plotting_and_no_tracking() -> None:
    # Lightning and torchmetrics import parts of matplotlib by themselves: only what comes on top counts.
    code = (
        "import sys, lightning.pytorch; before = set(sys.modules); import cnnlit.callbacks.run_figures;"
        "print([name for name in set(sys.modules) - before if name.split('.')[0] in "
        "('matplotlib', 'wandb', 'tensorboard')])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_the_schedule_is_that_of_the_steps_that_were_taken(factor: float) -> None:
    group: Any = {"params": [nn.Parameter(torch.zeros(1))], "lr": 0.2 * factor, "rate_factor": factor}
    schedule = torch.optim.lr_scheduler.LambdaLR(torch.optim.SGD([group]), lambda step: 0.5 ** (step // 10))
    trainer: Any = SimpleNamespace(
        lr_scheduler_configs=[SimpleNamespace(scheduler=schedule)], global_step=30, num_training_batches=10
    )
    rates = run_figures._rates(trainer, [])
    assert list(rates) == [step / 10 for step in range(30)]
    assert list(rates.values()) == pytest.approx([0.2] * 10 + [0.1] * 10 + [0.05] * 10)


def test_a_schedule_that_goes_by_what_is_measured_is_drawn_by_epochs() -> None:
    trainer: Any = SimpleNamespace(lr_scheduler_configs=[], global_step=30, num_training_batches=10)
    rows = [{"epoch": "0", "learning_rate": "0.2"}, {"epoch": "1", "learning_rate": ""}, {"epoch": "2"}]
    assert run_figures._rates(trainer, rows) == {1.0: 0.2}


def begun(folder: Path, module: Classifier) -> tuple[RunFigures, list[pl.Callback]]:
    """The figures of a run whose training has begun, and the callbacks that it goes on with."""
    callback = RunFigures(folder)
    data = Digits()
    trainer: Any = SimpleNamespace(
        datamodule=data, train_dataloader=data.train_dataloader(), is_global_zero=True, loggers=[],
        callbacks=[pl.Callback(), callback],
    )  # fmt: skip
    callback.on_train_start(trainer, module)
    return callback, trainer.callbacks


def test_training_images_are_there_when_training_begins_and_cost_no_step(tmp_path: Path) -> None:
    callback, others = begun(tmp_path, Classifier())
    assert files(tmp_path) == {"pictures/training_images.png"}
    assert set(callback.paths) == {"training_images"}
    assert len(others) == 1
    assert callback not in others


def test_a_run_that_goes_on_keeps_the_training_images_that_it_began_with(tmp_path: Path) -> None:
    begun(tmp_path, Classifier())
    picture = tmp_path / "pictures" / "training_images.png"
    picture.write_bytes(b"as it was")
    begun(tmp_path, Classifier())
    after_a_test(tmp_path)
    assert picture.read_bytes() == b"as it was"


def test_a_stream_has_no_training_images_and_no_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Digits, "training_images", lambda *_: [])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert begun(tmp_path, Classifier())[0].paths == {}


@pytest.mark.slow
def test_a_run_has_the_same_bits_whether_its_training_images_are_drawn_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (
        *("data.distortion=elastic2003", "model.dropout=0.5", "recipe.epochs=1", "recipe.batch_size=128"),
        *("logger=none", "trainer=cpu"),
    )
    drawn = cnnlit.fit(*words, folder=tmp_path / "drawn")
    assert (drawn.folder / "pictures" / "training_images.png").is_file()
    monkeypatch.setattr(RunFigures, "_draw_training_images", lambda *_: None)
    bare = cnnlit.fit(*words, folder=tmp_path / "bare")
    assert not (bare.folder / "pictures" / "training_images.png").exists()
    one, other = (
        torch.load(each.folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for each in (drawn, bare)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert drawn.metrics["test/loss"] == bare.metrics["test/loss"]
