"""The pictures of a run show what they say, and none of them can lose the run."""

import csv
import math
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure
from matplotlib.image import imread
from torch import Tensor, nn

from cnnlit.callbacks import run_figures
from cnnlit.callbacks.run_figures import (
    RunFigures,
    compare_with_1998,
    draw_confusion_matrix,
    draw_errors,
    draw_filters,
    draw_learning_curves,
)

DIGITS = tuple("0123456789")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PICTURES = {"learning_curves", "confusion_matrix", "errors", "filters"}


class Answers(NamedTuple):
    labels: Tensor
    predicted: Tensor
    confidence: Tensor


def answers(num_images: int, wrong: dict[int, int]) -> Answers:
    """Labels 0, 1 … 9, 0 …, all answered right but those in `wrong` (index -> answer), confidence rising by index."""
    labels = torch.arange(num_images) % 10
    predicted = labels.clone()
    for index, answer in wrong.items():
        assert answer != labels[index]
        predicted[index] = answer
    return Answers(labels, predicted, torch.linspace(0.1, 1, num_images))


def random_images(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in [*axes.texts, axes.title] if text.get_text()]


def rows(epochs: int, val: bool = True) -> list[dict[str, str | float]]:
    """As Lightning's CSVLogger writes them: validation in a row of its own, everything else empty."""
    result: list[dict[str, str | float]] = []
    for epoch in range(epochs):
        halved = 0.5**epoch
        result.append(
            {"epoch": str(epoch), "train/error": str(0.2 * halved), "train/loss": str(halved), "val/loss": ""}
        )
        if val:
            result.append({"epoch": str(epoch), "val/error": 0.1 * halved, "val/loss": 0.5 * halved, "train/loss": ""})
    return result


# Learning curves


def test_curves_show_errors_in_percent_after_each_epoch() -> None:
    error, loss = draw_learning_curves(rows(3)).axes
    train, val = error.lines
    assert list(train.get_xdata()) == [1, 2, 3]
    assert np.allclose(train.get_ydata(), [20, 10, 5])
    assert np.allclose(val.get_ydata(), [10, 5, 2.5])
    assert np.allclose(loss.lines[0].get_ydata(), [1, 0.5, 0.25])


def test_curves_are_labelled_where_they_end() -> None:
    error, loss = draw_learning_curves(rows(3)).axes
    assert {text.get_text() for text in error.texts} == {"train 5.00 %", "validation 2.50 %"}
    assert {text.get_text() for text in loss.texts} == {"train 0.25", "validation 0.125"}


def test_labels_of_curves_that_end_together_stay_apart() -> None:
    same = [{"epoch": "0", "train/error": "0.1", "val/error": "0.1"}, {"epoch": 1, "test/error": 0.1}]
    (error,) = draw_learning_curves(same).axes
    heights = sorted(text.get_position()[1] for text in error.texts)
    assert len(heights) == 3
    assert min(np.diff(heights)) > 0.07


@pytest.mark.parametrize("val", [True, False])
@pytest.mark.parametrize("epochs", [1, 2, 20])
def test_curves_of_any_length_are_drawn_with_and_without_validation(epochs: int, val: bool, tmp_path: Path) -> None:
    figure = draw_learning_curves(rows(epochs, val))
    assert [len(axes.lines) for axes in figure.axes] == [1 + val, 1 + val]
    assert all(0 <= text.get_position()[1] <= 1.1 for axes in figure.axes for text in axes.texts)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(tmp_path / "curves.png")


def test_a_wide_range_is_logarithmic_and_a_narrow_one_is_not() -> None:
    assert draw_learning_curves(rows(20)).axes[0].get_yscale() == "log"
    assert draw_learning_curves(rows(2)).axes[0].get_yscale() == "linear"


def test_an_error_of_zero_stays_on_a_logarithmic_axis(tmp_path: Path) -> None:
    done = [*rows(20, val=False), {"epoch": 20, "train/error": 0.0, "train/loss": 0.1}]
    figure = draw_learning_curves(done)
    error = figure.axes[0]
    assert error.lines[0].get_ydata()[-1] == error.get_ylim()[0]
    assert error.get_yscale() == "log"
    assert "train 0.00 %" in texts(figure)
    assert abs(error.texts[0].get_position()[1]) < 0.1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(tmp_path / "curves.png")


