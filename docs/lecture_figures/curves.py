"""Figures of short runs: how fast networks learn, and what gradients reach their first layers."""

import math
import re
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnlit.runs.reading import read_metrics
from lecture_figures.house_style import BLUE, FAINT, GREEN, LINES, ORANGE, blank


class Curve(NamedTuple):
    """A run and how its curve is drawn."""

    run: str
    name: str
    color: str
    dashed: bool = False


DIGITS = (Curve("relu", "ReLU", BLUE), Curve("tanh", "tanh", ORANGE), Curve("sigmoid", "sigmoid", GREEN))
PHOTOGRAPHS = (Curve("relu_photographs", "ReLU", BLUE), Curve("tanh_photographs", "tanh", ORANGE))
PLAIN = (Curve("plain20", "20 layers", BLUE), Curve("plain56", "56 layers", ORANGE))
RESIDUAL = (Curve("residual20", "20 layers", BLUE), Curve("residual56", "56 layers", ORANGE))
HEADS = (Curve("with_heads", "with auxiliary heads", BLUE), Curve("without_heads", "without", ORANGE))


def training_errors(folder: Path) -> list[float]:
    """The error of each epoch of a run, in percent, measured while it trains."""
    return [100 * float(row["train/error"]) for row in read_metrics(folder) if row["train/error"]]


def draw_activations(runs: Path) -> Figure:
    """The training error by epochs: on digits, and on photographs."""
    figure = blank(6.4)
    above, below = figure.subplots(2, 1)
    _draw_errors(above, runs, DIGITS)
    _draw_errors(below, runs, PHOTOGRAPHS)
    for axes, target, title in ((above, 2, "Handwritten digits"), (below, 25, "Photographs")):
        axes.axhline(target, color=FAINT, linewidth=1.2, linestyle=":")
        axes.text(
            0.99, target, f"{target} %", transform=axes.get_yaxis_transform(), color=FAINT, ha="right", va="bottom"
        )
        axes.set_title(f"{title}: error while training, %")
    above.set(yscale="log", ylim=(0.4, 100), xlim=(0.5, 42), yticks=[1, 10, 100], yticklabels=["1", "10", "100"])
    below.set(ylim=(0, 90), xlabel="epoch")
    return figure


def draw_depth(runs: Path) -> Figure:
    """The training error of plain and of residual networks of 20 and of 56 layers."""
    figure = blank(3.9)
    plain, residual = figure.subplots(1, 2, sharey=True)
    for axes, curves, title in ((plain, PLAIN, "Plain"), (residual, RESIDUAL, "Residual")):
        _draw_errors(axes, runs, curves)
        axes.set(title=title, xlabel="epoch", xlim=(0.8, 6.2), ylim=(40, 100))
    plain.set_ylabel("error while training, %")
    return figure


def _draw_errors(axes: Axes, runs: Path, curves: tuple[Curve, ...]) -> None:
    for curve in curves:
        errors = training_errors(runs / curve.run)
        axes.plot(range(1, len(errors) + 1), errors, color=curve.color, marker="o", markersize=3.5, label=curve.name)
    axes.legend(frameon=False, labelcolor="linecolor", handlelength=0, prop={"weight": "bold"})
    axes.grid(axis="y", color=LINES)


MODULE = re.compile(r"gradient_norm/(conv\d\w*|inception_\w+|fc)\b")


def gradients(folder: Path) -> dict[str, float]:
    """The length of the gradient in each module of GoogLeNet, at the first batch of the last epoch."""
    squares: dict[str, float] = {}
    for column, value in read_metrics(folder)[-1].items():
        if (match := MODULE.match(column)) and value:
            name = match[1].removeprefix("inception_")
            squares[name] = squares.get(name, 0.0) + float(value) ** 2
    return {name: math.sqrt(square) for name, square in squares.items()}


def draw_gradients(runs: Path) -> Figure:
    """The gradient in every module of GoogLeNet, from the first to the last, with auxiliary heads and without."""
    figure = blank(4.2)
    axes = figure.subplots()
    for curve in HEADS:
        found = gradients(runs / curve.run)
        axes.plot(list(found.values()), color=curve.color, marker="o", markersize=5, label=curve.name)
    axes.set_xticks(range(len(found)), list(found), rotation=90)
    axes.set(title="Length of the gradient, from the first layer to the last", yscale="log")
    for name in ("4a", "4d"):
        axes.axvline(list(found).index(name), color=LINES, zorder=0)
    axes.legend(frameon=False, labelcolor="linecolor", handlelength=0, prop={"weight": "bold"})
    axes.grid(axis="y", color=LINES)
    return figure


def first_to_last(folder: Path) -> float:
    """How many times as long the gradient is in the first convolution of a run as in the last, in its last epoch."""
    lengths = [float(value) for name, value in read_metrics(folder)[-1].items() if name.startswith("gradient_norm/")]
    return lengths[0] / lengths[-2]  # the very last is the classifier's
