"""Learning rates: those that a schedule had, and the loss over them in a range test."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from cnnlit.drawings.tiled_figure import DPI

MOST_LEVELS = 12
"""A schedule of at most so many rates goes by steps, which a logarithmic axis shows best."""


def draw_schedule(epochs: Sequence[float], rates: Sequence[float]) -> "Figure":
    """Draw the learning rate over the epochs.

    Args:
        epochs: that had passed, rising.
        rates: at these times.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.7), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    single = len(rates) == 1
    axes.plot(epochs, rates, color="#4477aa", linewidth=1.6, marker="o" if single else None)
    axes.set_title("Learning rate", loc="left", fontsize=11, fontweight="bold")
    axes.set_xlabel("epoch")
    low, high = min(rates), max(rates)
    if len(set(rates)) <= MOST_LEVELS and 0 < low <= high / 9:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.06 * high or 1)
    axes.annotate(
        f"{high:.3g}", (epochs[list(rates).index(high)], high), (4, 3), textcoords="offset points", fontsize=8
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e4e4e4", linewidth=0.7)
    return figure


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
