"""Distortions of digits, on whole batches: affine as in LeCun et al. 1998, elastic as in Simard et al. 2003.

A distortion, the padding and the change of scale are a single bilinear resampling. Its random numbers depend only on
(seed, epoch, presentation): the pixels are the same on any device, in any batch, with any number of workers.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from cnnlit.data.transforms.colours import BACKGROUND, INK
from cnnlit.data.transforms.random_numbers import generator
from cnnlit.data.transforms.to_device import Kept

BOTTOM = 10.5
"""Pixels from the centre of the image down to the foot of the digit, the row that scaling leaves in place.

The paper gives neither ranges nor anchors; these, and the default ranges, are recovered from its Fig. 7, whose 100
images are affine warps of ten training digits.
"""


def pad(images: Tensor, image_size: int) -> Tensor:
    """Pad with background and convert to the paper's scale.

    Args:
        images: uint8 [N, H, H], 0 is background.
        image_size: side of the result, in pixels, at least H.

    Returns:
        float32 [N, 1, image_size, image_size] in -0.1 to 1.175.
    """
    side = images.shape[-1]
    edge = (image_size - side) // 2
    padded = torch.full((len(images), 1, image_size, image_size), BACKGROUND, device=images.device)
    inside = padded[:, 0, edge : edge + side, edge : edge + side]
    torch.add(inside, images, alpha=(INK - BACKGROUND) / 255, out=inside)
    return padded


def warp(images: Tensor, affine: Tensor, image_size: int, displacement: Tensor | None = None) -> Tensor:
    """Resample by affine maps without rotation, pad, and convert to the paper's scale; background outside.

    With coordinates from the centre of the image, X to the right and Y downwards, the result at (X, Y) is the
    original, interpolated bilinearly, at

        x = a X + b Y + tx,    y = BOTTOM + d (Y - BOTTOM) + ty,

    plus the displacement at (X, Y).

    Args:
        images: uint8 [N, C, H, H], or [N, H, H] for one channel; 0 is background.
        affine: float32 [N, 5], each row (a, b, d, tx, ty), translations in pixels.
        image_size: side of the result, in pixels.
        displacement: float32 [N, image_size, image_size, 2], of x and y in pixels; None for none.

    Returns:
        float32 [N, C, image_size, image_size] in -0.1 to 1.175.
    """
    side = images.shape[-1]
    offsets = torch.arange(image_size, device=images.device) - (image_size - 1) / 2
    # grid_sample counts from -1 to 1 between the centres of the outermost pixels, x and y side by side:
    # as complex numbers x + iy, the whole grid is a single sum.
    a, b, d, tx, ty = (affine * (2 / (side - 1))).unbind(1)
    columns = torch.complex(a[:, None] * offsets, torch.zeros((), device=images.device))
    rows = torch.complex(
        torch.addcmul(tx[:, None], b[:, None], offsets),
        torch.addcmul(ty[:, None] + BOTTOM * (2 / (side - 1)), d[:, None], offsets - BOTTOM),
    )
    grid = torch.view_as_real(columns[:, None, :] + rows[:, :, None])
    if displacement is not None:
        grid.add_(displacement, alpha=2 / (side - 1))
    ink = (images if images.ndim == 4 else images[:, None]).float().mul_((INK - BACKGROUND) / 255)
    return functional.grid_sample(ink, grid, align_corners=True).add_(BACKGROUND)


class ElasticField:
    """Smooth random displacements: independent noise at each pixel, blurred by a Gaussian and scaled.

    Paper: Simard, Steinkraus, Platt 2003, *Best practices for convolutional neural networks applied to visual document
    analysis*, Sec. 2: noise uniform in -1 to 1, a standard deviation of 4 pixels and a strength of 34, which move a
    pixel by 1.4 pixels (root mean square) in either direction.

    The blurred noise is normal, being a sum of many numbers, and its covariance is separable into rows and columns. So
    instead of blurring, fields are drawn from a few coefficients by a square root of the covariance,
    `covariance = factor @ factor.T`; what this neglects is less than a thousandth of a pixel.

    Args:
        strength: alpha, in pixels.
        smoothness_pixels: sigma, the standard deviation of the Gaussian.
        image_size: side of the field, in pixels.
    """

    def __init__(self, strength: float, smoothness_pixels: float, image_size: int) -> None:
        distance = torch.arange(image_size, dtype=torch.float64)
        # The covariance of blurred noise: a Gaussian convolved with itself, wider by the square root of two.
        shared = torch.exp(-((distance[:, None] - distance) ** 2) / (4 * smoothness_pixels**2))
        shared /= 2 * smoothness_pixels * math.pi**0.5
        values, vectors = torch.linalg.eigh(shared * strength / 3**0.5)  # uniform noise has a variance of 1/3
        kept = values > values[-1] * 1e-7
        self.factor = Kept((vectors * values.clamp(min=0).sqrt())[:, kept].float())

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        """The coefficients of `count` fields, standard normal float32 [count, 2, rank, rank]."""
        rank = self.factor.value.shape[1]
        return torch.randn(count, 2, rank, rank, generator=random)

    def displacement(self, coefficients: Tensor) -> Tensor:
        """Fields float32 [N, image_size, image_size, 2] in pixels, of coefficients [N, 2, rank, rank]."""
        factor = self.factor.on(coefficients.device)
        fields: Tensor = factor @ coefficients @ factor.T
        return fields.movedim(1, -1)


class AffineDistortion:
    """Random translation, scaling, squeezing and horizontal shear, plus an elastic field.

    Scaling g, squeezing q, shear s and translations tx, ty are uniform in their ranges and make up the map of `warp`:
    a = g q, b = s d, d = g / q. Scaling by g makes the digit 1/g times as large.

    Paper: LeCun et al. 1998, Sec. III-A; the ranges and how they combine are recovered from Fig. 7.

    Args:
        scaling: range of g.
        squeezing: range of q.
        shear: range of s.
        translation_pixels: range of tx and of ty.
        num_images: number of images in the set.
        versions: number of distortions of each image.
        fixed: draw them once, the first version being the original, instead of anew in each epoch.
        seeds: of the random numbers; with several, presentation p of seed number s is s * num_images * versions + p.
        elastic: the field that is added to each map; or None.

    Raises:
        ValueError: for a range whose low end is above its high end, or whose scales are not positive.
    """

    def __init__(
        self,
        *,
        scaling: Sequence[float],
        squeezing: Sequence[float],
        shear: Sequence[float],
        translation_pixels: Sequence[float],
        num_images: int,
        versions: int,
        fixed: bool,
        seeds: Sequence[int],
        elastic: ElasticField | None = None,
    ) -> None:
        ranges = {"scaling": scaling, "squeezing": squeezing, "shear": shear, "translation_pixels": translation_pixels}
        for name, (low, high) in ranges.items():
            if low > high or (low <= 0 and name in ("scaling", "squeezing")):
                positive = " of positive numbers" if name in ("scaling", "squeezing") else ""
                raise ValueError(f"distortion_{name}=[{low}, {high}] is no range [low, high]{positive}")
        self.ranges = torch.tensor([scaling, squeezing, shear, translation_pixels, translation_pixels])
        self.num_images = num_images
        self.versions = versions
        self.fixed = fixed
        self.seeds = seeds
        self.elastic = elastic
        self._drawn: tuple[int, Tensor, Tensor | None] | None = None

    def affine(self, epoch: int) -> Tensor:
        """The maps of all presentations of an epoch, seed after seed, float32 [presentations, 5], for `warp`."""
        return torch.cat([self._affine(seed, epoch) for seed in self.seeds])

    def _affine(self, seed: int, epoch: int) -> Tensor:
        low, high = self.ranges.unbind(1)
        # The last key keeps these numbers apart from those of the order, which share the seed.
        random = generator(seed, 0 if self.fixed else epoch, 1)
        uniform = torch.rand(self.num_images * self.versions, 5, generator=random)
        g, q, s, tx, ty = torch.lerp(low, high, uniform).unbind(1)
        affine = torch.stack([g * q, s * g / q, g / q, tx, ty], dim=1)
        if self.fixed:
            affine[: self.num_images] = torch.tensor([1.0, 0.0, 1.0, 0.0, 0.0])
        return affine

    def coefficients(self, epoch: int) -> Tensor | None:
        """The coefficients of the elastic fields of an epoch, seed after seed; None without an elastic field."""
        if self.elastic is None:
            return None
        return torch.cat([self._coefficients(self.elastic, seed, epoch) for seed in self.seeds])

    def _coefficients(self, elastic: ElasticField, seed: int, epoch: int) -> Tensor:
        random = generator(seed, 0 if self.fixed else epoch, 3)
        coefficients = elastic.draw(self.num_images * self.versions, random)
        if self.fixed:
            coefficients[: self.num_images] = 0
        return coefficients

    def __call__(self, images: Tensor, epoch: int, presentations: Tensor, image_size: int) -> Tensor:
        """The images [N, C, H, H] of the presentations int64 [N], distorted; see `warp` for the result."""
        draw = 0 if self.fixed else epoch
        if self._drawn is None or self._drawn[0] != draw:
            coefficients = self.coefficients(epoch)
            drawn = None if coefficients is None else coefficients.to(images.device)
            self._drawn = draw, self.affine(epoch).to(images.device), drawn
        _, affine, drawn = self._drawn
        displacement = None
        if self.elastic and drawn is not None:
            displacement = self.elastic.displacement(drawn.index_select(0, presentations))
        return warp(images, affine.index_select(0, presentations), image_size, displacement)

    def told(self, epoch: int, presentations: Tensor) -> list[str]:
        """What was drawn for presentations int64 [N], in the words and units of the options."""
        a, b, d, tx, ty = self.affine(0 if self.fixed else epoch)[presentations].unbind(1)
        numbers = torch.stack([(a * d).sqrt(), (a / d).sqrt(), b / d, tx, ty], dim=1).tolist()
        words = ["scaling {:.2f}, squeezing {:.2f}, shear {:+.2f}, translation {:+.1f}, {:+.1f}".format(*each)
                 for each in numbers]  # fmt: skip
        coefficients = self.coefficients(0 if self.fixed else epoch)
        if self.elastic is None or coefficients is None:
            return words
        moved = self.elastic.displacement(coefficients[presentations]).square().mean(dim=(1, 2, 3)).sqrt().tolist()
        return [f"{each}, elastic {pixels:.1f}" for each, pixels in zip(words, moved, strict=True)]
