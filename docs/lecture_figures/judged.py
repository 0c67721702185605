"""Figures of what sweeps found, from docs/results/*.json."""

from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lecture_figures.house_style import BLUE, FAINT, LINES, ORANGE, SKY, blank, without_frame


class Shown(NamedTuple):
    """A difference of two arms that a figure shows.

    Attributes:
        experiment: whose results it is from.
        what: the difference, for people.
    """

    experiment: str
    what: str


POOLINGS = (
    Shown("pooling", "the maximum instead of the average, MNIST"),
    Shown("pooling_tiny_imagenet", "the maximum instead of the average, Tiny ImageNet"),
    Shown("overlapping_pooling", "3x3 instead of 2x2 windows, Tiny ImageNet"),
)


def draw_poolings(results: dict[str, dict[str, Any]]) -> Figure:
    """The two windows, and what each choice adds to the test error, seed by seed.

    Args:
        results: the content of docs/results/*.json, by experiment.
    """
    figure = blank(6.4)
    above, below = figure.subplots(2, 1, height_ratios=[1, 1.5])
    for left, side in ((0.0, 2), (9.0, 3)):
        _draw_windows(above, left, side)
    above.set(xlim=(-0.5, 16.5), ylim=(7.9, -1.2), aspect="equal", xticks=[], yticks=[])
    without_frame(above)
    below.axvline(0, color=FAINT, linewidth=1)
    for place, shown in enumerate(POOLINGS):
        _draw_difference(below, place, results[shown.experiment]["reports"][0])
        box = {"facecolor": "white", "edgecolor": "none", "pad": 2}
        below.text(0, place - 0.36, shown.what, transform=below.get_yaxis_transform(), fontweight="bold", bbox=box)
    below.set(
        ylim=(len(POOLINGS) - 0.5, -0.75), yticks=[], title="What it adds to the error: mean, interval, each seed"
    )
    below.spines["left"].set_visible(False)
    below.set_xlabel("fewer errors  ←  percentage points  →  more errors")
    return figure


def _draw_windows(axes: Axes, left: float, side: int) -> None:
    """A map of seven by seven values, and the pooling windows of the upper left corner."""
    for row in range(7):
        for column in range(7):
            axes.add_patch(Rectangle((left + column, row), 1, 1, facecolor="white", edgecolor=LINES))
    for number, (row, column) in enumerate([(0, 0), (0, 2), (2, 0), (2, 2)]):
        color = (BLUE, ORANGE, SKY, "#009e73")[number]
        axes.add_patch(Rectangle((left + column, row), side, side, facecolor=color, alpha=0.35, edgecolor="none"))
        axes.add_patch(Rectangle((left + column, row), side, side, fill=False, edgecolor=color, linewidth=1.6))
    axes.text(left, -0.35, f"{side}x{side}, stride 2", fontweight="bold")


def _draw_difference(axes: Axes, place: int, report: dict[str, Any]) -> None:
    """Each pair of seeds, and the mean with its interval: the claim's first arm minus the other one."""
    (found,) = report["differences"]
    sign = 1 if found["arms"][0] == claimed(report) else -1
    points = [100 * sign * each for each in found["differences"]]
    low, high = sorted(100 * sign * end for end in found["interval"])
    axes.scatter(points, [place + 0.12] * len(points), s=26, color=BLUE, alpha=0.35, linewidths=0)
    axes.plot([low, high], [place - 0.1] * 2, color=BLUE, linewidth=3, solid_capstyle="round")
    axes.plot(100 * sign * found["mean"], place - 0.1, marker="o", markersize=9, color=BLUE)


def claimed(report: dict[str, Any]) -> str:
    """The arm that a report's claim is about: the first word of its sentence."""
    sentence: str = report["verdict"]["sentence"]
    return sentence.partition(" < ")[0]
