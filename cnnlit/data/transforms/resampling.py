"""Resample windows: of many images in memory at once, or of one image that was just decoded."""

import math
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cnnlit.data.transforms.geometry import Windows
from cnnlit.data.transforms.to_device import sent


def resample(images: Tensor, windows: Windows) -> Tensor:
    """Resample windows of images by PIL's bilinear filter: a triangle that widens where they shrink.

    Args:
        images: uint8 [N, C, H, W], on any device.
        windows: of the images, on the CPU, all of one size.

    Returns:
        [N, C, h, w], 0 to 255: uint8 if every pixel is copied from the image, else float32.
    """
    if not len(images):
        return images
    height, width = (int(side) for side in windows.size[0])
    if height == images.shape[2] and width == images.shape[3] and _all_whole(windows.box, height, width):
        return images
    if copies(windows):
        return _gather(images, sent(windows.box.long(), images.device), height, width)
    parts = torch.cat([windows.box, windows.cut], dim=1)
    parts = parts[:1] if bool((parts == parts[0]).all()) else parts
    box, is_cut = parts[:, :4], bool(parts[:, 4].isfinite().any())
    ends = sent(parts.to(torch.float32), images.device)
    rows = _triangles(ends[:, 1::2], images.shape[2], height, _beyond(box[:, 1::2], images.shape[2], height), is_cut)
    columns = _triangles(ends[:, ::2], images.shape[3], width, _beyond(box[:, ::2], images.shape[3], width), is_cut)
    resized = torch.matmul(images.float().flatten(1, 2), columns.mT)  # [N, C * H, w]
    # Channel by channel: torch would copy the weights for each channel.
    channels = resized.chunk(images.shape[1], dim=1)
    return torch.stack([torch.matmul(rows, channel) for channel in channels], dim=1)  # [N, C, h, w]


def copies(windows: Windows) -> bool:
    """Whether every pixel of these windows is one of the image, or beyond it."""
    extent = (windows.box[:, 2:] - windows.box[:, :2]).abs()
    return bool((extent == windows.size.flip(1)).all()) and bool((windows.box == windows.box.floor()).all())


def copy(images: Tensor, indices: Tensor, box: Tensor, height: int, width: int) -> Tensor:
    """Windows of chosen images whose pixels are copied, see `copies`; black beyond an image.

    On a CPU a slice for each image is twice as fast as one gathering of all pixels, which is what a GPU does well.

    Args:
        images: uint8 [N, C, H, W], on any device.
        indices: int64 [M], of the images, on the CPU.
        box: int64 [M, 4], see Windows, on the CPU.
        height: of the windows, in pixels.
        width: likewise.

    Returns:
        uint8 [M, C, height, width].
    """
    if images.device.type != "cpu":
        chosen = images.index_select(0, sent(indices, images.device))
        return _gather(chosen, sent(box, images.device), height, width)
    pixels, shown = images.numpy(), np.zeros((len(indices), images.shape[1], height, width), np.uint8)
    rows, columns = images.shape[2:]
    for place, (index, (left, top, right, bottom)) in enumerate(zip(indices.tolist(), box.tolist(), strict=True)):
        into = shown[place] if left < right else shown[place, :, :, ::-1]
        first, last = (left, right) if left < right else (right, left)
        y, end_y, x, end_x = max(top, 0), min(bottom, rows), max(first, 0), min(last, columns)
        if y < end_y and x < end_x:
            into[:, y - top : end_y - top, x - first : end_x - first] = pixels[index, :, y:end_y, x:end_x]
    return torch.from_numpy(shown)


def _all_whole(box: Tensor, height: int, width: int) -> bool:
    return bool((box == torch.tensor([0, 0, width, height], dtype=box.dtype)).all())


