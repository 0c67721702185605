"""The filters of the first layer."""

from typing import TYPE_CHECKING

from torch import Tensor

# matplotlib is slow to import, and every command imports this module but few draw: each function imports it itself.
if TYPE_CHECKING:
    from matplotlib.figure import Figure
from cnnlit.drawings.tiled_figure import FAINT, TiledFigure
from cnnlit.drawings.wrong_images import TILE


def draw_filters(weights: Tensor, columns: int = 16) -> "Figure":
    """Draw the filters of the first layer with their indices.

    With one channel, a weight of 0 is mid-grey and positive weights are lighter; black and white stand for the largest
    magnitude among all filters. With three channels, the same holds for red, green and blue.

    Args:
        weights: float [filters, channels, height, width], with 1 or 3 channels.
        columns: filters in a row.

    Raises:
        ValueError: for any other number of channels.
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
        columns=columns,
        cell=(TILE, TILE + 19),
    )
    for number, (x, y) in enumerate(figure.corners):
        _, bottom = figure.show(brightness[number], x, y, TILE, value_range=(0, 1))
        figure.axes.text(x, bottom + 15, str(number), fontsize=6, color=FAINT)
    return figure.figure