def test_the_test_is_a_point_at_the_last_epoch() -> None:
    error, _ = draw_learning_curves([*rows(3), {"epoch": "3", "test/error": "0.04", "test/loss": "0.3"}]).axes
    assert [tuple(line.get_xdata()) for line in error.lines] == [(1, 2, 3), (1, 2, 3), (3,)]
    assert "test 4.00 %" in [text.get_text() for text in error.texts]


def test_a_diverged_loss_leaves_a_gap_and_not_a_failure() -> None:
    loss = draw_learning_curves([*rows(2), {"epoch": "2", "train/loss": "nan", "train/error": "0.9"}]).axes[1]
    assert all(math.isfinite(value) for value in loss.lines[0].get_ydata())


def test_rows_without_training_are_refused() -> None:
    with pytest.raises(ValueError, match="no row"):
        draw_learning_curves([{"epoch": "0", "test/error": "0.1"}])


# Confusion matrix


def test_confusion_matrix_writes_each_count_at_its_label_and_answer() -> None:
    labels, predicted, _ = answers(100, {4: 9, 14: 9, 3: 5})
    (axes,) = draw_confusion_matrix(labels, predicted, DIGITS).axes
    written = {(int(text.get_position()[1]), int(text.get_position()[0])): text.get_text() for text in axes.texts}
    assert written[4, 9] == "2"
    assert written[3, 5] == "1"
    assert written[4, 4] == "8"
    assert len(written) == 10 + 2  # zeros stay blank
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("label", "predicted")


def test_confusion_matrix_colours_errors_by_the_largest_error() -> None:
    labels, predicted, _ = answers(1000, {4: 9, 14: 9, 3: 5})
    (axes,) = draw_confusion_matrix(labels, predicted, DIGITS).axes
    colours = axes.images[-1]
    shown = np.ma.filled(colours.get_array(), 0)
    assert colours.norm.vmax == shown.max() == 2
    assert shown.sum() == 3
    assert (shown.diagonal() == 0).all()


def test_confusion_matrix_is_titled_with_error_and_number() -> None:
    labels, predicted, _ = answers(1000, {4: 9, 14: 9, 3: 5})
    assert texts(draw_confusion_matrix(labels, predicted, DIGITS))[-1] == "Test error 0.30 %: 3 of 1,000"


def test_confusion_matrix_of_many_classes_has_a_colour_bar_and_no_counts() -> None:
    labels = torch.arange(300) % 30
    figure = draw_confusion_matrix(labels, labels.roll(1), [str(number) for number in range(30)])
    assert len(figure.axes) == 3  # the matrix, the list, the bar
    assert not figure.axes[0].texts


def test_of_many_classes_the_most_frequent_confusions_are_listed() -> None:
    labels = torch.arange(3000) % 300
    predicted = labels.clone()
    predicted[labels == 7] = 250
    predicted[(labels == 8).nonzero()[:4]] = 9
    predicted[300:306] = 299  # one each of the first classes
    names = [f"class {number}, of a name that is long" for number in range(300)]
    names[250] = "alp"
    written = draw_confusion_matrix(labels, predicted, names).axes[1].texts[0].get_text().splitlines()
    assert written[2:4] == ["  10  class 7, of a name …->alp", "   4  class 8, of a name …->class 9, of a name …"]
    assert written[4].split()[0] == "1"
    assert len(written) == 2 + 2 + 6


