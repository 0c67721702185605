"""Scales, crops and reflections as arithmetic on rectangles: which part of an image is shown, and how large.

Each step turns windows into windows, for a whole batch at once and without touching a pixel; there is a single
resampling at the end. Sizes are in the pixels of the paper. If `image_size` differs from the last crop of the recipe,
all sizes are multiplied by the same factor: 256 and 224 become 73 and 64, and 32 padded by 4 becomes 64 padded by 8.
"""

import math
from collections.abc import Sequence
from typing import Annotated, NamedTuple, Protocol, Self, runtime_checkable

import torch
from annotated_types import Ge, Gt, Len
from torch import Tensor

Pixels = Annotated[int, Ge(1)]


class Windows(NamedTuple):
    """A rectangle in each of N images, and the size at which it is shown.

    Pixels beyond the edge of an image are black.
    """

    box: Tensor
    """float64 [N, 4]: left, top, right, bottom in pixels of the image; left > right is a mirrored view."""
    size: Tensor
    """float64 [N, 2]: height and width in pixels, whole numbers."""
    cut: Tensor
    """float64 [N, 4]: left, top, right, bottom of the part that was cut out of the image, beyond which no filter
    reaches; infinite if none was."""

    @classmethod
    def whole(cls, sizes: Tensor) -> Self:
        """Windows that show all of images of these heights and widths, [N, 2]."""
        size = sizes.double()
        zero = torch.zeros(len(size), dtype=torch.float64)
        uncut = torch.tensor([-math.inf, -math.inf, math.inf, math.inf], dtype=torch.float64).expand(len(size), 4)
        return cls(torch.stack([zero, zero, size[:, 1], size[:, 0]], dim=1), size, uncut)

    def crop(self, top: Tensor, left: Tensor, size: Tensor, shown: Tensor | None = None) -> Self:
        """The part at `top` and `left` [N] of `size` [N, 2], in pixels as shown; resized to `shown`, if given."""
        origin, extent = self.box[:, :2], self.box[:, 2:] - self.box[:, :2]
        first = torch.stack([left, top], dim=1)
        scale = extent / self.size.flip(1)
        box = torch.cat([origin + first * scale, origin + (first + size.flip(1)) * scale], dim=1)
        return type(self)(box, size if shown is None else shown, self.cut)

    def squares(self, side: int) -> Tensor:
        """The size of a square of this side for each window, [N, 2]."""
        return torch.full_like(self.size, side)


@runtime_checkable
class Geometry(Protocol):
    """A step that maps windows to windows.

    Attributes:
        num_draws: how many random numbers it uses for each presentation.
        crop_pixels: side of the square that it crops, or None.
    """

    num_draws: int

    @property
    def crop_pixels(self) -> int | None: ...

    def __call__(self, windows: Windows, uniform: Tensor, factor: float) -> Windows:
        """Apply it, with `uniform` float64 [N, num_draws] in 0 to 1, and all pixels multiplied by `factor`."""
        ...

    def for_evaluation(self) -> "list[Geometry]":
        """The steps without randomness that replace it when the network is tested."""
        ...


