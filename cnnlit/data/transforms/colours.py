"""Colour augmentation and the scale of the input, on whole batches, on the device that trains."""

from collections.abc import Sequence
from typing import Annotated, Literal, Protocol, runtime_checkable

import torch
from annotated_types import Ge, Len
from torch import Tensor

from cnnlit.data.transforms.to_device import Kept

Range = Annotated[Sequence[Annotated[float, Ge(0)]], Len(2, 2)]
Normalization = Literal["mean_std", "mean_rgb", "mean_image", "lecun1998"]

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's colours, 0 to 1, as torchvision's published weights expect."""

BACKGROUND = -0.1
INK = 1.175
"""Paper: LeCun et al. 1998, Sec. II-B. Inputs run from -0.1 (background, 0) to 1.175 (ink, 255)."""

EIGENVALUES = (0.2175, 0.0188, 0.0045)
EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
"""Of the covariance of ImageNet's colours, 0 to 1: rows R, G, B, a column for each eigenvalue.

The paper does not give its own; these are in common use.
"""

LUMA = (0.2989, 0.587, 0.114)
"""Weights of R, G, B in grey. Source: ITU-R BT.601, with torchvision's digits."""


@runtime_checkable
class ColourStep(Protocol):
    """A step on pixels, in training only.

    Attributes:
        num_draws: how many random numbers it uses for each presentation.
    """

    num_draws: int

    def colour(self, images: Tensor, uniform: Tensor) -> Tensor:
        """Apply it to images float32 [N, C, H, W], 0 to 255, in place; `uniform` is float32 [N, num_draws], 0 to 1."""
        ...


class PCAColour:
    """Add random multiples of the principal components of the training images' colours to all pixels of an image.

    Adds p1 a1 l1 + p2 a2 l2 + p3 a3 l3 to (R, G, B), where p and l are eigenvectors and eigenvalues, and a is drawn
    once per presentation. The result may leave 0 to 255.

    Paper: Krizhevsky et al. 2012, Sec. 4.1. Unspecified: the unit of the colours; here 0 to 1, as with bytes the
    eigenvalue would shift an image by hundreds of them. (The authors' code uses the square roots of the eigenvalues.)

    Args:
        sigma: standard deviation of a1, a2, a3, which are normal with mean 0.
        statistics: those of the training images, as in the paper; or those in common use for ImageNet.

    Attributes:
        components: float32 [3, 3], 0 to 255, rows R, G, B, a column for each p l; must be set before the
            first use if they are to be those of the training images, which of grey images are [1, 1].
    """

    num_draws = 3

    def __init__(
        self, *, sigma: Annotated[float, Ge(0)] = 0.1, statistics: Literal["training", "imagenet"] = "imagenet"
    ) -> None:
        self.sigma = sigma
        self.statistics = statistics
        published = torch.tensor(EIGENVECTORS) * torch.tensor(EIGENVALUES) * 255
        self._components = Kept(published) if statistics == "imagenet" else None
        self._luma = Kept(torch.tensor([LUMA]))

    @property
    def components(self) -> Tensor | None:
        return self._components.value if self._components else None

    @components.setter
    def components(self, components: Tensor | None) -> None:
        self._components = None if components is None else Kept(components)

    def colour(self, images: Tensor, uniform: Tensor) -> Tensor:
        return images.add_(self._shift(uniform, images.shape[1])[:, :, None, None])

    def told(self, uniform: Tensor, channels: int) -> list[str]:
        """See told_by."""
        shifts = self._shift(uniform, channels).tolist()
        return ["colour " + ", ".join(f"{round(value):+d}" for value in shift) for shift in shifts]

    def _shift(self, uniform: Tensor, channels: int) -> Tensor:
        """What is added to each channel, [N, channels]."""
        assert self._components is not None
        # Uniform numbers come in steps of 2^-24 from 0, and ndtri(0) is infinite.
        normal = torch.special.ndtri(uniform.clamp(min=2**-25, max=1 - 2**-24))
        components = self._components.on(uniform.device)
        if len(components) > channels:  # grey images: the shift of their luminance
            components = self._luma.on(uniform.device) @ components
        shift: Tensor = self.sigma * normal[:, : components.shape[1]] @ components.T
        return shift


