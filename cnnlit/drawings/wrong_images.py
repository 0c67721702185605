"""The gallery of all misclassified images."""

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

# matplotlib is slow to import, and every command imports this module but few draw: each function imports it itself.
if TYPE_CHECKING:
    from matplotlib.figure import Figure
from cnnlit.drawings.tiled_figure import EDGE, FAINT, Edge, TiledFigure, error_rate, shortened

FRAME = Edge("#d55e00", 2.5)
TILE = 84  # pixels: a digit's 28, three times


def draw_errors(
    images: Sequence[Tensor] | Tensor,
    labels: Tensor,
    predicted: Tensor,
    confidence: Tensor,
    class_names: Sequence[str],
    limit: int | None = None,
    columns: int | None = None,
    framed: Collection[int] = (),
) -> "Figure":
    """Draw every misclassified image, in the order of the test set, as in Fig. 8 of LeCun et al. 1998.

    Above an image are its label and the answer; below, its index in the test set and the confidence. Of more than
    `limit` errors, the most confident are drawn, still in the order of the test set; the title says so.

    Args:
        images: N of uint8 [H, W], with 255 for ink, or [3, H, W]. Only those that are drawn are indexed.
        labels: int64 [N].
        predicted: int64 [N].
        confidence: float [N], 0 to 1.
        class_names: one per class.
        limit: the largest number of images drawn; None for 200, or 60 if they are larger than 100 pixels.
        columns: images in a row; None for what fits a wide screen.
        framed: test indices of images that get a frame: those that LeNet-5 got wrong in 1998, too.

    Raises:
        ValueError: if there is not one image per label.
    """
    if len(images) != len(labels):
        raise ValueError(f"{len(labels)} predictions for {len(images)} images")
    labels, predicted, confidence = labels.cpu(), predicted.cpu(), confidence.cpu()
    wrong = (predicted != labels).nonzero()[:, 0]
    side = max(images[0].shape[-2:])
    limit = limit or (200 if side <= 100 else 60)
    shown = wrong[confidence[wrong].argsort(descending=True)[:limit]].sort().values
    title = error_rate(len(wrong), len(labels))
    if len(shown) < len(wrong):
        title += f" ({len(shown)} of {len(wrong)} shown: the most confident, in the order of the test set)"
    names = shortened(class_names, 14)
    digits = max(map(len, names)) <= 3
    between, lines, fontsize = ("->", 1, 8.5) if digits else ("\n->", 2, 6)
    captions = [f"{names[labels[index]]}{between}{names[predicted[index]]}" for index in shown]
    tile = TILE if side <= TILE // 2 else 2 * TILE // side * side or 2 * TILE
    width = max([tile, *(math.ceil(1.4 * fontsize * len(line)) for text in captions for line in text.split("\n"))])
    above = 19 + 16 * (lines - 1)
    figure = TiledFigure(
        title,
        _legend(any(index in framed for index in shown.tolist())) if len(shown) else "",
        tiles=len(shown),
        columns=columns or min(1800 // width, max(8, math.ceil(math.sqrt(1.6 * len(shown))))),
        cell=(width, tile + above + 19),
    )
    for index, caption, (x, y) in zip(shown.tolist(), captions, figure.corners, strict=True):
        image = images[index].cpu()
        pixels = image.movedim(0, -1) if image.ndim == 3 else 255 - image
        frame = FRAME if index in framed else EDGE
        right, bottom = figure.show(pixels, x, y + above, tile, value_range=(0, 255), edge=frame)
        figure.axes.text(x, y + above - 5, caption, fontsize=fontsize, fontweight="bold", linespacing=1.2)
        figure.axes.text(x, bottom + 15, str(index), fontsize=6, color=FAINT)
        figure.axes.text(right, bottom + 15, f"{confidence[index]:.0%}", fontsize=6, color=FAINT, ha="right")
    return figure.figure


def _legend(framed: bool) -> str:
    return "above: label->answer; below: test index, confidence" + "; framed: wrong in 1998, too" * framed
