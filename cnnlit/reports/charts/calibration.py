"""The reliability diagram of a report: how often the answers of each arm are right, by their confidence."""

import math

import numpy as np

from cnnlit.analysis.results import Measured, Results
from cnnlit.reports.charts.dots import NUM_COLORS, color_of
from cnnlit.reports.charts.lines import Curve, Plot, plot
from cnnlit.runs.evaluations import Answers, ReliabilityBin, reliability

TICKS = [(0.0, "0 %"), (0.25, "25 %"), (0.5, "50 %"), (0.75, "75 %")]


def answers_of(each: Measured) -> list[Answers]:
    """The answers of an arm's runs that are kept."""
    known = (each.arm.runs[block].answers for block in each.readings)
    return [answers for answers in known if answers is not None]


def bins_of(each: Measured) -> list[ReliabilityBin]:
    """The answers of all of an arm's runs together, by their confidence; none if there are none."""
    answers = answers_of(each)
    return reliability(answers) if answers else []


def calibration_chart(results: Results) -> Plot | None:
    """Accuracy over confidence for each of the best arms, beside the diagonal; None if no run has answers.

    Paper: Guo et al. 2017, *On calibration of modern neural networks*, Fig. 1.
    """
    found = [(each, place, bins_of(each)) for place, each in enumerate(results.measured[:NUM_COLORS])]
    return plot(
        [_curve(each.name, color_of(place), bins) for each, place, bins in found if bins],
        "accuracy",
        title="Accuracy by confidence: of all answers of each arm; on the diagonal they are the same",
        ticks=TICKS, below="confidence", logarithmic=False, diagonal=True,
    )  # fmt: skip


def _curve(name: str, color: int, bins: list[ReliabilityBin]) -> Curve:
    unknown = np.full(len(bins), math.nan)
    told = [f"{each.answers:,} answers, {each.confidence:.1%} sure" for each in bins]
    places, accuracy = (np.array([getattr(each, of) for each in bins]) for of in ("confidence", "accuracy"))
    return Curve(name, color, places, told, accuracy, unknown, unknown, np.ones(len(bins), np.int64))