def principal_components(covariance: Tensor) -> Tensor:
    """Eigenvectors times eigenvalues, the largest first, for PCAColour.

    The sign of an eigenvector is arbitrary; here its entry of the largest magnitude is positive.

    Args:
        covariance: float64 [3, 3], of colours from 0 to 1.

    Returns:
        float32 [3, 3], 0 to 255, rows R, G, B, a column for each.
    """
    values, vectors = torch.linalg.eigh(covariance)  # in ascending order
    largest = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True))  # [1, 3]
    components: Tensor = vectors * largest.sign() * values * 255
    return components.flip(1).float()


class ColourJitter:
    """Change brightness, contrast and saturation by random factors, in random order.

    With a factor f an image becomes f times itself plus 1 - f times black, its mean grey, or itself in grey, clipped at
    0 and 255.

    Paper: Szegedy et al. 2014, Sec. 6, names "the photometric distortions by Andrew Howard"; these are: brightness,
    contrast and colour by 0.5 to 1.5 in random order (A. Howard, *Some improvements on deep convolutional neural
    network based image classification*, 2013, Sec. 2.2).

    Args:
        brightness: range of the factor.
        contrast: range of the factor.
        saturation: range of the factor.

    Raises:
        ValueError: for a range whose low end is above its high end.
    """

    num_draws = 4
    ORDERS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))

    def __init__(
        self, *, brightness: Range = (0.5, 1.5), contrast: Range = (0.5, 1.5), saturation: Range = (0.5, 1.5)
    ) -> None:
        for name, (low, high) in {"brightness": brightness, "contrast": contrast, "saturation": saturation}.items():
            if low > high:
                raise ValueError(f"ColourJitter: {name}=[{low}, {high}] is no range [low, high]")
        self._ranges = Kept(torch.tensor([brightness, contrast, saturation]))
        self._orders = Kept(torch.tensor(self.ORDERS))

    def colour(self, images: Tensor, uniform: Tensor) -> Tensor:
        factors, orders = self._factors(uniform), self._orders.on(images.device)
        order = orders[(uniform[:, 3] * len(self.ORDERS)).long().clamp(max=len(self.ORDERS) - 1)]  # [N, 3]
        for change in order.unbind(1):
            factor = factors.gather(1, change[:, None])[:, :, None, None]
            grey = _grey(images)  # [N, 1, H, W]
            towards = torch.where(change[:, None, None, None] == 1, grey.mean(dim=(2, 3), keepdim=True), grey)
            towards = towards * (change != 0)[:, None, None, None]
            images = torch.lerp(towards, images, factor).clamp_(0, 255)
        return images

    def told(self, uniform: Tensor, channels: int) -> list[str]:
        """See told_by."""
        factors = self._factors(uniform).tolist()
        names = ("brightness", "contrast", "saturation")
        return [", ".join(f"{name} {number:.2f}" for name, number in zip(names, each, strict=True)) for each in factors]

    def _factors(self, uniform: Tensor) -> Tensor:
        """Of brightness, contrast and saturation, [N, 3]."""
        ranges = self._ranges.on(uniform.device)
        return torch.lerp(ranges[:, 0], ranges[:, 1], uniform[:, :3])


def told_by(step: ColourStep, uniform: Tensor, channels: int) -> list[str]:
    """What a step draws for each image, in words and numbers; its name, if it has no method `told` to say so.

    Args:
        step: of an augmentation.
        uniform: float32 [N, step.num_draws], as for its `colour`.
        channels: of the images.
    """
    told = getattr(step, "told", None)
    words: list[str] = told(uniform, channels) if told else [type(step).__name__] * len(uniform)
    return words


