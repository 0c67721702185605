"""The answers of an arm's networks to each test image, as tables of seeds and images."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnnlit.analysis.arms import seed_of
from cnnlit.analysis.measures import Measure, Reading
from cnnlit.runs.records import RunRecord

OF_ANSWERS = ("test/error", "test/accuracy")
"""Measures that are means over test images."""


class Answered(NamedTuple):
    """What an arm's networks got wrong (or right, where accuracies are compared).

    Attributes:
        labels: int64 [N], which tell whether two arms were tested on the same images.
        counted: by block, bool [N]: the images that add to the measure.
    """

    labels: NDArray[np.int64]
    counted: dict[str, NDArray[np.bool_]]

    def table(self, blocks: Sequence[str]) -> NDArray[np.float64]:
        """[seeds, N], the mean over a seed's runs.

        Args:
            blocks: the runs to be taken, in order.
        """
        rows: dict[str, list[NDArray[np.bool_]]] = {}
        for block in blocks:
            rows.setdefault(seed_of(block), []).append(self.counted[block])
        return np.stack([np.mean(runs, axis=0) for runs in rows.values()])


def answered(runs: Mapping[str, RunRecord], readings: Mapping[str, Reading], measure: Measure) -> Answered | None:
    """The answers behind an arm's numbers; None unless they are kept for every run and agree with its number.

    Args:
        runs: by block.
        readings: those that count, by block.
        measure: what the runs are compared by.
    """
    if measure.metric not in OF_ANSWERS or measure.target or not readings:
        return None
    labels, counted = None, {}
    for block, reading in readings.items():
        answers = runs[block].answers
        if answers is None or (labels is not None and not np.array_equal(labels, answers.labels)):
            return None
        labels = answers.labels
        right = answers.predicted == labels
        counted[block] = ~right if measure.metric == "test/error" else right
        # The number may be of another test: several views, or images that could not be read.
        if abs(counted[block].mean() - reading.number) > 1e-6:
            return None
    assert labels is not None
    return Answered(labels, counted)


def of_both(one: Answered | None, other: Answered | None) -> tuple[Answered, Answered] | None:
    """Two arms' answers; None unless both are there, and to the same images."""
    if one is None or other is None or not np.array_equal(one.labels, other.labels):
        return None
    return one, other
