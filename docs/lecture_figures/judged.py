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


def numbers(arm: dict[str, Any], percent: bool = True) -> list[float]:
    """What was measured of an arm, seed by seed, as far as it was reached."""
    return [(100 if percent else 1) * run["number"] for run in arm["runs"].values() if run["reached"]]


def arms(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The arms of a report by their names."""
    return {arm["arm"]: arm for arm in report["arms"]}


def written(color: str) -> dict[str, Any]:
    """How the name of a line is written beside it, left of the place that is named."""
    return {"color": color, "ha": "right", "fontweight": "bold"}


DEPTHS = (20, 56)
SHORTCUTS = (("none", "plain", ORANGE), ("A", "residual", BLUE))


def draw_depths(results: dict[str, dict[str, Any]]) -> Figure:
    """The error of plain and of residual networks of 20 and of 56 layers, seed by seed, in training and in the test."""
    tested, trained = results["skip_connections"]["reports"]
    figure = blank(4.3)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, report, title in zip(panels, (trained, tested), ("While training", "In the test"), strict=True):
        found = arms(report)
        for shortcut, name, color in SHORTCUTS:
            each = [found[f"depth={depth}, {shortcut}"] for depth in DEPTHS]
            axes.plot((0, 1), [100 * arm["mean"] for arm in each], color=color, marker="o", markersize=8)
            for place, arm in enumerate(each):
                _draw_spread(axes, place, arm, color)
            middle = 50 * (each[0]["mean"] + each[1]["mean"])
            axes.text(*((0.5, middle + 3.5) if shortcut == "none" else (0.95, middle - 8)), name, **written(color))
        axes.set(title=title, xlim=(-0.35, 1.35), ylim=(35, 95))
        axes.set_xticks((0, 1), [f"{depth} layers" for depth in DEPTHS])
        axes.grid(axis="y", color=LINES)
    panels[0].set_ylabel("error, %")
    return figure


def _draw_spread(axes: Axes, place: float, arm: dict[str, Any], color: str) -> None:
    """The interval of an arm's mean, and beside it each seed."""
    low, high = (100 * end for end in arm["interval"])
    axes.plot([place, place], [low, high], color=color, linewidth=3, solid_capstyle="round")
    measured = numbers(arm)
    axes.scatter([place + 0.13] * len(measured), measured, s=22, color=color, alpha=0.4, linewidths=0)


HEADS = ("auxiliary_weight=0", "auxiliary_weight=0.3")


def draw_heads(results: dict[str, dict[str, Any]]) -> Figure:
    """The gradient of the first layer and the test error, without auxiliary heads and with them; a line is a seed."""
    error, gradient = results["auxiliary_heads"]["reports"]
    figure = blank(4.3)
    panels = figure.subplots(1, 2)
    shown = ((gradient, "Gradient of the first layer", False), (error, "Test error, %", True))
    for axes, (report, title, percent) in zip(panels, shown, strict=True):
        found = arms(report)
        before, after = (numbers(found[arm], percent) for arm in HEADS)
        for pair in zip(before, after, strict=True):
            axes.plot((0, 1), pair, color=BLUE, alpha=0.4, marker="o", markersize=5, linewidth=1.6)
        means = [(100 if percent else 1) * found[arm]["mean"] for arm in HEADS]
        axes.plot((0, 1), means, color=ORANGE, marker="o", markersize=9, linewidth=3)
        axes.set_title(title, fontsize=11)
        axes.set(xlim=(-0.35, 1.35))
        axes.set_xticks((0, 1), ["without", "with heads"])
        axes.grid(axis="y", color=LINES)
    panels[0].set_ylim(0, None)
    panels[0].text(-0.3, 0.12, "a seed", color=BLUE, fontweight="bold")
    panels[0].text(-0.3, 0.42, "their mean", color=ORANGE, fontweight="bold")
    return figure


RATES = ("0.003", "0.01", "0.03")
ACTIVATIONS = (("relu", "ReLU", BLUE, -0.09), ("tanh", "tanh", ORANGE, 0.09))


def draw_rates(axes: Axes, report: dict[str, Any]) -> None:
    """Epochs to the target of experiment=activation_photographs, by learning rate; above, who did not reach it."""
    found = arms(report)
    for activation, name, color, aside in ACTIVATIONS:
        each = [found[f"{activation}, lr={rate}"] for rate in RATES]
        for place, arm in enumerate(each):
            measured = numbers(arm, percent=False)
            axes.scatter([place + aside] * len(measured), measured, s=42, color=color, alpha=0.45, linewidths=0)
            missed = len(arm["runs"]) - len(measured)
            if missed:
                axes.text(place + 3 * aside, 20.6, f"{missed} not", color=color, ha="center")
        means = [(place + aside, arm["mean"]) for place, arm in enumerate(each) if arm["mean"] is not None]
        axes.plot(*zip(*means, strict=True), color=color, marker="o", markersize=8, label=name)
    axes.set_xticks(range(len(RATES)), RATES)
    axes.set(ylim=(0, 22.5), xlim=(-0.6, 2.6), xlabel="learning rate", yticks=(0, 5, 10, 15, 20))
    axes.grid(axis="y", color=LINES)
    axes.legend(frameon=False, labelcolor="linecolor", handlelength=0, prop={"weight": "bold"}, loc="lower left")
