"""Line charts of a report: the mean of each arm with its band as SVG, and the data of their tooltips."""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from scipy import stats

from cnnlit.analysis.measures import kind
from cnnlit.inference.statistics import LEVEL
from cnnlit.reports.charts.scale import Scale, short
from cnnlit.reports.charts.svg import tag


class Curve(NamedTuple):
    """The mean of an arm's runs at each of P places, with its interval; nan where there is none.

    Attributes:
        label: the arm's name.
        color: the number of its colour.
        places: positions along the x axis, float [P].
        names: what the tooltip calls them: layers, or numbers of epochs.
        mean: float [P].
        low: float [P], the lower end of the interval.
        high: float [P], the upper end.
        counts: int [P], how many runs the mean is of.
    """

    label: str
    color: int
    places: NDArray[np.float64]
    names: list[str] | list[float]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    counts: NDArray[np.int64]


class Tick(NamedTuple):
    """A label beside a scale, and its position in percent, from the left or from the top."""

    label: str
    percent: str


class Plot(NamedTuple):
    """Lines with their scales, for templates/plots.html to lay out.

    Attributes:
        name: of the quantity drawn.
        scale: of the y axis.
        drawn: the lines, as an SVG that is stretched to fill its box.
        ys: ticks of the y axis.
        xs: ticks of the x axis.
        below: the name of the x axis.
        data: what report.js shows in the tooltip.
    """

    name: str
    scale: Literal["linear", "log"]
    drawn: Markup
    ys: list[Tick]
    xs: list[Tick]
    below: str
    data: dict[str, Any]

    @property
    def thins_out(self) -> bool:
        """Whether an arm's mean is of fewer runs at one place than at another."""
        return any("n" in series for series in self.data["series"])


def mean_of(
    values: NDArray[np.float64], present: NDArray[np.bool_] | None = None, *, logarithmic: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The mean over runs and the ends of its interval by Student's t, each float [P].

    Args:
        values: of the runs, float [runs, P].
        present: bool [runs, P], which of the values exist, at least one at each place; None for all.
        logarithmic: for positive values, the geometric mean, with an interval that is a factor.
    """
    if present is None:
        present = np.ones(values.shape, bool)
    if logarithmic:
        with np.errstate(divide="ignore", invalid="ignore"):
            mean, low, high = mean_of(np.log(values), present)
        return np.exp(mean), np.exp(low), np.exp(high)
    mean, half, n = values.mean(axis=0, where=present), np.full(values.shape[1], np.nan), present.sum(axis=0)
    several = n > 1
    deviation = values[:, several].std(axis=0, ddof=1, where=present[:, several])
    half[several] = stats.t.ppf((1 + LEVEL) / 2, n[several] - 1) * deviation / np.sqrt(n[several])
    return mean, mean - half, mean + half


def plot(
    curves: Sequence[Curve],
    name: str,
    *,
    title: str,
    ticks: Sequence[tuple[float, str]],
    below: str,
    what: str = "",
    logarithmic: bool,
    factors: bool = False,
    diagonal: bool = False,
) -> Plot | None:
    """Draw the curves over common scales; None if there is nothing to draw.

    Args:
        curves: of the arms.
        name: of the quantity drawn, by which a reader selects the plot.
        title: for screen readers.
        ticks: positions along the x axis, with their labels.
        below: the name of the x axis.
        what: the word before the name of a place, if all arms share the same places; empty if each has its own.
        logarithmic: whether the y axis is.
        factors: whether the intervals are factors of the mean, not differences from it.
        diagonal: whether both axes run from 0 to 1, with a line where they are the same.
    """
    values = np.concatenate([np.empty(0), *(curve.mean for curve in curves)])
    values = values[np.isfinite(values) & (values > 0 if logarithmic else True)]
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    if not logarithmic and 0 <= low < 0.3 * high:
        low = 0.0
    y = Scale(low, high, logarithmic=logarithmic, pad=0.03)
    x = Scale(
        min(float(curve.places[0]) for curve in curves), max(float(curve.places[-1]) for curve in curves), pad=0.0
    )
    if diagonal:
        x = y = Scale(0.0, 1.0, pad=0.0)
    lines = [_line(curve, x, y) for curve in curves]
    grid = [tag("line", x1=0, x2=1000, y1=_down(y, tick), y2=_down(y, tick), class_="grid") for tick in y.ticks()]
    same = [tag("line", x1=0, x2=1000, y1=1000, y2=0, class_="same")] * diagonal
    drawn = tag(
        "svg", tag("title", title), *grid, *same, *lines, tag("line", x1=0, x2=0, y1=0, y2=1000, class_="cursor"),
        viewBox="0 0 1000 1000", preserveAspectRatio="none", role="img", aria_label=title, class_="lines",
    )  # fmt: skip
    return Plot(
        name,
        "log" if logarithmic else "linear",
        drawn,
        ys=[Tick(short(tick, name), f"{_down(y, tick) / 10:.2f}") for tick in y.ticks()],
        xs=[Tick(label, f"{100 * x(place):.2f}") for place, label in ticks],
        below=below,
        data=_data(curves, x, name, what, factors=factors),
    )


def _down(scale: Scale, number: float) -> float:
    return 1000 - 1000 * scale(number)


def _line(curve: Curve, x: Scale, y: Scale) -> Markup:
    """Band and line in a square of 1000 units; the line is paler where fewer runs are left."""
    along = [1000 * x(place) for place in curve.places]
    parts = []
    if curve.counts.max() > 1:
        edge = [(a, _down(y, b)) for a, b in zip(along, curve.high, strict=True)]
        back = [(a, _down(y, b)) for a, b in zip(along, curve.low, strict=True)][::-1]
        parts.append(tag("polygon", points=_points(edge + back), class_="band"))
    line = [(a, _down(y, b)) for a, b in zip(along, curve.mean, strict=True)]
    if len(along) == 1:
        line = [(0.0, line[0][1]), (1000.0, line[0][1])]
    last = int(np.flatnonzero(curve.counts == curve.counts.max())[-1])
    if last + 1 < len(along):
        parts.append(tag("polyline", points=_points(line[last:]), class_="line few"))
        line = line[: last + 1]
    parts.append(tag("polyline", points=_points(line), class_="line"))
    return tag("g", *parts, class_=f"series arm-{curve.color}", data_arm=curve.label)


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{a:.1f},{min(max(b, -9000.0), 9000.0):.1f}" for a, b in points if math.isfinite(b))


def _data(curves: Sequence[Curve], x: Scale, name: str, what: str, *, factors: bool) -> dict[str, Any]:
    return {
        "kind": kind(name),
        "what": what,
        "series": [
            {
                "arm": curve.label,
                "names": curve.names,
                "x": [round(x(place), 4) for place in curve.places],
                "mean": _rounded(curve.mean),
                **({"n": curve.counts.tolist()} if np.ptp(curve.counts) else {}),
                **(
                    {"low": _rounded(curve.low), "high": _rounded(curve.high)}
                    if factors
                    else {"half": _rounded(curve.high - curve.mean)}
                ),
            }
            for curve in curves
        ],
    }


def _rounded(values: NDArray[np.float64]) -> list[float | None]:
    return [float(f"{value:.4g}") if math.isfinite(value) else None for value in values]