def as_channels(pixels: Tensor, channels: int) -> Tensor:
    """Grey images as three equal colours, or colours as their luminance, as PIL rounds it; uint8 [N, channels, H, W].

    Args:
        pixels: uint8 [N, C, H, W].
        channels: 1 or 3.
    """
    if pixels.shape[1] == channels:
        return pixels
    if channels == 3:
        return pixels.repeat(1, 3, 1, 1)
    red, green, blue = (pixels[:, place : place + 1].int() for place in range(3))
    return ((19595 * red + 38470 * green + 7471 * blue + 2**15) >> 16).to(torch.uint8)


def _grey(images: Tensor) -> Tensor:
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue)[:, None]


class Normalize:
    """Convert images to the scale of the network's input.

    `mean_std`: minus ImageNet's mean colour, over its standard deviation, as torchvision's weights expect.
    `mean_rgb`: minus the mean colour of the training images. Paper: Simonyan, Zisserman 2014, Sec. 2.1.
    `mean_image`: minus the mean of the training images, pixel by pixel. Paper: Krizhevsky et al. 2012, Sec. 2; He et
    al. 2015, Sec. 3.4. Unspecified: what is subtracted from images of another size, in a dense test; here the mean
    colour.
    These two give -255 to 255, as in the papers, whose initial weights are scaled for that.
    `lecun1998`: from -0.1 (black) to 1.175 (white). Paper: LeCun et al. 1998, Sec. II-B.

    Args:
        by: one of the above.

    Attributes:
        mean_image: float32 [C, H, W], 0 to 255, of the training images; must be set before the first use, if needed.
    """

    def __init__(self, by: Normalization) -> None:
        self.by = by
        self._mean_image: Tensor | None = None
        self._mean = Kept(255 * torch.tensor(MEAN)[:, None, None]) if by == "mean_std" else None
        self._std = Kept(255 * torch.tensor(STD)[:, None, None]) if by == "mean_std" else None

    @property
    def mean_image(self) -> Tensor | None:
        return self._mean_image

    @mean_image.setter
    def mean_image(self, mean_image: Tensor | None) -> None:
        self._mean_image = mean_image
        mean = mean_image
        if mean is not None and self.by == "mean_rgb":
            mean = mean.mean(dim=(1, 2), keepdim=True)
        if self.needs_mean_image:
            self._mean = None if mean is None else Kept(mean)

    @property
    def needs_mean_image(self) -> bool:
        return self.by in ("mean_rgb", "mean_image")

    def __call__(self, images: Tensor) -> Tensor:
        """Convert images [N, C, H, W], 0 to 255; the result is float32, contiguous."""
        if self.by == "lecun1998":
            background = torch.full(images.shape, BACKGROUND, device=images.device)
            return torch.add(background, images, alpha=(INK - BACKGROUND) / 255, out=background)
        mean, std = self._mean_and_std(images)
        if images.dtype == torch.float32:
            centred = torch.sub(images.contiguous(), mean)
            return centred if std is None else centred.div_(std)
        # Decoded images are channels-last: made contiguous and converted in one pass.
        centred = images.to(torch.float32, memory_format=torch.contiguous_format).sub_(mean)
        return centred if std is None else centred.div_(std)

    def undone(self, images: Tensor) -> Tensor:
        """The pixels of images on the scale of the network's input, uint8 [N, C, H, W], cut off at 0 and 255."""
        if self.by == "lecun1998":
            pixels = (images - BACKGROUND) * (255 / (INK - BACKGROUND))
        else:
            mean, std = self._mean_and_std(images)
            pixels = (images if std is None else images * std) + mean
        return pixels.round().clamp(0, 255).to(torch.uint8)

    def _mean_and_std(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """What is subtracted from images like these, and what the rest is divided by, if by anything."""
        assert self._mean is not None
        mean, std = self._mean.on(images.device), self._std.on(images.device) if self._std else None
        if images.shape[1] == 1 and len(mean) == 3:
            mean = _grey(mean[None])[0]
            std = None if std is None else std.mean(dim=0, keepdim=True)
        if mean.shape[1:] not in ((1, 1), images.shape[2:]):
            mean = mean.mean(dim=(1, 2), keepdim=True)
        return mean, std
