"""Steps of an augmentation that are anybody's: any callable on a picture, such as torchvision's RandAugment."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from cnnlit.data.transforms.random_numbers import drawing

BITS = 24
"""Random bits in a uniform float32."""


class EachPicture:
    """A colour step that hands a callable one picture after the other, in training only.

    What the callable draws from torch's, NumPy's or Python's global random numbers is a function of seed, epoch and
    presentation, like all that is drawn here.

    Args:
        change: picture uint8 [C, H, W] -> picture of the same shape, uint8, or floats from 0 to 255; on the device that
            trains.

    Raises:
        ValueError: if it is not callable.
    """

    num_draws = 2

    def __init__(self, change: Callable[[Tensor], Any]) -> None:
        self.name = type(change).__name__
        if not callable(change):
            raise ValueError(
                f"data.augmentation: {self.name} is no step of cnnlit.data.transforms.geometry or .colours, and cannot "
                "be called with a picture (docs/own/recipe.md)"
            )
        self.change = change

    def colour(self, images: Tensor, uniform: Tensor) -> Tensor:
        """See ColourStep."""
        if not len(images):
            return images
        numbers = (uniform.double() * 2**BITS).long().cpu()
        seeds = (numbers[:, 0] << BITS) + numbers[:, 1]
        pictures = images.round().clamp(0, 255).to(torch.uint8)
        changed = []
        with drawing(cuda=images.is_cuda) as moving_on:
            for picture, seed in zip(pictures, seeds.tolist(), strict=True):
                moving_on(seed)
                changed.append(self._checked(self.change(picture), picture))
        return torch.stack(changed)

    def told(self, uniform: Tensor, channels: int) -> list[str]:
        """See told_by: the callable's name, for what it draws is its own."""
        return [self.name] * len(uniform)

    def _checked(self, answer: Any, picture: Tensor) -> Tensor:
        if not isinstance(answer, Tensor) or answer.shape != picture.shape:
            found = list(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
            raise ValueError(
                f"data.augmentation: {self.name} makes {found} of a picture uint8 {list(picture.shape)}; it must "
                "return a tensor of that shape"
            )
        return answer.as_subclass(Tensor).float()

    def try_on(self, channels: int, side: int) -> None:
        """Refuse a callable whose answer to a grey picture is none.

        Raises:
            ValueError: one line.
        """
        shown = self.colour(torch.full((1, channels, side, side), 128.0), torch.zeros(1, self.num_draws))
        if 0 < shown.max() <= 1:
            raise ValueError(f"data.augmentation: {self.name} returns values up to 1; pictures are 0 to 255 here")
