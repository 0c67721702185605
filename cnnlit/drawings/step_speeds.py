"""How fast training steps are with different batch sizes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from cnnlit.drawings.tiled_figure import DPI


def draw_speeds(speeds: Sequence[Any], enough: int) -> "Figure":
    """Draw images per second over the batch size and, for a GPU, the memory in use; a line at the size that is enough.

    Args:
        speeds: with `batch_size`, `images_per_second` and `gigabytes`, 0 for unknown.
        enough: the batch size to point out.
    """
    from matplotlib.figure import Figure

    titles = {"images_per_second": "Images a second"}
    if any(each.gigabytes for each in speeds):
        titles["gigabytes"] = "Memory, GB"
    figure = Figure(figsize=(4.8 * len(titles), 3.7), dpi=DPI, layout="constrained")
    for axes, (value, title) in zip(figure.subplots(1, len(titles), squeeze=False)[0], titles.items(), strict=True):
        axes.plot(
            [each.batch_size for each in speeds], [getattr(each, value) for each in speeds],
            color="#4477aa", marker="o", markersize=4,
        )  # fmt: skip
        axes.axvline(enough, color="#cc3311", linewidth=1)
        axes.set_xscale("log", base=2)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("images at once")
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#e4e4e4", linewidth=0.7)
    return figure