def test_confusion_matrix_of_a_thousand_classes_has_no_text_over_the_matrix(tmp_path: Path) -> None:
    labels = torch.arange(5000) % 1000
    figure = draw_confusion_matrix(labels, labels.roll(1), ["a name of thirty characters …"] * 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(tmp_path / "confusion_matrix.png")
    matrix, beside, _ = figure.axes
    written = beside.texts[0].get_window_extent()
    assert written.x0 >= matrix.get_window_extent().x1
    assert figure.bbox.x0 <= written.x0
    assert written.x1 <= figure.bbox.x1
    assert matrix.get_window_extent().width >= 1000  # a pixel for each class


# Errors


def test_gallery_shows_every_error_once() -> None:
    images = random_images(300, 28, 28)
    wrong = {4: 6, 17: 1, 250: 8, 299: 4}
    (axes,) = draw_errors(images, *answers(300, wrong), DIGITS).axes
    shown = [image.get_array() for image in axes.images]
    assert len(shown) == 4
    for pixels, index in zip(shown, sorted(wrong), strict=True):
        assert np.array_equal(pixels, 255 - images[index].numpy())


def test_gallery_writes_label_answer_index_and_confidence() -> None:
    figure = draw_errors(random_images(300, 28, 28), *answers(300, {4: 6, 17: 1, 299: 4}), DIGITS)
    written = texts(figure)
    assert [text for text in written if len(text) == 4 and "->" in text] == ["4->6", "7->1", "9->4"]
    assert {"4", "17", "299", "11%", "15%", "100%"} <= set(written)
    assert "Test error 1.00 %: 3 of 300" in written


def test_gallery_prints_black_ink_and_each_pixel_as_a_whole_square(tmp_path: Path) -> None:
    images = random_images(20, 28, 28)
    figure = draw_errors(images, *answers(20, {7: 1}), DIGITS)
    figure.savefig(tmp_path / "errors.png")
    page = (imread(tmp_path / "errors.png")[..., 0] * 255).round().astype(int)
    left, _, bottom, top = figure.axes[0].images[0].get_extent()
    printed = page[int(top) : int(bottom), int(left) : int(left) + 84][1::3, 1::3]  # the middle of each 3x3
    assert (bottom - top) == 84
    # The frame covers the outermost pixels.
    assert np.abs(printed - (255 - images[7].numpy().astype(int)))[1:-1, 1:-1].max() <= 1


def test_gallery_shows_colour_as_it_is() -> None:
    images = random_images(20, 3, 40, 30)
    (axes,) = draw_errors(images, *answers(20, {7: 1}), DIGITS).axes
    assert np.array_equal(axes.images[0].get_array(), images[7].permute(1, 2, 0).numpy())


def test_gallery_past_its_limit_shows_the_most_confident_by_index_and_says_so() -> None:
    test = answers(100, {index: (index + 1) % 10 for index in range(0, 100, 10)})
    test.confidence[[0, 50]] = 1.0
    images = random_images(100, 28, 28)
    figure = draw_errors(images, *test, DIGITS, limit=3)
    shown = [image.get_array() for image in figure.axes[0].images]
    assert [np.array_equal(a, 255 - images[i].numpy()) for a, i in zip(shown, (0, 50, 90), strict=True)] == [True] * 3
    assert "Test error 10.00 %: 10 of 100 (3 of 10 shown, the most confident)" in texts(figure)


def test_gallery_without_errors_says_so() -> None:
    figure = draw_errors(random_images(20, 28, 28), *answers(20, {}), DIGITS)
    assert texts(figure) == ["No error on 20 test images"]
    assert not figure.axes[0].images


def test_gallery_has_no_text_over_another() -> None:
    wrong = {index: (index + 3) % 10 for index in range(0, 500, 7)}
    names = ["a class with a long name", *DIGITS[1:]]
    for class_names in (DIGITS, names):
        figure = draw_errors(random_images(500, 28, 28), *answers(500, wrong), class_names)
        figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in figure.axes[0].texts]
        assert not [1 for number, box in enumerate(boxes) for other in boxes[:number] if box.overlaps(other)]
        assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 for box in boxes)


def test_gallery_writes_long_names_on_two_lines_and_shortens_them() -> None:
    names = ["king penguin, Aptenodytes patagonica", *DIGITS[1:]]
    figure = draw_errors(random_images(20, 3, 64, 64), *answers(20, {10: 6, 17: 0}), names)
    assert {"king penguin,…\n->6", "7\n->king penguin,…"} <= set(texts(figure))


def test_gallery_of_photographs_has_no_text_over_another() -> None:
    wrong = {index: (index + 3) % 10 for index in range(100)}
    names = ["American Staffordshire terrier", "West Highland white terrier", "Madagascar cat", "MRI machine"] + [
        "x"
    ] * 6
    figure = draw_errors(random_images(100, 3, 224, 224), *answers(100, wrong), names)
    assert len(figure.axes[0].images) == 60
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not [1 for number, box in enumerate(boxes) for other in boxes[:number] if box.overlaps(other)]


