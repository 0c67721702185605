"""Images from anywhere for a trained network: found, and presented as in its test."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cnnlit.data.loading.multi_view import ViewGroup
from cnnlit.data.transforms.colours import as_channels
from cnnlit.data.transforms.geometry import Windows
from cnnlit.data.transforms.resampling import resample, show

SIDE, INK_BOX = 28, 20
"""Sides of MNIST's images and of the box that their digits are scaled to, in pixels."""

FAINTEST = 32
"""Less ink than this counts as paper when the digit in an image is located."""


def render(images: Sequence[Tensor], windows: Sequence[Windows], *, exactly: bool, channels: int) -> list[ViewGroup]:
    """Resample the windows of images, grouped by size.

    Args:
        images: N of uint8 [3, H, W].
        windows: V for each image.
        exactly: as for images in memory; otherwise rounded to bytes, as for images that are decoded.
        channels: of the views, 3 or 1.

    Returns:
        For each size the views [M, channels, h, w], 0 to 255, and int64 [M], which of the N * V views they are.
    """
    seen: dict[tuple[int, ...], tuple[list[Tensor], list[int]]] = {}
    place = 0
    for image, its in zip(images, windows, strict=True):
        brought = as_channels(image[None], channels) if exactly else image
        for window in zip(*its, strict=True):
            if exactly:
                view = resample(brought, Windows(*(part[None] for part in window)))[0].float()
            else:
                view = torch.from_numpy(show(image.movedim(0, -1).contiguous().numpy(), *window)).movedim(-1, 0)
                view = as_channels(view[None], channels)[0]
            views, places = seen.setdefault(tuple(view.shape), ([], []))
            views.append(view)
            places.append(place)
            place += 1
    return [(torch.stack(views), torch.tensor(places)) for views, places in seen.values()]


def is_dark_on_bright(image: Tensor) -> bool:
    """Whether the edge of an image, uint8 [3, H, W], is bright paper: its median above middle grey."""
    grey = _grey(image)
    edge = torch.cat([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    return bool(edge.median() > 127)


def as_digit(image: Tensor) -> Tensor:
    """An image of one digit in the form of MNIST: white ink on black, 28x28 pixels.

    An image of 28x28 pixels is kept. In any other the digit is scaled to fit a box of 20x20 pixels, its proportions
    kept, and centred by its centre of mass. Dark ink on bright paper is inverted. Source: LeCun et al. 1998,
    Sec. III-A.

    Args:
        image: uint8 [3, H, W].

    Returns:
        uint8 [28, 28].
    """
    ink = _grey(image)
    if is_dark_on_bright(image):
        ink = 255 - ink
    if ink.shape == (SIDE, SIDE):
        return ink.round().to(torch.uint8)
    rows, columns = ((ink > FAINTEST).any(dim=dim).nonzero()[:, 0] for dim in (1, 0))
    if not len(rows):
        return torch.zeros(SIDE, SIDE, dtype=torch.uint8)
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    longest = max(ink.shape)
    height, width = (max(1, round(side * INK_BOX / longest)) for side in ink.shape)
    digit = functional.interpolate(ink[None, None], (height, width), mode="bilinear", antialias=True)[0, 0]
    top, left = (_start(digit.sum(dim=dim), side) for dim, side in ((1, height), (0, width)))
    centred = torch.zeros(SIDE, SIDE)
    centred[top : top + height, left : left + width] = digit
    return centred.round().clamp(0, 255).to(torch.uint8)


def _start(mass: Tensor, side: int) -> int:
    """Where a side begins so that its centre of mass is in the middle, as far as it stays inside."""
    centre = float((mass * (torch.arange(side) + 0.5)).sum() / mass.sum())
    return min(max(0, round(SIDE / 2 - centre)), SIDE - side)


def _grey(image: Tensor) -> Tensor:
    """Luminance, float32 [H, W], 0 to 255; exact where the three colours are equal."""
    red, green, blue = image.float()
    grey: Tensor = green + 0.299 * (red - green) + 0.114 * (blue - green)
    return grey


def transformed(transform: Callable[[Any], Tensor], image: Tensor, data: Mapping[str, Any]) -> Tensor:
    """An image, uint8 [3, H, W], as somebody's own transform presents it to the network: float32 [C, side, side].

    Args:
        transform: of a PIL image, grey where the network has one channel.
        image: from anywhere.
        data: its `in_channels` and `image_size`, where they are known, are what is expected.

    Raises:
        ValueError: one line about what the transform returns instead.
    """
    from torchvision.transforms.v2.functional import to_pil_image

    picture = to_pil_image(image)
    seen: Any = transform(picture.convert("L") if data.get("in_channels") == 1 else picture)
    channels, side = data.get("in_channels"), data.get("image_size")
    expected = f"a float tensor [{channels or 'C'}, {side or 'H'}, {side or 'W'}]"
    if not isinstance(seen, Tensor) or not seen.is_floating_point():
        found = f"{seen.dtype}" if isinstance(seen, Tensor) else type(seen).__name__
        raise ValueError(f"eval_transform: must return {expected}, and not {found}")
    if seen.ndim != 3 or seen.shape[0] != (channels or seen.shape[0]) or (side and set(seen.shape[1:]) != {side}):
        raise ValueError(f"eval_transform: must return {expected}, and not {list(seen.shape)}")
    return seen.as_subclass(Tensor)


def as_drawn(image: Tensor) -> Tensor:
    """An image on the scale of a network's input, as it can be drawn: uint8 [H, W] or [3, H, W].

    Values from 0 to 1 are those of a picture; others are stretched so that the darkest is black, the brightest white.
    """
    darkest, brightest = image.min(), image.max()
    if darkest < 0 or brightest > 1:
        image = (image - darkest) / (brightest - darkest).clamp_min(1e-12)
    drawn = (255 * image).round().to(torch.uint8)
    return drawn if len(drawn) == 3 else drawn[0]


class DrawnItems:
    """A sequence of images of a data set as they are drawn, each made when it is indexed.

    Args:
        items: number -> (image float [C, H, W], ...), or keys and values.
        numbers: which of them, in order.
        image_key: where in an item the image is; a position or a key.
    """

    def __init__(self, items: Any, numbers: Sequence[int], image_key: int | str = 0) -> None:
        self._items = items
        self._numbers = numbers
        self._image_key = image_key

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: Any) -> Any:
        """An image for a number, a shorter sequence for a slice."""
        if isinstance(index, slice):
            return DrawnItems(self._items, self._numbers[index], self._image_key)
        return as_drawn(torch.as_tensor(self._items[self._numbers[index]][self._image_key]))
