"""Images with the most probable answers below them, as in Fig. 4 of Krizhevsky et al. 2012."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from cnnlit.drawings.tiled_figure import TiledFigure, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

BAR, RIGHT = "#9db7d5", "#d98b8b"
FRAME = "#ffd400"
TILE, ROW = 224, 21  # pixels


class TopPredictions(NamedTuple):
    """What a network says about one image."""

    classes: list[str]
    """The most probable classes, in descending order."""
    probabilities: list[float]
    """Their probabilities, 0 to 1."""
    label: str | None = None
    """The true class, if known."""
    caption: str = ""
    """Written below an image whose true class is not known: its file."""
    seen: tuple[float, float, float, float] | None = None
    """Left, top, right and bottom of what the network saw of the image, as fractions; None if that is not drawn."""


def thumbnail(image: Tensor) -> Tensor:
    """An image, uint8 [3, H, W], reduced to the size at which it is drawn."""
    scale = TILE / max(image.shape[1:])
    if scale >= 1:
        return image
    size = [max(1, round(side * scale)) for side in image.shape[1:]]
    return functional.interpolate(image[None], size, mode="bilinear", antialias=True)[0].to(torch.uint8)


def draw_top_predictions(
    images: Sequence[Tensor], answers: Sequence[TopPredictions], title: str, columns: int | None = None
) -> "Figure":
    """Draw each image with its name or label and a bar for each answer, the true one in another colour.

    Args:
        images: N of uint8 [3, H, W], or [H, W] with 255 for ink.
        answers: N.
        title: of the figure.
        columns: images in a row; None for what fits a wide screen.

    Raises:
        ValueError: if there is not one answer per image.
    """
    from matplotlib.patches import Rectangle

    if len(images) != len(answers):
        raise ValueError(f"{len(answers)} answers for {len(images)} images")
    rows = max(len(answer.classes) for answer in answers)
    figure = TiledFigure(
        title,
        _legend(answers),
        tiles=len(images),
        columns=columns or max(1, min(6, math.ceil(math.sqrt(1.6 * len(images))))),
        cell=(TILE, TILE + 30 + ROW * rows + 12),
    )
    for image, answer, (x, y) in zip(images, answers, figure.corners, strict=True):
        pixels = image.cpu().movedim(0, -1) if image.ndim == 3 else 255 - image.cpu()
        right, bottom = figure.show(pixels, x, y, TILE, value_range=(0, 255))
        if _is_part(answer):
            figure.axes.add_patch(_frame(answer, (x, y), (right, bottom)))
        (name,) = shortened([answer.label or answer.caption], 26)
        weight = "bold" if answer.label else "normal"
        figure.axes.text(x + TILE / 2, y + TILE + 22, name, fontsize=7, fontweight=weight, ha="center")
        for number, (name, probability) in enumerate(
            zip(shortened(answer.classes, 24), answer.probabilities, strict=True)
        ):
            top = y + TILE + 30 + number * ROW
            color = RIGHT if answer.classes[number] == answer.label else BAR
            bar = Rectangle((x, top), max(1.0, probability * TILE), ROW - 4, color=color)
            figure.axes.add_patch(bar)
            figure.axes.text(x + 4, top + ROW / 2 - 2, name, fontsize=6.5, va="center")
            percent = f"{probability:.0%}" if probability < 0.995 else f"{probability:.1%}"
            figure.axes.text(x + TILE - 2, top + ROW / 2 - 2, percent, fontsize=6, va="center", ha="right")
    return figure.figure


def _frame(answer: TopPredictions, first: tuple[float, float], last: tuple[float, float]) -> "Rectangle":
    """A frame around what the network saw of an image that is drawn from its upper left to its lower right corner."""
    from matplotlib.patches import Rectangle

    assert answer.seen is not None
    left, top, right, bottom = answer.seen
    width, height = last[0] - first[0], last[1] - first[1]
    corner = (first[0] + left * width, first[1] + top * height)
    return Rectangle(
        corner, (right - left) * width, (bottom - top) * height, fill=False, edgecolor=FRAME, linewidth=1.2
    )


def _is_part(answer: TopPredictions) -> bool:
    """Whether the network saw less than the whole image."""
    return answer.seen is not None and answer.seen != (0, 0, 1, 1)


def _legend(answers: Sequence[TopPredictions]) -> str:
    legend = "bars: the most probable answers"
    legend += "; red: the right one" if any(each.label for each in answers) else ""
    return legend + ("; frame: what the network saw" if any(map(_is_part, answers)) else "")