class ShorterSide:
    """Resize the shorter side to a length, the longer in proportion, rounded down.

    Paper: Krizhevsky et al. 2012, Sec. 2 (256); Simonyan, Zisserman 2014, Sec. 3.1 (256 to 512 at random, "scale
    jittering"); He et al. 2015, Sec. 3.4 (256 to 480 at random). All whole numbers of a range are equally likely.
    In evaluation: the middle of the range, as in Simonyan, Zisserman 2014, Sec. 4.1.

    Args:
        pixels: the length, or its range [low, high].

    Raises:
        ValueError: for a range whose low end is above its high end.
    """

    crop_pixels = None
    resizes = True

    def __init__(self, *, pixels: Pixels | Annotated[list[Pixels], Len(2, 2)]) -> None:
        self.low, self.high = (pixels, pixels) if isinstance(pixels, int) else pixels
        if self.low > self.high:
            raise ValueError(f"ShorterSide: pixels=[{self.low}, {self.high}] is no range [low, high]")
        self.num_draws = 0 if self.low == self.high else 1

    def __call__(self, windows: Windows, uniform: Tensor, factor: float) -> Windows:
        low, high = round(self.low * factor), round(self.high * factor)
        drawn = uniform.sum(dim=1, keepdim=True)  # [N, 1]; without a range nothing is drawn, and this is 0
        side = low + (drawn * (high - low + 1)).floor()
        shorter = windows.size.min(dim=1, keepdim=True).values
        # Multiplied before dividing, so that the shorter side comes out exactly.
        return windows._replace(size=(windows.size * side / shorter).floor().clamp(min=1))

    def for_evaluation(self) -> list[Geometry]:
        return [ShorterSide(pixels=(self.low + self.high) // 2)]


class CenterCrop:
    """Crop the central square.

    Paper: Krizhevsky et al. 2012, Sec. 2.

    Args:
        pixels: side of the square.
    """

    num_draws = 0

    def __init__(self, *, pixels: Pixels) -> None:
        self.crop_pixels = pixels

    def __call__(self, windows: Windows, uniform: Tensor, factor: float) -> Windows:
        side = round(self.crop_pixels * factor)
        top, left = ((windows.size - side) / 2).round().unbind(1)
        return windows.crop(top, left, windows.squares(side))

    def for_evaluation(self) -> list[Geometry]:
        return [self]


class Frame:
    """Put an image in the middle of a square of `pixels`, black around it; resize a larger one, and crop its centre."""

    num_draws = 0

    def __init__(self, *, pixels: Pixels) -> None:
        self.crop_pixels = pixels

    def __call__(self, windows: Windows, uniform: Tensor, factor: float) -> Windows:
        larger = bool((windows.size > round(self.crop_pixels * factor)).any())
        windows = ShorterSide(pixels=self.crop_pixels)(windows, uniform, factor) if larger else windows
        return CenterCrop(pixels=self.crop_pixels)(windows, uniform, factor)

    def for_evaluation(self) -> list[Geometry]:
        return [self]


class RandomCrop:
    """Crop a square anywhere, all positions equally likely.

    Paper: Krizhevsky et al. 2012, Sec. 4.1 (224 of 256); with padding, He et al. 2015, Sec. 4.2 (32, padded by 4).
    Unspecified: the colour of the padding; black here.
    In evaluation: the central square.

    Args:
        pixels: side of the square.
        padding: how far it may reach beyond each edge, in pixels.
    """

    num_draws = 2

    def __init__(self, *, pixels: Pixels, padding: Annotated[int, Ge(0)] = 0) -> None:
        self.crop_pixels = pixels
        self.padding = padding

    def __call__(self, windows: Windows, uniform: Tensor, factor: float) -> Windows:
        side, padding = round(self.crop_pixels * factor), round(self.padding * factor)
        room = windows.size + 2 * padding - side
        # An image that is too small is centred.
        offset = torch.where(room < 0, (room / 2).round(), (uniform * (room + 1)).floor()) - padding
        top, left = offset.unbind(1)
        return windows.crop(top, left, windows.squares(side))

    def for_evaluation(self) -> list[Geometry]:
        return [CenterCrop(pixels=self.crop_pixels)]


class TenPositions:
    """Crop one of ten views: the four corners and the centre, each as it is and mirrored.

    Paper: Zeiler, Fergus 2013, Sec. 3 ("10 different sub-crops of size 224x224 (corners + center with(out) horizontal
    flips)"). Unspecified: how the ten are used; here one at random in each presentation.
    In evaluation: the central square.

    Args:
        pixels: side of the square.
    """

    num_draws = 1

    def __init__(self, *, pixels: Pixels) -> None:
        self.crop_pixels = pixels

    def __call__(self, windows: Windows, uniform: Tensor, factor: float) -> Windows:
        view = (uniform[:, 0] * 10).floor()
        return mirror(corner_or_middle(windows, view % 5, round(self.crop_pixels * factor)), view >= 5)

    def for_evaluation(self) -> list[Geometry]:
        return [CenterCrop(pixels=self.crop_pixels)]


class RandomResizedCrop:
    """Crop a rectangle of random area and aspect ratio, anywhere, and resize it to a square.

    Paper: Szegedy et al. 2014, Sec. 6 ("size … evenly distributed between 8% and 100% of the image area … aspect
    ratio … between 3/4 and 4/3"). Unspecified: the distribution of the aspect ratio; here its logarithm is uniform, and
    a rectangle that does not fit is drawn again, up to ten times, before the centre is taken, as in torchvision.
    In evaluation: a shorter side of 256 for a square of 224, and the central square.

    Args:
        pixels: side of the square.
        area: range of the area of the rectangle, as a fraction of the image.
        aspect_ratio: range of width over height.

    Raises:
        ValueError: for a range whose low end is above its high end.
    """

    ATTEMPTS = 10
    num_draws = 2 * ATTEMPTS + 2

    def __init__(
        self,
        *,
        pixels: Pixels,
        area: Annotated[Sequence[Annotated[float, Gt(0)]], Len(2, 2)] = (0.08, 1.0),
        aspect_ratio: Annotated[Sequence[Annotated[float, Gt(0)]], Len(2, 2)] = (0.75, 4 / 3),
    ) -> None:
        for name, (low, high) in {"area": area, "aspect_ratio": aspect_ratio}.items():
            if low > high or (name == "area" and high > 1):
                raise ValueError(f"RandomResizedCrop: {name}=[{low}, {high}] is no range [low, high]")
        self.crop_pixels = pixels
        self.area = torch.tensor(area, dtype=torch.float64)
        self.log_ratio = torch.tensor(aspect_ratio, dtype=torch.float64).log()

    def __call__(self, windows: Windows, uniform: Tensor, factor: float) -> Windows:
        height, width = windows.size[:, :, None].unbind(1)  # [N, 1] each
        area = torch.lerp(self.area[0], self.area[1], uniform[:, : self.ATTEMPTS]) * height * width  # [N, attempts]
        ratio = torch.lerp(self.log_ratio[0], self.log_ratio[1], uniform[:, self.ATTEMPTS : -2]).exp()
        sizes = torch.stack([(area / ratio).sqrt().round(), (area * ratio).sqrt().round()], dim=2).clamp(min=1)
        fits = (sizes <= windows.size[:, None]).all(dim=2)
        first = fits.byte().argmax(dim=1)  # the first attempt that fits
        size = sizes[torch.arange(len(sizes)), first]
        found = fits.any(dim=1, keepdim=True)
        size = torch.where(found, size, self._largest(height, width))
        room = windows.size - size
        top, left = torch.where(found, (uniform[:, -2:] * (room + 1)).floor(), (room / 2).floor()).unbind(1)
        windows = windows.crop(top, left, size, shown=windows.squares(round(self.crop_pixels * factor)))
        # Cut out, then resized, as in torchvision; unless its edges run through pixels, where it is an ordinary window.
        whole = (windows.box == windows.box.floor()).all(dim=1, keepdim=True)
        left, top, right, bottom = windows.box.unbind(1)
        cut = torch.stack([torch.minimum(left, right), top, torch.maximum(left, right), bottom], dim=1)
        return windows._replace(cut=torch.where(whole, cut, windows.cut))

    def _largest(self, height: Tensor, width: Tensor) -> Tensor:
        """The largest rectangle [N, 2] in each image within the range of aspect ratios."""
        narrow, wide = self.log_ratio.exp()
        return torch.cat(
            [torch.minimum(height, (width / narrow).round()), torch.minimum(width, (height * wide).round())], 1
        )

    def for_evaluation(self) -> list[Geometry]:
        return [ShorterSide(pixels=round(self.crop_pixels * 256 / 224)), CenterCrop(pixels=self.crop_pixels)]


class Flip:
    """Mirror half of the presentations, left for right.

    Paper: Krizhevsky et al. 2012, Sec. 4.1 ("horizontal reflections").
    In evaluation: none.
    """

    num_draws = 1
    crop_pixels = None

    def __call__(self, windows: Windows, uniform: Tensor, factor: float) -> Windows:
        return mirror(windows, uniform[:, 0] < 0.5)

    def for_evaluation(self) -> list[Geometry]:
        return []


def mirror(windows: Windows, mirrored: Tensor) -> Windows:
    """Swap left and right where `mirrored`, bool [N]."""
    return windows._replace(box=torch.where(mirrored[:, None], windows.box[:, [2, 1, 0, 3]], windows.box))


def corner_or_middle(windows: Windows, place: Tensor, side: int) -> Windows:
    """Crop a square: `place` [N] is 0 top left, 1 top right, 2 bottom left, 3 bottom right, 4 the centre."""
    bottom, right = (windows.size - side).unbind(1)
    middle = ((windows.size - side) / 2).round()
    top = torch.where(place == 4, middle[:, 0], bottom * (place >= 2))
    left = torch.where(place == 4, middle[:, 1], right * (place % 2))
    return windows.crop(top, left, windows.squares(side))
