"""What happened inside the networks of a report: gradients and saturation, layer by layer, for each arm."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cnnlit.analysis.results import Measured, Results
from cnnlit.reports.charts.dots import NUM_COLORS, color_of
from cnnlit.reports.charts.lines import Curve, Plot, mean_of, plot

KINDS = {"gradient_norm": "gradient", "saturation": "saturation"}
"""Kinds of columns in metrics.csv, `<kind>/<layer>` -> what they are called."""

MOST_LETTERS = 50
"""Characters of layer names that fit below a chart, all names together."""


class Moment(NamedTuple):
    """What is drawn: a kind of number, in the first or the last epoch."""

    kind: str
    last: bool

    @property
    def name(self) -> str:
        return f"{KINDS[self.kind]}, {'last' if self.last else 'first'} epoch"


def moments(results: Results) -> list[Moment]:
    """All that can be drawn."""
    columns = {key.partition("/")[0] for _, _, run, _ in results.counted for row in run.curves[:1] for key in row}
    several = any(len(run.curves) > 1 for _, _, run, _ in results.counted)
    return [Moment(kind, last) for kind in KINDS if kind in columns for last in (False, True)[: 1 + several]]


def layers_chart(results: Results, moment: Moment) -> Plot | None:
    """One line from the first layer to the last for each of the best arms, with its band; None if no run has it.

    Networks of different depths are drawn to the same length. The means of gradients are geometric.
    """
    curves = [
        curve for place, each in enumerate(results.measured[:NUM_COLORS]) if (curve := _curve(each, place, moment))
    ]
    if not curves:
        return None
    names: Sequence[str | float] = curves[0].names
    same = all(curve.names == names for curve in curves)
    named = [(float(place), str(name)) for place, name in zip(curves[0].places, names, strict=True)]
    short = sum(len(name) for _, name in named) <= MOST_LETTERS
    gradients = moment.kind == "gradient_norm"
    return plot(
        curves, moment.name,
        title=f"{moment.name}, by layer: mean of each arm with its 95 % interval",
        ticks=named if same and short else [(0.0, "first"), (1.0, "last")],
        below="layer", logarithmic=gradients, factors=gradients,
    )  # fmt: skip


def _curve(each: Measured, place: int, moment: Moment) -> Curve | None:
    rows = [run.curves[-1 if moment.last else 0] for block in each.readings if (run := each.arm.runs[block]).curves]
    prefix = f"{moment.kind}/"
    layers = [key for key in (rows[0] if rows else {}) if key.startswith(prefix)]
    rows = [row for row in rows if all(layer in row for layer in layers)]
    if not layers:
        return None
    values = np.array([[row[layer] for layer in layers] for row in rows])
    ends = mean_of(values, logarithmic=moment.kind == "gradient_norm")
    counts = np.full(len(layers), len(values))
    names = [layer.removeprefix(prefix) for layer in layers]
    return Curve(each.name, color_of(place), np.linspace(0, 1, len(layers)), names, *ends, counts)
