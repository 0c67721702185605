"""Learning curves of a run: error and loss, epoch by epoch."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

# matplotlib is slow to import, and every command imports this module but few draw: each function imports it itself.
if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
from cnnlit.drawings.tiled_figure import DPI

SPLITS = {"train": ("train", "#4477aa"), "val": ("validation", "#cc3311"), "test": ("test", "#111111")}

Row = Mapping[str, str | float]

Series = dict[float, float]


def draw_learning_curves(rows: Sequence[Row]) -> "Figure":
    """Draw error, in percent, and loss of training and validation after each epoch; the test is a point at the end.

    Values that span a factor of ten get a logarithmic axis, on which zeros lie at the lower edge.

    Args:
        rows: of metrics.csv. `epoch` counts from 0, `*/error` are fractions. Any value may be missing, empty, or
            a number written out; of several for one epoch, the last counts.

    Raises:
        ValueError: if no row has an error or loss of training or validation.
    """
    error = {split: _series(rows, f"{split}/error", scale=100) for split in SPLITS}
    loss = {split: _series(rows, f"{split}/loss") for split in SPLITS}
    epochs = [epoch for panel in (error, loss) for split in ("train", "val") for epoch in panel[split]]
    if not epochs:
        raise ValueError("no row has an error or loss of training or validation")
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    panels = [("Error, %", "{:.2f} %", error), ("Loss", "{:.3g}", loss)]
    panels = [panel for panel in panels if any(panel[2].values())]
    figure = Figure(figsize=(9.6, 3.7), dpi=DPI, layout="constrained")
    single = min(epochs) == max(epochs)
    for axes, (title, number, panel) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        panel["test"] = {max(epochs): value for value in panel["test"].values()}
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
        axes.set_xlabel("epoch")
        axes.set_xlim(min(epochs) - single / 2, max(epochs) + single / 2)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#e4e4e4", linewidth=0.7)
        _draw_series(axes, panel, number)
    return figure


def _series(rows: Sequence[Row], column: str, scale: float = 1) -> Series:
    """The finite values of a column, keyed by the number of completed epochs."""
    series: Series = {}
    for row in rows:
        value, epoch = (float("nan" if row.get(name) in (None, "") else row[name]) for name in (column, "epoch"))
        if math.isfinite(value):
            series[epoch + 1 if math.isfinite(epoch) else len(series) + 1.0] = value * scale
    return dict(sorted(series.items()))


def _draw_series(axes: "Axes", panel: Mapping[str, Series], number: str) -> None:
    """Draw each split's series, and label its end with its name and last value, no label over another."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    values = [value for series in panel.values() for value in series.values()]
    positive = [value for value in values if value > 0]
    floor = -math.inf
    if positive and min(values) >= 0 and max(positive) >= 10 * min(positive):
        floor = min(positive) / 1.5
        axes.set_yscale("log")
        axes.set_ylim(floor, max(positive) * 1.5)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(positive) < 1000 * min(positive) else (1,)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
    ends: list[tuple[float, str, str]] = []
    for split, series in panel.items():
        if series:
            name, color = SPLITS[split]
            y = [max(value, floor) for value in series.values()]
            markersize = 3 if len(y) > 1 else 5
            axes.plot(list(series), y, color=color, linewidth=1.6, marker="o", markersize=markersize, clip_on=False)
            ends.append((y[-1], f"{name} {number.format(list(series.values())[-1])}", color))
    axes.autoscale_view()  # otherwise deferred until the figure is drawn
    to_axes = axes.transScale + axes.transLimits
    height = -math.inf
    for last, label, color in sorted(ends):
        height = max(height + 0.075, float(to_axes.transform((1, last))[1]))
        axes.text(1.025, height, label, color=color, va="center", fontsize=9, transform=axes.transAxes)
