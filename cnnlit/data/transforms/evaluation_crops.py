"""Evaluation crops: steps that make several windows of each image, without randomness.

They may be listed together with the steps of transforms.geometry, and sizes mean the same: pixels of the paper, for a
network whose input has the size of the last step.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Protocol, runtime_checkable

import torch
from annotated_types import Ge, Len
from torch import Tensor

from cnnlit.data.transforms.augmentation import brought
from cnnlit.data.transforms.geometry import Geometry, Pixels, ShorterSide, Windows, corner_or_middle, mirror


@runtime_checkable
class ViewStep(Protocol):
    """A step that makes several windows of each window.

    Attributes:
        num_views: how many.
        crop_pixels: side of the square that the network was trained on, if this step may come last; or None.
    """

    @property
    def num_views(self) -> int: ...

    @property
    def crop_pixels(self) -> int | None: ...

    def views(self, windows: Windows, factor: float) -> Windows:
        """Apply it: the windows made of the first window, those of the second, and so on."""
        ...


class Scales:
    """Resize the shorter side to each of several lengths, the longer in proportion. See ShorterSide.

    Args:
        pixels: the lengths.
    """

    crop_pixels = None
    resizes = True

    def __init__(self, *, pixels: Annotated[Sequence[Pixels], Len(1)]) -> None:
        self.scales = [ShorterSide(pixels=each) for each in pixels]

    @property
    def num_views(self) -> int:
        return len(self.scales)

    def views(self, windows: Windows, factor: float) -> Windows:
        nothing = torch.empty(len(windows.size), 0)
        scaled = [scale(windows, nothing, factor) for scale in self.scales]
        return Windows(*(torch.stack(parts, dim=1).flatten(0, 1) for parts in zip(*scaled, strict=True)))


class ThreeSquares:
    """The largest squares at both ends and in the centre: left, centre and right, or top, centre and bottom.

    Paper: Szegedy et al. 2014, Sec. 7.
    """

    num_views = 3
    crop_pixels = None

    def views(self, windows: Windows, factor: float) -> Windows:
        windows, place = _repeated(windows, 3)
        side = windows.size.min(dim=1, keepdim=True).values
        top, left = ((windows.size - side) * place[:, None] / 2).round().unbind(1)
        return windows.crop(top, left, side.expand_as(windows.size))


class FiveCrops:
    """The four corners and the centre. With Mirrored, the ten crops of Krizhevsky et al. 2012, Sec. 4.1.

    Args:
        pixels: side of the squares.
        whole: add the whole image, resized to that square, as a sixth view (Szegedy et al. 2014, Sec. 7).
    """

    def __init__(self, *, pixels: Pixels, whole: bool = False) -> None:
        self.crop_pixels = pixels
        self.num_views = 6 if whole else 5

    def views(self, windows: Windows, factor: float) -> Windows:
        side = round(self.crop_pixels * factor)
        windows, place = _repeated(windows, self.num_views)
        squares = corner_or_middle(windows, place, side)
        box = torch.where(place[:, None] == 5, windows.box, squares.box)
        return squares._replace(box=box)


class Grid:
    """Squares on a regular grid, row by row.

    Paper: Simonyan, Zisserman 2014, Sec. 3.2 (five by five). Unspecified: the extent of the grid; here up to the edges.

    Args:
        pixels: side of the squares.
        count: number of squares in a row, and in a column.
    """

    def __init__(self, *, pixels: Pixels, count: Annotated[int, Ge(2)] = 5) -> None:
        self.crop_pixels = pixels
        self.count = count

    @property
    def num_views(self) -> int:
        return self.count**2

    def views(self, windows: Windows, factor: float) -> Windows:
        side = round(self.crop_pixels * factor)
        windows, place = _repeated(windows, self.num_views)
        steps = torch.stack([place // self.count, place % self.count], dim=1)  # [N, 2] rows and columns
        top, left = ((windows.size - side) * steps / (self.count - 1)).round().unbind(1)
        return windows.crop(top, left, windows.squares(side))


class Mirrored:
    """The window as it is, and mirrored."""

    num_views = 2
    crop_pixels = None

    def views(self, windows: Windows, factor: float) -> Windows:
        windows, place = _repeated(windows, 2)
        return mirror(windows, place == 1)


class Uncropped:
    """The whole image, of any shape, for a network that is applied densely.

    Paper: Simonyan, Zisserman 2014, Sec. 3.2 ("densely over the rescaled test image").

    Args:
        pixels: side of the squares that the network was trained on, to which the sizes of the other steps refer.
    """

    num_views = 1
    uncropped = True

    def __init__(self, *, pixels: Pixels) -> None:
        self.crop_pixels = pixels

    def views(self, windows: Windows, factor: float) -> Windows:
        return windows


class Shifted:
    """Shifts by whole pixels in both directions, filled with background. For digits only.

    Args:
        pixels: the largest shift; 1 gives nine views.
    """

    def __init__(self, *, pixels: Pixels) -> None:
        self.pixels = pixels

    @property
    def num_views(self) -> int:
        return (2 * self.pixels + 1) ** 2

    def of(self, images: Tensor) -> Tensor:
        """The views [N * num_views, C, H - 2 * pixels, W - 2 * pixels] of padded images [N, C, H, W]."""
        height, width = (side - 2 * self.pixels for side in images.shape[2:])
        views = images.unfold(2, height, 1).unfold(3, width, 1)  # [N, C, rows, columns, height, width]
        return views.movedim(1, 3).flatten(0, 2)

    def seen(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The same, and their numbers, int64 [N * num_views]."""
        shown = self.of(images)
        return shown, torch.arange(len(shown), device=shown.device)


