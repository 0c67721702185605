"""Statistics of the training images that some preprocessing steps need: the mean image, the components of colour."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from cnnlit.data.loading.decoding import UnreadableError
from cnnlit.data.transforms.colours import principal_components


class PixelStatistics(NamedTuple):
    """What preprocessing subtracts from images, or adds to them."""

    mean_image: Tensor
    """float32 [C, image_size, image_size] on the CPU, 0 to 255."""
    components: Tensor
    """float32 [C, C] on the CPU, the principal components of all pixels' colours. See PCAColour."""


def pixel_statistics(batches: Iterable[Tensor]) -> PixelStatistics:
    """The mean of images, pixel by pixel, and the principal components of their colours.

    Args:
        batches: the images, [N, C, image_size, image_size], 0 to 255, on any device.

    Raises:
        UnreadableError: if there is no image at all, because none can be read.
    """
    total, products, count = torch.zeros(()), torch.zeros(()), 0
    for images in batches:
        here = images.cpu()  # not every device has float64 (MPS), and this is done once
        total = total + here.sum(dim=0, dtype=torch.float64)
        colours = here.movedim(1, 0).flatten(1).double()  # [C, pixels]; sums of bytes are exact
        products = products + colours @ colours.T
        count += len(images)
    if not count:
        raise UnreadableError("none of the training images that the mean image is computed from can be read")
    colour = total.mean(dim=(1, 2)) / count / 255
    covariance = products / (count * total[0].numel()) / 255**2 - colour.outer(colour)
    return PixelStatistics((total / count).float(), principal_components(covariance))
