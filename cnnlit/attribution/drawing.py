"""Where a network looks and what its features respond to, image by image, in the manner of Zeiler, Fergus 2013."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from cnnlit.attribution.deconvnet import Projections
from cnnlit.drawings.tiled_figure import FAINT, TiledFigure, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TILE, PATCH, GAP, CAPTION = 224, 72, 4, 30  # pixels


def draw_occlusion(
    images: Sequence[Tensor], maps: Sequence[Tensor], captions: Sequence[str], *, square: int, stride: int
) -> "Figure":
    """Draw each image, and beside it the probability of its answer for each position of the grey square's centre.

    Paper: Zeiler, Fergus 2013, Fig. 7 (d).

    Args:
        images: N of uint8 [3, H, W], as the network sees them, or [H, W] with 255 for ink.
        maps: N of float [H', W'], 0 to 1. See occlusion.occlusion_map.
        captions: one above each image.
        square: side of the square, in pixels of the image.
        stride: step of the square, in pixels of the image.
    """
    figure = TiledFigure(
        "Where the answer comes from",
        f"right: its probability as a grey square of {square} pixels covers that place; blue: it is lost, yellow: kept",
        tiles=len(images),
        columns=2,
        cell=(2 * TILE + GAP, TILE + 2 * CAPTION),
    )
    for image, probabilities, caption, (x, y) in zip(images, maps, captions, figure.corners, strict=True):
        top = y + CAPTION
        figure.axes.text(x, top - 8, shortened([caption], 60)[0], fontsize=7, fontweight="bold")
        _fill(figure, _drawn(image), x, top, TILE)
        scale = TILE / max(image.shape[-2:])
        height, width = (side * stride * scale for side in probabilities.shape)
        left, upper = x + TILE + GAP + scale * (square - stride) / 2, top + scale * (square - stride) / 2
        extent = (left, left + width, upper + height, upper)
        values = probabilities.cpu().numpy()
        figure.axes.imshow(values, cmap="viridis", vmin=0, vmax=values.max(), extent=extent, aspect="auto")
        least, most = float(values.min()), float(values.max())
        figure.axes.text(x + TILE + GAP, top + TILE + 14, f"{least:.0%} to {most:.0%}", fontsize=6.5, color=FAINT)
    return figure.figure


def draw_projections(
    images: Sequence[Tensor], projections: Sequence[Projections], captions: Sequence[str], layer: str
) -> "Figure":
    """Draw each image, the projections of its strongest features, and the patches of the image that excite them.

    Paper: Zeiler, Fergus 2013, Fig. 2, which shows the strongest images of one feature instead.

    Args:
        images: N of uint8 [3, H, W], as the network sees them, or [H, W] with 255 for ink.
        projections: N, each of at most nine features. See deconvnet.project.
        captions: one above each image.
        layer: its name.
    """
    side = 3 * PATCH + 2 * GAP
    figure = TiledFigure(
        f"What made the strongest features of {layer} strong",
        "left: the image; middle: nine features sent back to its pixels, their map's number above; "
        "right: these parts of the image",
        tiles=len(images),
        columns=2,
        cell=(TILE + 2 * (side + 3 * GAP), TILE + 2 * CAPTION),
    )
    for image, found, caption, (x, y) in zip(images, projections, captions, figure.corners, strict=True):
        top = y + CAPTION
        figure.axes.text(x, top - 8, shortened([caption], 70)[0], fontsize=7, fontweight="bold")
        pixels = _drawn(image)
        _fill(figure, pixels, x, top, TILE)
        for place, (number, projection, box) in enumerate(
            zip(found.maps.tolist(), found.pixels.cpu(), found.boxes.tolist(), strict=True)
        ):
            left, upper, right, lower = box
            row, column = divmod(place, 3)
            inside = x + TILE + 3 * GAP + column * (PATCH + GAP)
            down = top + row * (PATCH + GAP)
            shown = projection[:, upper:lower, left:right].movedim(0, -1)
            _fill(figure, 0.5 + shown / (2 * shown.abs().max().clamp(min=1e-12)), inside, down, PATCH)
            _fill(figure, pixels[upper:lower, left:right], inside + side + 3 * GAP, down, PATCH)
            figure.axes.text(inside + 3, down + 11, str(number), fontsize=5, color="white")
    return figure.figure


def _drawn(image: Tensor) -> Tensor:
    """The image as float [H, W, 3] or [H, W], 0 to 1, with black ink."""
    return (image.movedim(0, -1) if image.ndim == 3 else 255 - image).cpu() / 255


def _fill(figure: TiledFigure, pixels: Tensor, left: float, top: float, tile: int) -> None:
    """Draw [H, W] or [H, W, 1 or 3], 0 to 1, as large as the tile allows."""
    height, width = (side * tile / max(pixels.shape[:2]) for side in pixels.shape[:2])
    extent = (left, left + width, top + height, top)
    figure.axes.imshow(pixels.squeeze(-1).numpy(), cmap="gray", vmin=0, vmax=1, extent=extent, aspect="auto")