def _gather(images: Tensor, box: Tensor, height: int, width: int) -> Tensor:
    """Copy each pixel from the image; black beyond it."""
    left, top, right, _ = box[:, :, None].unbind(1)
    y = top + torch.arange(height, device=images.device)  # [N, h]
    x = torch.arange(width, device=images.device)
    x = torch.where(left < right, left + x, left - 1 - x)  # [N, w]
    inside = ((y >= 0) & (y < images.shape[2]))[:, :, None] & ((x >= 0) & (x < images.shape[3]))[:, None, :]
    y, x = y.clamp(0, images.shape[2] - 1), x.clamp(0, images.shape[3] - 1)
    place = (y[:, :, None] * images.shape[3] + x[:, None, :]).flatten(1)[:, None]  # [N, 1, h * w]
    channels = images.shape[1]
    pixels = images.flatten(2).gather(2, place.expand(-1, channels, -1)).view(-1, channels, height, width)
    return pixels.mul_(inside[:, None])


def _beyond(ends: Tensor, length: int, count: int) -> int:
    """How many pixels beyond a side of this length windows [N, 2] reach at most, filter included."""
    over = max(-float(ends.min()), float(ends.max()) - length)
    triangle = max(1.0, float((ends[:, 1] - ends[:, 0]).abs().max()) / count)
    return math.ceil(over + triangle) if over > 0 else 0


def _triangles(ends: Tensor, length: int, count: int, beyond: int, is_cut: bool) -> Tensor:
    """The weight of each of `length` pixels of a side in each of `count` pixels of the windows.

    Args:
        ends: float32 [N, 4], in pixels: both ends of the windows, and of the parts that were cut out.
        length: of the side of the image.
        count: pixels of the result.
        beyond: how many black pixels are seen beyond the ends of the side.
        is_cut: whether any part was cut out.

    Returns:
        float32 [N, count, length].
    """
    first, last, low, high = ends.unbind(1)
    step = (last - first) / count
    sharpness = 1 / step.abs().clamp(min=1)  # of a triangle as wide as a pixel of the result, at least 1
    pixels = torch.arange(-beyond, length + beyond, device=first.device) + 0.5
    middles = first[:, None] + (torch.arange(count, device=first.device) + 0.5) * step[:, None]
    weights = (middles * sharpness[:, None])[:, :, None] - (pixels * sharpness[:, None])[:, None, :]
    weights = weights.abs_().neg_().add_(1).clamp_(min=0)
    if beyond:
        # A window that stays inside must see no black, whatever the others in the batch do.
        over_low = torch.minimum(first, last)[:, None] < 0
        over_high = torch.maximum(first, last)[:, None] > length
        weights *= ((over_low | (pixels > 0)) & (over_high | (pixels < length)))[:, None]
    if is_cut:
        weights *= ((pixels > low[:, None]) & (pixels < high[:, None]))[:, None]
    weights /= weights.sum(dim=2, keepdim=True)
    return weights[:, :, beyond : beyond + length]


class _Side(NamedTuple):
    """One dimension of a window."""

    first: float
    last: float
    """Where it begins and ends, in pixels of the image."""
    pixels: int
    """Pixels of the result."""
    length: int
    """Pixels of the image."""

    @property
    def step(self) -> float:
        return (self.last - self.first) / self.pixels

    @property
    def reach(self) -> float:
        """How far a pixel of the result sees from its centre: half the width of the filter."""
        return max(1.0, self.step)

    @property
    def seen(self) -> tuple[int, int]:
        """The first pixel seen, and the one after the last; beyond the image if the window reaches over an edge."""
        first, last = math.floor(self.first - self.reach), math.ceil(self.last + self.reach)
        return first if self.first < 0 else max(0, first), last if self.last > self.length else min(self.length, last)

    def begin(self, pixels: int) -> Self:
        """The part that makes its first pixels."""
        return self._replace(last=self.first + pixels * self.step, pixels=pixels)

    @property
    def origin(self) -> tuple[int, int] | None:
        """Where to begin so that the centres of pixels are at half steps, and how many pixels then come before it.

        A window on a resized image begins at a whole pixel of that size, counted from the edge; a rectangle that was
        cut out begins at a whole pixel of the original. None for any other window.
        """
        before = round(self.first / self.step)
        if abs(before * self.step - self.first) * 512 <= self.reach:  # half a level at a black and white edge
            return 0, before
        return (int(self.first), 0) if self.first.is_integer() else None


