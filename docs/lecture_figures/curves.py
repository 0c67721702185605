"""Figures of short runs: how fast networks learn."""

from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from cnnlit.runs.reading import read_metrics
from lecture_figures.house_style import BLUE, FAINT, GREEN, LINES, ORANGE, blank
from lecture_figures.judged import draw_rates


class Curve(NamedTuple):
    """A run and how its curve is drawn."""

    run: str
    name: str
    color: str


DIGITS = (Curve("relu", "ReLU", BLUE), Curve("tanh", "tanh", ORANGE), Curve("sigmoid", "sigmoid", GREEN))
RUNS = tuple(curve.run for curve in DIGITS)

TARGET = 2
"""Percent, of experiment=activation."""


def training_errors(folder: Path) -> list[float]:
    """The error of each epoch of a run, in percent, measured while it trains."""
    return [100 * float(row["train/error"]) for row in read_metrics(folder) if row["train/error"]]


def draw_activations(runs: Path, results: dict[str, dict[str, Any]]) -> Figure:
    """The training error on digits by epochs, and the epochs to 25 % on photographs by learning rate."""
    figure = blank(6.8)
    above, below = figure.subplots(2, 1)
    for curve in DIGITS:
        errors = training_errors(runs / curve.run)
        above.plot(range(1, len(errors) + 1), errors, color=curve.color, marker="o", markersize=3.5, label=curve.name)
    above.legend(frameon=False, labelcolor="linecolor", handlelength=0, prop={"weight": "bold"})
    above.axhline(TARGET, color=FAINT, linewidth=1.2, linestyle=":")
    at_the_edge = {"transform": above.get_yaxis_transform(), "ha": "right", "va": "bottom"}
    above.text(0.99, TARGET, f"{TARGET} %", color=FAINT, **at_the_edge)
    above.set(yscale="log", ylim=(0.4, 100), xlim=(0.5, 40), yticks=[1, 10, 100], yticklabels=["1", "10", "100"])
    above.set(title="Digits: error while training, %", xlabel="epoch")
    above.grid(axis="y", color=LINES)
    draw_rates(below, results["activation_photographs"]["reports"][0])
    below.set_title("Photographs: epochs to 25 % error while training")
    return figure
