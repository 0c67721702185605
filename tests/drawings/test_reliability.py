"""The reliability diagram has a bar where there are answers, as high as they are right."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_calibration_error

from cnnlit.drawings.reliability import draw_reliability
from cnnlit.runs.evaluations import Answers, reliability


def test_bars_are_the_accuracy_of_each_range() -> None:
    confidence = np.array([0.95, 0.97, 1.0, 0.35])
    bins = reliability([Answers(np.array([1, 1, 2, 3]), np.array([1, 0, 2, 0]), confidence)])
    assert [each.answers for each in bins] == [1, 3]
    figure = draw_reliability(bins, 0.125)
    above, below = figure.axes
    assert [bar.get_height() for bar in above.patches] == pytest.approx([0, 2 / 3])
    assert [bar.get_x() for bar in above.patches] == pytest.approx([1 / 3, 14 / 15])
    assert [bar.get_height() for bar in below.patches] == [1, 3]
    assert above.get_title(loc="left") == "Calibration error 12.50 %"


def test_the_ranges_are_those_of_the_calibration_error() -> None:
    random = np.random.default_rng(0)
    confidence, labels = random.uniform(0.1, 0.999, 500), random.integers(0, 10, 500)
    predicted = np.where(random.uniform(size=500) < confidence, labels, (labels + 1) % 10)
    bins = reliability([Answers(labels, predicted, confidence)])
    error = sum(each.answers * abs(each.accuracy - each.confidence) for each in bins) / 500
    expected = binary_calibration_error(
        torch.tensor(confidence), torch.tensor(predicted == labels).long(), n_bins=15, validate_args=False
    )
    assert error == pytest.approx(float(expected), abs=1e-6)
