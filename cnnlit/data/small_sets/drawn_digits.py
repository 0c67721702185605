"""Digits that somebody drew or photographed, in the form of MNIST."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

Ink = NDArray[np.float32]

SIDE, INK_BOX = 28, 20
"""Sides of MNIST's images and of the box that their digits are scaled to, in pixels."""

LARGEST = 320
"""Images are reduced to this longest side, in pixels, before ink is looked for."""

FAINTEST, CLEAREST = 24.0, 6.0
"""Less contrast than this, in grey levels and in standard deviations of the paper's grain, is paper."""

EVEN = 2.0
"""Light falls evenly on paper that differs from a plane by less, in grey levels."""

SURE = 0.95
"""A digit is this probable, on average over `VIEWS`; less is none of these. Chosen on drawings of training images."""

VIEWS = (
    (12.0, 0.0, 1.0, 0.0), (-12.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.85, 0.0), (0.0, 0.0, 1.12, 0.0),
    (0.0, 0.0, 1.0, 12.0), (0.0, 0.0, 1.0, -12.0), (0.0, 1.5, 1.0, 0.0), (0.0, -1.5, 1.0, 0.0),
)  # fmt: skip
"""Degrees of rotation, pixels of shift along both axes, scale and degrees of shear, which leave a digit what it is."""

CLEAR = 0.25
"""The least ink, from 0 to 1, that a digit's box is drawn around."""

STROKE = (1.9, 3.6)
"""Widths of strokes in MNIST's box, in pixels; those of other pens are brought into this range."""


MOST_HOLES, SPECK = 2, 0.01
"""Holes that a digit may have, and the smallest that counts, as a fraction of its ink."""


class Drawing(NamedTuple):
    """What is drawn in an image.

    Attributes:
        digit: uint8 [28, 28], white ink on black.
        dark: whether the ink is darker than its paper.
        why_none: why this can be no digit, in words; None if it may be one.
    """

    digit: Tensor
    dark: bool
    why_none: str | None


def find_drawing(image: Tensor) -> Drawing:
    """The ink in an image, which may be any pen's on any paper, in the form of MNIST.

    An image of 28x28 pixels is kept, or inverted if its edge is bright. A smaller one has too few pixels to tell
    strokes from their paper: what is drawn is fitted into the box as it is. In any other, ink is what differs from the
    paper around it, so that shadows and the colour of the paper do not count. Strokes that belong together are scaled
    to fit a box of 20x20 pixels, their proportions kept, and centred by their centre of mass. Source: LeCun et al.
    1998, Sec. III-A.

    Args:
        image: uint8 [3, H, W].
    """
    grey = luminance(image)
    if max(grey.shape) <= SIDE:
        return _of_few_pixels(grey, dark=is_dark_on_bright(image))
    pixels = _reduced(grey)
    dark = _is_ink_dark(pixels)
    ink = _ink(pixels, dark=dark)
    strokes = _strokes(ink)
    if strokes is None:
        return Drawing(torch.zeros(SIDE, SIDE, dtype=torch.uint8), dark, "nothing is drawn")
    return Drawing(_in_box(ink, strokes == 1), dark, _why_none(strokes))


def _of_few_pixels(grey: Tensor, *, dark: bool) -> Drawing:
    digit = 255 - grey if dark else grey
    ink = digit - digit.min()
    is_blank = bool(ink.max() <= FAINTEST)
    if grey.shape != (SIDE, SIDE):
        digit = torch.zeros(SIDE, SIDE) if is_blank else _centred(_scaled(_cropped((ink / ink.max()).numpy())))
    return Drawing(digit.round().to(torch.uint8), dark, "nothing is drawn" if is_blank else None)


def varied(digit: Tensor) -> list[Tensor]:
    """A digit, uint8 [28, 28], in each of `VIEWS`."""
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2.functional import affine

    bilinear = InterpolationMode.BILINEAR
    return [
        affine(digit[None], angle, [shift, shift], scale, [shear, 0.0], interpolation=bilinear)[0]
        for angle, shift, scale, shear in VIEWS
    ]


def is_dark_on_bright(image: Tensor) -> bool:
    """Whether the edge of an image, uint8 [3, H, W], is bright paper: its median above middle grey."""
    return bool(_edge(luminance(image)).median() > 127)