def test_gallery_magnifies_small_pictures_by_whole_numbers_and_reduces_large_ones() -> None:
    for side, tile in ((28, 84), (64, 128), (224, 168), (96, 96)):
        (axes,) = draw_errors(random_images(20, 3, side, side), *answers(20, {7: 1}), DIGITS).axes
        left, right, bottom, top = axes.images[0].get_extent()
        assert (right - left, bottom - top) == (tile, tile)


def test_gallery_asks_for_no_picture_that_it_does_not_draw() -> None:
    class Lazy:
        """As photographs come, which are decoded when they are asked for."""

        def __init__(self) -> None:
            self.images = random_images(300, 3, 40, 40)
            self.asked: set[int] = set()

        def __len__(self) -> int:
            return len(self.images)

        def __getitem__(self, index: int) -> Tensor:
            self.asked.add(index)
            return self.images[index]

    images: Any = Lazy()
    draw_errors(images, *answers(300, {4: 6, 17: 1, 250: 8}), DIGITS, limit=2)
    assert images.asked == {0, 17, 250}  # the first, for its size


def test_gallery_refuses_predictions_for_other_images() -> None:
    with pytest.raises(ValueError, match="20 predictions for 30 images"):
        draw_errors(random_images(30, 28, 28), *answers(20, {}), DIGITS)


# Filters


def test_grey_filters_share_a_scale_with_zero_in_its_middle() -> None:
    weights = torch.zeros(6, 1, 5, 5)
    weights[2, 0, 1, 3] = -0.5
    (axes,) = draw_filters(weights).axes
    assert len(axes.images) == 6
    assert all(image.get_clim() == (0, 1) for image in axes.images)
    assert axes.images[0].get_array().max() == 0.5
    assert axes.images[2].get_array()[1, 3] == 0


def test_colour_filters_are_rescaled_to_colours() -> None:
    weights = torch.randn(96, 3, 11, 11, generator=torch.Generator().manual_seed(0), requires_grad=True)
    (axes,) = draw_filters(weights).axes
    assert len(axes.images) == 96
    shown = np.stack([image.get_array() for image in axes.images])
    assert shown.shape == (96, 11, 11, 3)
    assert shown.min() >= 0
    assert shown.max() <= 1
    assert np.allclose(
        (shown - 0.5).transpose(0, 3, 1, 2) * 2 * weights.abs().max().item(), weights.detach(), atol=1e-5
    )


def test_filters_on_other_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="16 channels"):
        draw_filters(torch.zeros(8, 16, 3, 3))


# Comparison


def test_comparison_counts_repeated_errors_and_repeated_answers() -> None:
    labels, predicted, _ = answers(100, {4: 6, 9: 5, 50: 1})
    assert compare_with_1998(predicted, labels, {4: 6, 9: 4, 77: 1}) == (3, 3, 2, 1)


# The callback


class Digits(pl.LightningDataModule):
    class_names = DIGITS
    test_images = random_images(40, 28, 28)
    published_errors = {4: 6, 9: 4, 30: 1}  # noqa: RUF012

    def test_dataloader(self) -> Any:
        return torch.utils.data.DataLoader(range(40), batch_size=40)


class Classifier(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Conv2d(1, 6, 5), nn.Flatten())
        self.test_predictions: Answers | None = answers(40, {4: 6, 9: 5})

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
        writer.writerows(rows(3))
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


def test_a_test_leaves_four_whole_pictures_and_nothing_else(tmp_path: Path) -> None:
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
    assert set(callback.paths) == {"learning_curves", "filters"}


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


def test_importing_the_callback_imports_no_plotting_and_no_tracking() -> None:
    # Lightning and torchmetrics import parts of matplotlib by themselves: only what comes on top counts.
    code = (
        "import sys, lightning.pytorch; before = set(sys.modules); import cnnlit.callbacks.run_figures;"
        "print([name for name in set(sys.modules) - before if name.split('.')[0] in "
        "('matplotlib', 'wandb', 'tensorboard')])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
