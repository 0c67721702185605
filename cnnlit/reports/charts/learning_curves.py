"""Learning curves of a report: the mean of each arm with its band, epoch by epoch."""

import math

import numpy as np

from cnnlit.analysis.results import Measured, Results
from cnnlit.reports.charts.dots import NUM_COLORS, color_of
from cnnlit.reports.charts.lines import Curve, Plot, mean_of, plot
from cnnlit.reports.charts.scale import Scale

MOST_POINTS = 240
"""At most this many points per curve; between them it is straight."""


def curve_names(results: Results) -> list[str]:
    """The names of the curves there are: errors first, validation before training, the learning rate last."""
    known = dict.fromkeys(key for _, _, run, _ in results.counted for row in run.curves for key in row)
    names = [name for name in known if name.startswith(("train/", "val/")) or name == "learning_rate"]
    first = results.measure.target.curve if results.measure.target else results.measure.metric
    return sorted(
        names,
        key=lambda name: (
            name != first,
            name == "learning_rate",
            "error" not in name,
            not name.startswith("val/"),
            name,
        ),
    )


def curves_chart(results: Results, name: str, *, logarithmic: bool) -> Plot | None:
    """One metric of the best arms by epoch, with bands; None if no run has it."""
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
    curves = [_curve(each, color_of(place), name) for place, each in enumerate(results.measured[:NUM_COLORS])]
    return [curve for curve in curves if curve]


def _curve(each: Measured, color: int, name: str) -> Curve | None:
    """The mean, at each epoch, of the runs that reached it: nothing is cut to the shortest run, nor padded."""
    series = [
        {row["epoch"] + 1: row[name] for row in each.arm.runs[block].curves if name in row and "epoch" in row}
        for block in each.readings
    ]
    if not any(series):
        return None
    epochs = _thinned(sorted(set().union(*series)))
    values = np.array([[points.get(epoch, math.nan) for epoch in epochs] for points in series])
    # Not read off the nan, which a diverged run has too: that one must leave a gap.
    present = np.array([[epoch in points for epoch in epochs] for points in series])
    return Curve(each.name, color, np.array(epochs), epochs, *mean_of(values, present), present.sum(axis=0))


def _thinned(epochs: list[float]) -> list[float]:
    step = math.ceil(len(epochs) / MOST_POINTS)
    return epochs if step == 1 else [*epochs[:-1:step], epochs[-1]]
