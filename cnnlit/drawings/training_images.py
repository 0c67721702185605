"""Training images as the network gets them, beside the originals, with what was drawn at random for each."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from cnnlit.drawings.tiled_figure import FAINT, TiledFigure, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FRAME = "#e0a800"
MIXED = "; before the images of a batch are mixed with one another (recipe.mixing)"
SMALL_SIDE, SMALL_TILE, TILE = 48, 96, 168  # pixels; small images are magnified
GAP, LINE, LETTER = 8, 15, 6.6  # pixels: between the two, from line to line, and of a letter of what was drawn


def draw_training_images(images: Sequence[Any], class_names: Sequence[str], remark: str = "") -> "Figure":
    """Draw the first images that training presents: to the left the original, to the right what the network gets.

    Args:
        images: with `shown`, uint8 [3, H, W], or [H, W] with 255 for ink; `original`, likewise or None; `label`;
            `told`, what was done to it; `box`, the part that is shown, as fractions of the original, or None for all
            of it.
        class_names: one for each class; its number where there are none.
        remark: what else is done to images before the network gets them.
    """
    sides = [max(part.shape) for each in images for part in (each.shown, each.original) if part is not None]
    beside = any(each.original is not None for each in images)
    tile = SMALL_TILE if max(sides, default=0) <= SMALL_SIDE else TILE
    width = 2 * tile + GAP if beside else tile
    lines = [textwrap.wrap(each.told, int(width / LETTER)) for each in images]
    figure = TiledFigure(
        "The first images of training, as the network gets them",
        ("left: the original" + "; framed: the part that is shown" * any(each.box for each in images)) * beside
        + remark,
        tiles=len(images),
        columns=max(1, 1440 // width),
        cell=(width, tile + 22 + LINE * max(map(len, lines), default=0)),
    )
    names = shortened([_name(class_names, each.label) for each in images], int(width / 9))
    for each, name, told, (x, y) in zip(images, names, lines, figure.corners, strict=True):
        figure.axes.text(x, y + 11, name, fontsize=7, fontweight="bold")
        if each.original is not None:
            corner = figure.show(_drawn(each.original), x, y + 18, tile, value_range=(0, 255))
            _frame(figure, each.box, (x, y + 18), corner)
        left = x + tile + GAP if beside else x
        figure.show(_drawn(each.shown), left, y + 18, tile, value_range=(0, 255))
        for number, line in enumerate(told):
            figure.axes.text(x, y + tile + 32 + LINE * number, line, fontsize=6, color=FAINT)
    return figure.figure


def _name(class_names: Sequence[str], label: int) -> str:
    return class_names[label] if label < len(class_names) else str(label)


def _drawn(image: Tensor) -> Tensor:
    return image.movedim(0, -1) if image.ndim == 3 else 255 - image


def _frame(figure: TiledFigure, box: Any, first: tuple[float, float], last: tuple[float, float]) -> None:
    """A frame around a part of what is drawn from its upper left to its lower right corner."""
    from matplotlib.patches import Rectangle

    if box is None:
        return
    width, height = last[0] - first[0], last[1] - first[1]
    left, top, right, bottom = box
    corner = (first[0] + left * width, first[1] + top * height)
    figure.axes.add_patch(
        Rectangle(corner, (right - left) * width, (bottom - top) * height, fill=False, edgecolor=FRAME, linewidth=1)
    )
