"""Learning curves show each epoch's error and loss, whatever rows there are."""

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
from drawings.made_answers import metrics_rows, texts

from cnnlit.drawings.training_curves import draw_learning_curves


def test_curves_show_errors_in_percent_after_each_epoch() -> None:
    error, loss = draw_learning_curves(metrics_rows(3)).axes
    train, val = error.lines
    assert list(train.get_xdata()) == [1, 2, 3]
    assert np.allclose(train.get_ydata(), [20, 10, 5])
    assert np.allclose(val.get_ydata(), [10, 5, 2.5])
    assert np.allclose(loss.lines[0].get_ydata(), [1, 0.5, 0.25])


def test_curves_are_labelled_where_they_end() -> None:
    error, loss = draw_learning_curves(metrics_rows(3)).axes
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
    figure = draw_learning_curves(metrics_rows(epochs, val))
    assert [len(axes.lines) for axes in figure.axes] == [1 + val, 1 + val]
    assert all(0 <= text.get_position()[1] <= 1.1 for axes in figure.axes for text in axes.texts)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(tmp_path / "curves.png")


def test_a_wide_range_is_logarithmic_and_a_narrow_one_is_not() -> None:
    assert draw_learning_curves(metrics_rows(20)).axes[0].get_yscale() == "log"
    assert draw_learning_curves(metrics_rows(2)).axes[0].get_yscale() == "linear"


def test_an_error_of_zero_stays_on_a_logarithmic_axis(tmp_path: Path) -> None:
    done = [*metrics_rows(20, val=False), {"epoch": 20, "train/error": 0.0, "train/loss": 0.1}]
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
    error, _ = draw_learning_curves([*metrics_rows(3), {"epoch": "3", "test/error": "0.04", "test/loss": "0.3"}]).axes
    assert [tuple(line.get_xdata()) for line in error.lines] == [(1, 2, 3), (1, 2, 3), (3,)]
    assert "test 4.00 %" in [text.get_text() for text in error.texts]


def test_a_diverged_loss_leaves_a_gap_and_not_a_failure() -> None:
    loss = draw_learning_curves([*metrics_rows(2), {"epoch": "2", "train/loss": "nan", "train/error": "0.9"}]).axes[1]
    assert all(math.isfinite(value) for value in loss.lines[0].get_ydata())


def test_rows_without_training_are_refused() -> None:
    with pytest.raises(ValueError, match="no row"):
        draw_learning_curves([{"epoch": "0", "test/error": "0.1"}])
