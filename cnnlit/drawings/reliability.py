"""How far a network's confidence can be trusted: the reliability diagram."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from cnnlit.drawings.tiled_figure import DPI


def draw_reliability(bins: Sequence[Any], error: float) -> "Figure":
    """Draw how often answers are right, by their confidence, and below how many there are of each.

    Paper: Guo et al. 2017, *On calibration of modern neural networks*, Fig. 1.

    Args:
        bins: with `low`, `high`, `answers`, `confidence` and `accuracy`.
        error: the expected calibration error, 0 to 1.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(4.8, 5.4), dpi=DPI, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    middles = [(each.low + each.high) / 2 for each in bins]
    width = bins[0].high - bins[0].low
    above.bar(middles, [each.accuracy for each in bins], width, color="#9db7d5", edgecolor="white", linewidth=0.7)
    above.plot([0, 1], [0, 1], color="#767676", linewidth=1, linestyle="--")
    above.plot([each.confidence for each in bins], [each.accuracy for each in bins], "o", color="#4477aa", markersize=4)
    above.set_title(f"Calibration error {100 * error:.2f} %", loc="left", fontsize=11, fontweight="bold")
    above.set_ylabel("answers that are right")
    above.set_ylim(0, 1.02)
    below.bar(middles, [each.answers for each in bins], width, color="#bbbbbb", edgecolor="white", linewidth=0.7)
    below.set_yscale("symlog", linthresh=1)
    below.set_ylabel("answers")
    below.set_xlabel("confidence")
    below.set_xlim(0, 1)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    for axis in (above.yaxis, below.xaxis):
        axis.set_major_formatter(PercentFormatter(1))
    return figure
