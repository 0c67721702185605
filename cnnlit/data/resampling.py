"""Pixels of windows: many resident pictures at once, or one picture that was just decoded."""

import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cnnlit.data.geometry import Windows


def resample(pictures: Tensor, windows: Windows) -> Tensor:
    """What windows show of pictures, resampled by a triangle that widens where they shrink, as PIL's bilinear filter.

    Args:
        pictures: uint8 [N, 3, H, W], on any device.
        windows: of the pictures, on the CPU, all of one size.

    Returns:
        [N, 3, h, w], 0 to 255: uint8 where each pixel of the result is one of the picture, else float32.
    """
    height, width = (int(side) for side in windows.size[0])
    if height == pictures.shape[2] and width == pictures.shape[3] and _all_whole(windows.box, height, width):
        return pictures
    extent = (windows.box[:, 2:] - windows.box[:, :2]).abs()
    if bool((extent == windows.size.flip(1)).all()) and bool((windows.box == windows.box.floor()).all()):
        return _gather(pictures, windows.box, height, width)
    box = windows.box[:1] if bool((windows.box == windows.box[0]).all()) else windows.box
    left, top, right, bottom = box.to(torch.float32).to(pictures.device).unbind(1)
    rows = _triangles(top, bottom, pictures.shape[2], height, _beyond(box[:, 1::2], pictures.shape[2], height))
    columns = _triangles(left, right, pictures.shape[3], width, _beyond(box[:, ::2], pictures.shape[3], width))
    wide = torch.matmul(pictures.float().flatten(1, 2), columns.mT)  # [N, 3 * H, w]
    # Channel by channel: with all at once, torch copies the weights for each.
    return torch.stack([torch.matmul(rows, channel) for channel in wide.chunk(3, dim=1)], dim=1)  # [N, 3, h, w]


def _all_whole(box: Tensor, height: int, width: int) -> bool:
    return bool((box == torch.tensor([0, 0, width, height], dtype=box.dtype)).all())


def _gather(pictures: Tensor, box: Tensor, height: int, width: int) -> Tensor:
    """Each pixel is one of the picture, or black beyond it."""
    left, top, right, _ = box.long().to(pictures.device)[:, :, None].unbind(1)
    y = top + torch.arange(height, device=pictures.device)  # [N, h]
    x = torch.arange(width, device=pictures.device)
    x = torch.where(left < right, left + x, left - 1 - x)  # [N, w]
    inside = ((y >= 0) & (y < pictures.shape[2]))[:, :, None] & ((x >= 0) & (x < pictures.shape[3]))[:, None, :]
    y, x = y.clamp(0, pictures.shape[2] - 1), x.clamp(0, pictures.shape[3] - 1)
    place = (y[:, :, None] * pictures.shape[3] + x[:, None, :]).flatten(1)[:, None]  # [N, 1, h * w]
    pixels = pictures.flatten(2).gather(2, place.expand(-1, 3, -1)).view(-1, 3, height, width)
    return pixels.mul_(inside[:, None])


def _beyond(ends: Tensor, length: int, count: int) -> int:
    """How many pixels at most are seen beyond a side of this length, in windows [N, 2] that reach over its ends."""
    over = max(-float(ends.min()), float(ends.max()) - length)
    triangle = max(1.0, float((ends[:, 1] - ends[:, 0]).abs().max()) / count)
    return math.ceil(over + triangle) if over > 0 else 0


def _triangles(first: Tensor, last: Tensor, length: int, count: int, beyond: int) -> Tensor:
    """The weight of each of `length` pixels in each of `count` pixels between `first` and `last`.

    Args:
        first: float32 [N], of the windows, in pixels.
        last: likewise.
        length: of the picture's side.
        count: of the result.
        beyond: how far the windows that reach over the side's ends see beyond them, where all is black.

    Returns:
        float32 [N, count, length].
    """
    step = (last - first) / count
    sharpness = 1 / step.abs().clamp(min=1)  # of a triangle that is as wide as the pixels of the result, at least 1
    pixels = torch.arange(-beyond, length + beyond, device=first.device) + 0.5
    middles = first[:, None] + (torch.arange(count, device=first.device) + 0.5) * step[:, None]
    weights = (middles * sharpness[:, None])[:, :, None] - (pixels * sharpness[:, None])[:, None, :]
    weights = weights.abs_().neg_().add_(1).clamp_(min=0)
    if beyond:
        # A window that stays inside sees no black, whatever the others in the batch do.
        over_low = torch.minimum(first, last)[:, None] < 0
        over_high = torch.maximum(first, last)[:, None] > length
        weights *= ((over_low | (pixels > 0)) & (over_high | (pixels < length)))[:, None]
    weights /= weights.sum(dim=2, keepdim=True)
    return weights[:, :, beyond : beyond + length]


def show(picture: Image.Image, box: Tensor, size: Tensor) -> "np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]":
    """What one window shows of one picture, the same pixels as `resample` but for their rounding.

    Args:
        picture: RGB.
        box: float64 [4], and
        size: float64 [2] of its window. See Windows.

    Returns:
        uint8 [h, w, 3].
    """
    left, top, right, bottom = box.tolist()
    near, far = min(left, right), max(left, right)
    height, width = (int(side) for side in size.tolist())
    # The filter sees what surrounds a window: beyond an edge that it reaches over, black.
    wide, high = max(1, (far - near) / width), max(1, (bottom - top) / height)
    x, y = (math.floor(first - more) if first < 0 else 0 for first, more in ((near, wide), (top, high)))
    end_x = math.ceil(far + wide) if far > picture.width else picture.width
    end_y = math.ceil(bottom + high) if bottom > picture.height else picture.height
    if (x, y, end_x, end_y) != (0, 0, picture.width, picture.height):
        picture = picture.crop((x, y, end_x, end_y))
    seen = picture.resize((width, height), Image.Resampling.BILINEAR, box=(near - x, top - y, far - x, bottom - y))
    pixels = np.asarray(seen)
    return pixels[:, ::-1] if left > right else pixels