class ViewPlan:
    """A list of steps: computes the windows of each image that a network is tested on.

    Args:
        steps: ViewSteps, and steps of transforms.geometry that are not random.
        image_size: side of the images that the network was trained on, in pixels.

    Attributes:
        num_views: windows of each image.
        picture_side: see Augmentation.

    Raises:
        ValueError: for anything that is not such a step, and for a list that ends with neither a crop nor Uncropped.
    """

    def __init__(self, steps: Sequence[Any], *, image_size: int) -> None:
        for step in steps:
            kind = type(step).__name__
            if not isinstance(step, Geometry | ViewStep):
                raise ValueError(
                    f"protocol.views: {kind} is no view of images; see transforms.evaluation_crops and .geometry"
                )
            if isinstance(step, Geometry) and step.num_draws:
                raise ValueError(f"protocol.views: {kind} is random; a test must not be")
        sizing = [step for step in steps if not isinstance(step, Mirrored)]
        if not sizing or sizing[-1].crop_pixels is None:
            last = f"ends with {type(sizing[-1]).__name__}" if sizing else "shows nothing"
            raise ValueError(f"protocol.views {last}; end with a crop, or with Uncropped for the whole image")
        self.steps = list(steps)
        self.factor = image_size / sizing[-1].crop_pixels
        self.image_size = image_size
        self.picture_side: int | None = None
        self.num_views = math.prod(step.num_views for step in steps if isinstance(step, ViewStep))

    def windows(self, sizes: Tensor) -> Windows:
        """The windows of images of heights and widths [N, 2]: N * num_views, image by image."""
        windows = brought(sizes, self.picture_side, self.steps[0])
        for step in self.steps:
            if isinstance(step, ViewStep):
                windows = step.views(windows, self.factor)
            else:
                windows = step(windows, torch.empty(len(windows.size), 0), self.factor)
        # Rounded as in Augmentation.
        return windows._replace(box=(windows.box * 2**16).round() / 2**16)

    @property
    def relative_pixels(self) -> float:
        """How many pixels all views of a square image have, relative to one input of the network."""
        size = self.windows(torch.tensor([[self.image_size, self.image_size]])).size
        return float(size.prod(dim=1).sum()) / self.image_size**2


def _repeated(windows: Windows, count: int) -> tuple[Windows, Tensor]:
    """Repeat each window `count` times; and the number of each copy, from 0."""
    place = torch.arange(count).repeat(len(windows.size))
    return Windows(*(part.repeat_interleave(count, dim=0) for part in windows)), place
