"""Learning curves of a report: the mean of each arm with its band, epoch by epoch."""

import math

import numpy as np

from cnnlit.analysis.comparison import Results
from cnnlit.reports.charts.dots import NUM_COLORS, color_of
from cnnlit.reports.charts.lines import Curve, Plot, mean_of, plot
from cnnlit.reports.charts.scale import Scale

MOST_POINTS = 240
"""Of a curve; between them it is straight."""


def curve_names(results: Results) -> list[str]:
    """The curves that there are, those of errors first, of validation before training."""
    known = dict.fromkeys(key for _, _, run, _ in results.counted for row in run.curves for key in row)
    names = [name for name in known if name.startswith(("train/", "val/"))]
    first = results.measure.target.curve if results.measure.target else results.measure.metric
    return sorted(names, key=lambda name: (name != first, "error" not in name, not name.startswith("val/"), name))


def curves_chart(results: Results, name: str, *, logarithmic: bool) -> Plot | None:
    """One curve of the best arms, with its band; None if no run has it."""
    curves = _curves(results, name)
    if not curves:
        return None
    x = Scale(
        min(float(curve.places[0]) for curve in curves), max(float(curve.places[-1]) for curve in curves), pad=0.0
    )
    return plot(
        curves, name,
        title=f"{name} by epoch: mean of each arm with its 95 % interval",
        ticks=[(tick, f"{tick:g}") for tick in x.ticks(6) if tick == int(tick)],
        below="epoch", what="epoch ", logarithmic=logarithmic,
    )  # fmt: skip


def _curves(results: Results, name: str) -> list[Curve]:
    curves = []
    for place, each in enumerate(results.measured[:NUM_COLORS]):
        series = [
            {row["epoch"] + 1: row[name] for row in run.curves if name in row and "epoch" in row}
            for run in (each.arm.runs[block] for block in each.readings)
        ]
        series = [points for points in series if points]
        # As far as all runs go: a mean of those that are left would jump.
        epochs = sorted(set.intersection(*map(set, series))) if series else []
        if not epochs:
            continue
        epochs = _thinned(epochs)
        values = np.array([[points[epoch] for epoch in epochs] for points in series])
        mean, low, high = mean_of(values)
        curves.append(Curve(each.name, color_of(place), np.array(epochs), epochs, mean, low, high, len(values)))
    return curves


def _thinned(epochs: list[float]) -> list[float]:
    step = math.ceil(len(epochs) / MOST_POINTS)
    return epochs if step == 1 else [*epochs[:-1:step], epochs[-1]]
