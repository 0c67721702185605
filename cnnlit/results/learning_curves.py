"""Learning curves of a report: the mean of each arm with its band, and what the pointer tells of them."""

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from cnnlit.results.charts import NUM_COLORS, Scale, color_of, short
from cnnlit.results.comparison import Results
from cnnlit.results.markup import tag, text
from cnnlit.results.measures import kind
from cnnlit.results.statistics import LEVEL

MOST_POINTS = 240
"""Of a curve; between them it is straight."""


class Curve(NamedTuple):
    """Mean of an arm's runs after each epoch, with the ends of its interval; nan where there is none."""

    label: str
    color: int
    epochs: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    n: int


def curve_names(results: Results) -> list[str]:
    """The curves that there are, those of errors first, of validation before training."""
    known = dict.fromkeys(key for _, _, run, _ in results.counted for row in run.curves for key in row)
    names = [name for name in known if name.startswith(("train/", "val/"))]
    first = results.measure.target.curve if results.measure.target else results.measure.metric
    return sorted(names, key=lambda name: (name != first, "error" not in name, not name.startswith("val/"), name))


def curves_chart(results: Results, name: str, *, logarithmic: bool, visible: bool) -> str:
    """One curve of the best arms, with its band; empty if no run has it."""
    curves = _curves(results, name)
    if not curves:
        return ""
    values = np.concatenate([curve.mean for curve in curves])
    values = values[np.isfinite(values) & (values > 0 if logarithmic else True)]
    if not len(values):
        return ""
    low, high = float(values.min()), float(values.max())
    if not logarithmic and 0 <= low < 0.3 * high:
        low = 0.0
    y = Scale(low, high, logarithmic=logarithmic, pad=0.03)
    x = Scale(
        min(float(curve.epochs[0]) for curve in curves), max(float(curve.epochs[-1]) for curve in curves), pad=0.0
    )
    title = f"{name} by epoch: mean of each arm with its 95 % interval"
    lines = [_line(curve, x, y) for curve in curves]
    grid = [tag("line", x1=0, x2=1000, y1=_down(y, tick), y2=_down(y, tick), class_="grid") for tick in y.ticks()]
    svg = tag(
        "svg", tag("title", text(title)), *grid, *lines, tag("line", x1=0, x2=0, y1=0, y2=1000, class_="cursor"),
        viewBox="0 0 1000 1000", preserveAspectRatio="none", role="img", aria_label=title, class_="lines",
    )  # fmt: skip
    rows = [tag("span", text(short(tick, name)), style=f"top:{_down(y, tick) / 10:.2f}%") for tick in y.ticks()]
    feet = [
        tag("span", text(f"{tick:g}"), style=f"left:{100 * x(tick):.2f}%") for tick in x.ticks(6) if tick == int(tick)
    ]
    return tag(
        "div", tag("div", *rows, class_="ys", aria_hidden="true"), tag("div", svg, class_="area"),
        tag("div", *feet, tag("b", "epoch"), class_="xs", aria_hidden="true"),
        tag("script", _data(curves, x, name), type="application/json"),
        class_="plot", data_curve=name, data_scale="log" if logarithmic else "linear", hidden=not visible,
    )  # fmt: skip


def _down(scale: Scale, number: float) -> float:
    return 1000 - 1000 * scale(number)


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
        n, mean = len(values), values.mean(axis=0)
        half = np.full_like(mean, np.nan)
        if n > 1:
            half = stats.t.ppf((1 + LEVEL) / 2, n - 1) * values.std(axis=0, ddof=1) / math.sqrt(n)
        curves.append(Curve(each.name, color_of(place), np.array(epochs), mean, mean - half, mean + half, n))
    return curves


def _thinned(epochs: list[float]) -> list[float]:
    step = math.ceil(len(epochs) / MOST_POINTS)
    return epochs if step == 1 else [*epochs[:-1:step], epochs[-1]]


def _line(curve: Curve, x: Scale, y: Scale) -> str:
    """Band and line in a square of 1000."""
    along = [1000 * x(epoch) for epoch in curve.epochs]
    parts = []
    if curve.n > 1:
        edge = [(a, _down(y, b)) for a, b in zip(along, curve.high, strict=True)]
        back = [(a, _down(y, b)) for a, b in zip(along, curve.low, strict=True)][::-1]
        parts.append(tag("polygon", points=_points(edge + back), class_="band"))
    line = [(a, _down(y, b)) for a, b in zip(along, curve.mean, strict=True)]
    parts.append(tag("polyline", points=_points(line), class_="line"))
    if len(along) == 1:
        line = [(0.0, line[0][1]), (1000.0, line[0][1])]
        parts[-1] = tag("polyline", points=_points(line), class_="line")
    return tag("g", *parts, class_=f"series arm-{curve.color}", data_arm=curve.label)


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{a:.1f},{min(max(b, -9000.0), 9000.0):.1f}" for a, b in points if math.isfinite(b))


def _data(curves: Sequence[Curve], x: Scale, name: str) -> str:
    """What the pointer tells, as JSON that cannot end its script."""
    data: dict[str, Any] = {
        "kind": kind(name),
        "series": [
            {
                "arm": curve.label,
                "color": curve.color,
                "epochs": curve.epochs.tolist(),
                "x": [round(x(epoch), 4) for epoch in curve.epochs],
                "mean": _rounded(curve.mean),
                "half": _rounded(curve.high - curve.mean),
            }
            for curve in curves
        ],
    }
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _rounded(values: NDArray[np.float64]) -> list[float | None]:
    return [float(f"{value:.4g}") if math.isfinite(value) else None for value in values]