def _edge(grey: Tensor) -> Tensor:
    return torch.cat([grey[0], grey[-1], grey[:, 0], grey[:, -1]])


def luminance(image: Tensor) -> Tensor:
    """Of uint8 [3, H, W]: float32 [H, W], 0 to 255; exact where the three colours are equal."""
    red, green, blue = image.float()
    grey: Tensor = green + 0.299 * (red - green) + 0.114 * (blue - green)
    return grey


def _reduced(grey: Tensor) -> Ink:
    scale = min(1.0, LARGEST / max(grey.shape))
    size = [max(3, round(side * scale)) for side in grey.shape]
    pixels: Ink = functional.interpolate(grey[None, None], size, mode="bilinear", antialias=True)[0, 0].numpy()
    return pixels


def _is_ink_dark(pixels: Ink) -> bool:
    """Whether what differs most from its surroundings is darker than these."""
    step = max(1, max(pixels.shape) // 40)
    small = pixels[::step, ::step]
    paper = ndimage.median_filter(small, size=max(3, max(small.shape) // 2), mode="nearest")
    darkest, brightest = np.percentile(small - paper, (1, 99))
    return bool(-darkest >= brightest)


def _ink(pixels: Ink, *, dark: bool) -> Ink:
    """How much each pixel differs from the paper around it: the black-hat of dark ink, the white-hat of bright."""
    smooth = ndimage.gaussian_filter(pixels if dark else 255 - pixels, max(pixels.shape) / 320)
    side = max(3, max(pixels.shape) * 2 // 5)
    paper = _paper(smooth, side)
    in_shadow = paper.max() / np.maximum(paper, 0.25 * paper.max() + 1) if dark else 1.0
    return _positive((paper - smooth) * in_shadow)


def _paper(pixels: Ink, side: int) -> Ink:
    """Paper without its strokes, by windows; those at the edge see too little of evenly falling light."""
    light = _even_light(_closed(pixels, side), side // 2)
    return _closed(pixels, side) if light is None else _closed(pixels - light, side) + light


def _closed(pixels: Ink, side: int) -> Ink:
    closed: Ink = ndimage.grey_closing(pixels, size=(side, side), mode="nearest")
    return closed


def _even_light(paper: Ink, margin: int) -> Ink | None:
    """The plane that paper is, apart from a margin; None if it is none, or level."""
    inner = np.s_[margin:-margin, margin:-margin]
    y, x = np.indices(paper.shape, dtype=np.float32)
    places = np.stack([np.ones_like(x), y, x], axis=-1)
    plane: Ink = places @ np.linalg.lstsq(places[inner].reshape(-1, 3), paper[inner].reshape(-1), rcond=None)[0]
    is_even = paper[inner].size and (paper - plane)[inner].std() < EVEN
    return plane if is_even and np.ptp(plane) > EVEN else None


def _positive(ink: Any) -> Ink:
    positive: Ink = np.maximum(ink, 0).astype(np.float32)
    return positive


def _strokes(ink: Ink) -> NDArray[np.int64] | None:
    """The groups of strokes, numbered from 1, the largest first; None if there is only paper."""
    middle = float(np.median(ink))
    grain = 1.5 * float(np.median(np.abs(ink - middle)))
    if float(np.percentile(ink, 99.7)) - middle < max(FAINTEST, CLEAREST * grain):
        return None
    mask = ink > max(_otsu(ink), middle + 3 * grain)
    blobs, count = ndimage.label(mask, np.ones((3, 3)))
    areas = ndimage.sum_labels(mask, blobs, range(1, count + 1))
    kept = np.isin(blobs, 1 + np.flatnonzero(areas >= 0.04 * areas.max()))
    reach = max(1, round(0.06 * np.sqrt(_extent(kept))))
    near, count = ndimage.label(ndimage.binary_dilation(kept, np.ones((3, 3)), iterations=reach), np.ones((3, 3)))
    groups = np.where(kept, near, 0)
    areas = ndimage.sum_labels(kept, groups, range(1, count + 1))
    ranks = np.zeros(count + 1, dtype=np.int64)
    ranks[1 + np.argsort(-areas)] = np.arange(1, count + 1)
    numbered: NDArray[np.int64] = ranks[groups]
    return numbered


def _extent(mask: NDArray[np.bool_]) -> float:
    rows, columns = np.nonzero(mask)
    return float((np.ptp(rows) + 1) * (np.ptp(columns) + 1))


def _otsu(ink: Ink) -> float:
    """The threshold that parts ink from paper with the largest variance between both. Otsu 1979."""
    counts, edges = np.histogram(ink, 128)
    middles = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)[:-1]
    above = below[-1] + counts[-1] - below
    sums = np.cumsum(counts * middles)
    between = below * above * (sums[:-1] / np.maximum(below, 1) - (sums[-1] - sums[:-1]) / np.maximum(above, 1)) ** 2
    return float(edges[1 + int(between.argmax())])


def _why_none(strokes: NDArray[Any]) -> str | None:
    """What no digit has: another drawing beside it that is about as large, or more holes than an 8."""
    rows, columns = np.nonzero(strokes == 1)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    if _rivals(strokes == 2, height, len(rows)) or width > 1.6 * height:
        return "more than one drawing"
    return "more holes than an 8" if _holes(strokes == 1) > MOST_HOLES else None


def _rivals(other: NDArray[np.bool_], height: Any, area: int) -> bool:
    rows, _ = np.nonzero(other)
    return len(rows) > 0.3 * area and bool(np.ptp(rows) + 1 > 0.5 * height)


def _holes(mask: NDArray[np.bool_]) -> int:
    """The parts of the paper that strokes enclose, apart from specks."""
    parts, count = ndimage.label(np.pad(~mask, 1, constant_values=True))
    areas = np.bincount(parts[parts > 0], minlength=count + 1)
    return int((areas > SPECK * mask.sum()).sum()) - 1


def _in_box(ink: Ink, mask: NDArray[np.bool_]) -> Tensor:
    rows, columns = np.nonzero(mask)
    longest = max(np.ptp(rows), np.ptp(columns)) + 1
    width = 4 * float(ndimage.distance_transform_edt(mask)[mask].mean()) * INK_BOX / longest
    full = float(np.percentile(ink[mask], 75))
    own = np.where(ndimage.binary_dilation(mask, iterations=2), np.clip(ink / full, 0, 1), 0)
    usual = _as_wide(own, (min(max(width, STROKE[0]), STROKE[1]) - width) * longest / INK_BOX)
    return _centred(_scaled(_cropped(usual if _is_clear(usual) else own)))  # a dot has no stroke to be narrowed


def _is_clear(ink: Any) -> bool:
    return bool((ink > CLEAR).any())


def _cropped(ink: Any) -> Any:
    rows, columns = np.nonzero(ink > CLEAR)
    return ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def _scaled(ink: Any) -> Tensor:
    size = [max(1, round(side * INK_BOX / max(ink.shape))) for side in ink.shape]
    whole = torch.from_numpy(ink).float()[None, None]
    digit = functional.interpolate(whole, size, mode="bilinear", antialias=True)[0, 0]
    return (255 * digit / digit.quantile(0.97).clamp_min(0.3)).clamp(0, 255)


def _centred(digit: Tensor) -> Tensor:
    top, left = (_start(digit.sum(dim=1 - dim), side) for dim, side in enumerate(digit.shape))
    centred = torch.zeros(SIDE, SIDE)
    centred[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    return centred.round().to(torch.uint8)


def _as_wide(ink: Any, more: float) -> Any:
    """Ink whose strokes are `more` pixels wider, or with less than 0 narrower."""
    side = 1 + round(abs(more))
    if side == 1:
        return ink
    if more < 0:
        return ndimage.grey_erosion(ink, size=(side, side))
    return ndimage.grey_dilation(np.pad(ink, side), footprint=_round_pen(side))


def _round_pen(side: int) -> NDArray[np.bool_]:
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    pen: NDArray[np.bool_] = np.hypot(y, x) <= side / 2
    return pen


def _start(mass: Tensor, side: int) -> int:
    """Where a side begins so that its centre of mass is in the middle, as far as it stays inside."""
    centre = float((mass * (torch.arange(side) + 0.5)).sum() / mass.sum())
    return min(max(0, round(SIDE / 2 - centre)), SIDE - side)
