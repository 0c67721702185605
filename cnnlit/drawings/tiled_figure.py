"""A figure made of tiles, and what all figures share."""

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 150

FAINT = "#767676"


class Edge(NamedTuple):
    """The line around an image."""

    color: str
    points: float
    """How wide it is."""


EDGE = Edge("#cccccc", 0.4)


def encoded(figure: "Figure", form: str = "png") -> bytes:
    """A figure as the content of a file.

    Args:
        figure: Matplotlib's.
        form: `png`, `svg` or `pdf`.
    """
    content = io.BytesIO()
    figure.savefig(content, format=form)
    return content.getvalue()


def shortened(names: Sequence[str], length: int) -> list[str]:
    """The names, cut to at most `length` characters with an ellipsis."""
    return [name if len(name) <= length else f"{name[: length - 1]}…" for name in names]


def error_rate(errors: int, total: int) -> str:
    """The title of a figure of errors: `Test error 0.83 %: 3 of 360`."""
    if errors == 0:
        return f"No error on {total:,} test images"
    return f"Test error {errors / total:.2%}: {errors:,} of {total:,}".replace("%", " %")


class TiledFigure:
    """A white page with a heading and rows of cells; data coordinates are pixels from the upper left.

    Attributes:
        corners: (x, y) of each cell's upper left.
    """

    def __init__(self, title: str, legend: str, *, tiles: int, columns: int, cell: tuple[int, int]) -> None:
        from matplotlib.figure import Figure

        margin, gap = 24, 14
        header = 62 if legend else 22
        rows = math.ceil(tiles / columns)
        columns = math.ceil(tiles / max(1, rows))  # spread evenly over the rows
        width = max(columns * (cell[0] + gap) - gap, 13 * len(title), 8 * len(legend)) + 2 * margin
        height = max(0, rows * (cell[1] + gap) - gap) + header + 2 * margin
        self.figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
        self.axes = self.figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        self.axes.set_axis_off()
        self.axes.text(margin, margin + 18, title, fontsize=11, fontweight="bold")
        self.axes.text(margin, margin + 40, legend, fontsize=7, color=FAINT)
        self.corners = [
            (margin + tile % columns * (cell[0] + gap), margin + header + tile // columns * (cell[1] + gap))
            for tile in range(tiles)
        ]

    def show(
        self, pixels: Tensor, left: int, top: int, tile: int, value_range: tuple[float, float], edge: Edge = EDGE
    ) -> tuple[float, float]:
        """Draw [H, W] or [H, W, 3] in a tile, magnified by a whole number or reduced; return the lower right corner."""
        from matplotlib.patches import Rectangle

        longest = max(pixels.shape[:2])
        scale = tile // longest or tile / longest
        height, width = (side * scale for side in pixels.shape[:2])
        low, high = value_range
        extent = (left, left + width, top + height, top)
        self.axes.imshow(pixels.numpy(), cmap="gray", vmin=low, vmax=high, extent=extent, aspect="auto")
        self.axes.add_patch(
            Rectangle((left, top), width, height, fill=False, edgecolor=edge.color, linewidth=edge.points)
        )
        return left + width, top + height
