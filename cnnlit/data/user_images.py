"""Images from anywhere for a trained network: found, and presented as in its test."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cnnlit.data.loading.multi_view import ViewGroup
from cnnlit.data.transforms.colours import as_channels
from cnnlit.data.transforms.geometry import Windows
from cnnlit.data.transforms.presented import PresentedImage
from cnnlit.data.transforms.resampling import resample, show


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


def as_presented(images: Tensor, labels: Tensor) -> list[PresentedImage]:
    """A batch on the scale of a network's input, [N, C, H, W], made visible; its originals are not known."""
    return [PresentedImage(as_drawn(image), int(label)) for image, label in zip(images, labels, strict=True)]


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
