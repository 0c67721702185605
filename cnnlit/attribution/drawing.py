"""Where a network looks and what its features respond to, image by image."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from cnnlit.attribution.deconvnet import Projections
from cnnlit.drawings.tiled_figure import FAINT, TiledFigure, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TILE, PATCH, GAP, CAPTION = 224, 72, 4, 30  # pixels
IN_A_ROW = 16
MOST_MAPS, MOST_OF_SEVERAL = 64, 16
"""Feature maps that are drawn of a layer, and of each of several layers."""


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


def draw_saliency(images: Sequence[Tensor], maps: Sequence[Tensor], captions: Sequence[str]) -> "Figure":
    """Draw each image, and beside it how much the score of its answer depends on each pixel.

    Paper: Simonyan, Vedaldi, Zisserman 2013, Fig. 2.

    Args:
        images: N of uint8 [3, H, W], as the network sees them, or [H, W] with 255 for ink.
        maps: N of float [H, W]. See saliency.saliency_map.
        captions: one above each image.
    """
    figure = TiledFigure(
        "Which pixels the answer depends on",
        "right: the gradient of the answer's score; bright: a small change of the pixel changes the score most",
        tiles=len(images),
        columns=2,
        cell=(2 * TILE + GAP, TILE + CAPTION),
    )
    for image, saliency, caption, (x, y) in zip(images, maps, captions, figure.corners, strict=True):
        figure.axes.text(x, y + CAPTION - 8, shortened([caption], 60)[0], fontsize=7, fontweight="bold")
        _fill(figure, _drawn(image), x, y + CAPTION, TILE)
        shown = saliency / saliency.max().clamp(min=1e-12)
        _fill(figure, shown, x + TILE + GAP, y + CAPTION, TILE, cmap="inferno")
    return figure.figure


def draw_feature_maps(images: Sequence[Tensor], layers: Mapping[str, Tensor], captions: Sequence[str]) -> "Figure":
    """Draw each image, and beside it the feature maps of layers; many units are the pixels of one map.

    Args:
        images: N of uint8 [3, H, W], as the network sees them, or [H, W] with 255 for ink.
        layers: names to float [N, maps, H', W'] or [N, units]. See feature_maps.feature_maps.
        captions: one above each image.
    """
    strips = {name: [_strip(each, len(layers)) for each in maps.float().cpu()] for name, maps in layers.items()}
    heights = {name: strip[0].shape[0] + 24 for name, strip in strips.items()}
    widest = max(strip[0].shape[1] for strip in strips.values())
    figure = TiledFigure(
        "Feature maps",
        "dark: the smallest value of a layer, bright: its largest, of this image",
        tiles=len(images),
        columns=1,
        cell=(TILE + 4 * GAP + max(widest, 480), max(TILE, sum(heights.values())) + CAPTION),
    )
    for number, (image, caption, (x, y)) in enumerate(zip(images, captions, figure.corners, strict=True)):
        figure.axes.text(x, y + CAPTION - 8, shortened([caption], 70)[0], fontsize=7, fontweight="bold")
        top = y + CAPTION
        _fill(figure, _drawn(image), x, top, TILE)
        for name, maps in layers.items():
            left, strip = x + TILE + 4 * GAP, strips[name][number]
            figure.axes.text(left, top + 12, _of_layer(name, maps[number], len(layers)), fontsize=6.5, color=FAINT)
            height, width = strip.shape
            extent = (left, left + width, top + 18 + height, top + 18)
            figure.axes.imshow(strip.numpy(), cmap="gray", extent=extent, aspect="auto")
            top += heights[name]
    return figure.figure


def _strip(maps: Tensor, num_layers: int) -> Tensor:
    """Feature maps [M, H, W] side by side, many units [M] as one map: float [height, width], nan between them."""
    if maps[0].numel() == 1:
        maps = maps.view(-1, 1, 1) if len(maps) <= IN_A_ROW else _as_bitmap(maps.flatten())[None]
    maps = maps[_chosen(maps, num_layers)]
    scale = PATCH / max(maps.shape[1:])
    size = [max(1, round(side * scale)) for side in maps.shape[1:]]
    tiles = functional.pad(functional.interpolate(maps[None], size)[0], (0, GAP, 0, GAP), value=math.nan)
    rows = [torch.cat(list(row), dim=1) for row in torch.split(tiles, IN_A_ROW)]
    width = rows[0].shape[1]
    return torch.cat([functional.pad(row, (0, width - row.shape[1]), value=math.nan) for row in rows])


def _chosen(maps: Tensor, num_layers: int) -> Tensor:
    """Which maps are drawn, in their order: all, or of many those with the largest values on average."""
    most = MOST_OF_SEVERAL if num_layers > 1 else MOST_MAPS
    return maps.mean(dim=(1, 2)).topk(min(most, len(maps))).indices.sort().values


def _as_bitmap(units: Tensor) -> Tensor:
    """Units as a rectangle, higher than wide and as square as their number allows: 84 are 12 rows of 7."""
    columns = next(number for number in range(math.isqrt(len(units)), 0, -1) if len(units) % number == 0)
    return units.view(-1, columns)


def _of_layer(name: str, maps: Tensor, num_layers: int) -> str:
    """What a layer is called, its maps, and their range."""
    values = f"{float(maps.min()):.3g} to {float(maps.max()):.3g}".replace("-", "\N{MINUS SIGN}")
    if maps.ndim == 1 or maps[0].numel() == 1:
        return f"{name}: {len(maps)} units, {values}"
    drawn = min(len(maps), MOST_OF_SEVERAL if num_layers > 1 else MOST_MAPS)
    strongest = f"the strongest {drawn} of " * (drawn < len(maps))
    return f"{name}: {strongest}{len(maps)} maps of {maps.shape[2]}x{maps.shape[1]}, {values}"


def _drawn(image: Tensor) -> Tensor:
    """The image as float [H, W, 3] or [H, W], 0 to 1, with black ink."""
    return (image.movedim(0, -1) if image.ndim == 3 else 255 - image).cpu() / 255


def _fill(figure: TiledFigure, pixels: Tensor, left: float, top: float, tile: int, cmap: str = "gray") -> None:
    """Draw [H, W] or [H, W, 1 or 3], 0 to 1, as large as the tile allows."""
    height, width = (side * tile / max(pixels.shape[:2]) for side in pixels.shape[:2])
    extent = (left, left + width, top + height, top)
    figure.axes.imshow(pixels.squeeze(-1).numpy(), cmap=cmap, vmin=0, vmax=1, extent=extent, aspect="auto")