def show(
    pixels: NDArray[np.uint8],
    box: Tensor | NDArray[np.float64],
    size: Tensor | NDArray[np.float64],
    cut: Tensor | NDArray[np.float64],
) -> NDArray[np.uint8]:
    """Resample one window of one image; the same pixels as those of `resample`, rounded.

    Args:
        pixels: uint8 [H, W, 3].
        box: float64 [4], see Windows.
        size: float64 [2].
        cut: float64 [4].

    Returns:
        uint8 [h, w, 3].
    """
    left, top, right, bottom = box.tolist()
    height, width = (int(side) for side in size.tolist())
    low_x, low_y, high_x, high_y = cut.tolist()
    if low_x > -math.inf:
        pixels = pixels[int(low_y) : int(high_y), int(low_x) : int(high_x)]
        left, right, top, bottom = left - low_x, right - low_x, top - low_y, bottom - low_y
    rows = _Side(top, bottom, height, pixels.shape[0])
    columns = _Side(min(left, right), max(left, right), width, pixels.shape[1])
    if all(side.first >= 0 and side.last <= side.length for side in (rows, columns)):
        shown = _inside(pixels, rows, columns)
    else:
        shown = _by_pil(pixels, rows, columns)
    if left < right:
        return shown
    # Torch mirrors contiguous pixels of three bytes ten times as fast as NumPy does.
    mirrored: NDArray[np.uint8] = _planes(np.ascontiguousarray(shown)).flip(3)[0].permute(1, 2, 0).numpy()
    return mirrored


def _inside(pixels: NDArray[np.uint8], rows: _Side, columns: _Side) -> NDArray[np.uint8]:
    """A window that stays inside the image; by torch where possible, four times as fast as PIL."""
    if pixels.strides[1:] != (3, 1):  # torch's kernel needs interleaved colours
        pixels = np.ascontiguousarray(pixels)
    if rows.step == columns.step == 1 and rows.first.is_integer() and columns.first.is_integer():
        return pixels[int(rows.first) : int(rows.last), int(columns.first) : int(columns.last)]
    vertical, horizontal = rows.origin, columns.origin
    if vertical is None or horizontal is None:
        return _by_pil(pixels, rows, columns)
    (top, above), (left, before) = vertical, horizontal
    seen = _planes(pixels[top : rows.seen[1], left : columns.seen[1]])
    size = [above + rows.pixels, before + columns.pixels]
    # Torch copies a side whose number of pixels does not change, whatever the scale: one more makes it resample.
    size = [count + (count == there) for count, there in zip(size, seen.shape[2:], strict=True)]
    resized = np.empty((*size, 3), np.uint8)
    # The kernel of torch.nn.functional.interpolate, which takes either a size or a scale, may drop the last pixel, and
    # returns planar colours.
    torch.ops.aten._upsample_bilinear2d_aa.out(seen, size, False, 1 / rows.step, 1 / columns.step, out=_planes(resized))
    shown = resized[above : above + rows.pixels, before : before + columns.pixels]
    # Torch begins at the origin, where PIL and `resample` also see the pixels before it.
    if top:
        count = math.ceil(rows.reach / rows.step - 0.5)
        shown[:count] = _by_pil(pixels, rows.begin(count), columns)
    if left:
        count = math.ceil(columns.reach / columns.step - 0.5)
        shown[:, :count] = _by_pil(pixels, rows, columns.begin(count))
    return shown


def _planes(pixels: NDArray[np.uint8]) -> Tensor:
    """The same memory in the layout of torch: [1, 3, H, W]."""
    return torch.from_numpy(pixels[None]).permute(0, 3, 1, 2)


def _by_pil(pixels: NDArray[np.uint8], rows: _Side, columns: _Side) -> NDArray[np.uint8]:
    """Any window. The filter sees the pixels around it, and black beyond an edge that it reaches over."""
    (y, end_y), (x, end_x) = rows.seen, columns.seen
    if min(y, x) >= 0 and end_y <= rows.length and end_x <= columns.length:
        image = Image.fromarray(pixels[y:end_y, x:end_x])
    else:
        image = Image.fromarray(pixels).crop((x, y, end_x, end_y))
    box = (columns.first - x, rows.first - y, columns.last - x, rows.last - y)
    return np.array(image.resize((columns.pixels, rows.pixels), Image.Resampling.BILINEAR, box=box))
