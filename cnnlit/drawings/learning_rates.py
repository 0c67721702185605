"""A learning-rate range test: the loss over the rate."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from cnnlit.drawings.tiled_figure import DPI


def draw_rates(
    rates: Sequence[float], losses: Sequence[float], smoothed: Sequence[float], fastest: float | None
) -> "Figure":
    """Draw the loss of each step over its rate, the rate on a logarithmic axis; a line where it fell fastest.

    Args:
        rates: of the steps, rising.
        losses: of the steps.
        smoothed: their running mean.
        fastest: the rate at which it fell fastest; None for no line.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.7), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.plot(rates, losses, color="#bbbbbb", linewidth=0.8)
    axes.plot(rates, smoothed, color="#4477aa", linewidth=1.6)
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_title("Loss", loc="left", fontsize=11, fontweight="bold")
    finite = [value for value in smoothed if math.isfinite(value)]
    if finite:
        low, high = min(finite), max(finite[: max(1, len(finite) // 2)])
        axes.set_ylim(low - 0.1 * abs(low), max(high, low + 1e-6) * 1.3)
    if fastest:
        axes.axvline(fastest, color="#cc3311", linewidth=1)
        axes.annotate(f"{fastest:.2g}", (fastest, axes.get_ylim()[1]), color="#cc3311", ha="right", va="top")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e4e4e4", linewidth=0.7)
    return figure
