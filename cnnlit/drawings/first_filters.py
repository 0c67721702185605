"""The filters of a first layer."""

from typing import TYPE_CHECKING

from torch import Tensor

# Every command imports this module and few draw: matplotlib is slow to import, so each drawing imports it itself.
if TYPE_CHECKING:
    from matplotlib.figure import Figure
from cnnlit.drawings.tiled_figure import FAINT, TiledFigure
from cnnlit.drawings.wrong_images import TILE


def draw_filters(weights: Tensor) -> "Figure":
    """The filters of a first layer, their numbers from 0 beside them.

    On one channel a weight of 0 is middle grey and a positive one lighter; black and white are the largest
    magnitude among all filters. On three channels the same holds for each of red, green and blue.

    Args:
        weights: float [filters, channels, height, width], of 1 or 3 channels.

    Raises:
        ValueError: on any other number of channels.
    """
    weights = weights.detach().float().cpu()
    num_filters, channels, height, width = weights.shape
    if channels not in (1, 3):
        raise ValueError(f"filters on {channels} channels have no colours; 1 or 3 have")
    largest = weights.abs().max().clamp(min=1e-12)
    brightness = (0.5 + weights / (2 * largest)).movedim(1, -1).squeeze(-1)
    figure = TiledFigure(
        f"First layer: {num_filters} filters of {height}x{width}",
        f"weights from -{largest:.2g}, dark, to {largest:.2g}, bright; 0 is middle grey",
        tiles=num_filters,
        columns=16,
        cell=(TILE, TILE + 19),
    )
    for number, (x, y) in enumerate(figure.corners):
        _, bottom = figure.show(brightness[number], x, y, TILE, value_range=(0, 1))
        figure.axes.text(x, bottom + 15, str(number), fontsize=6, color=FAINT)
    return figure.figure
