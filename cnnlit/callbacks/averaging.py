"""A running mean of the weights, which is validated and tested in their place."""

from typing import Annotated

import torch
from annotated_types import Gt, Lt
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class PolyakAveraging(WeightAveraging):
    """After each step, mean <- decay * mean + (1 - decay) * weights; buffers that are no numbers are copied.

    The mean begins with the weights after the first step. At the end of the training it takes the weights' place.
    Lightning's own EMAWeightAveraging averages whole numbers too, and so spoils tables of indices by rounding.

    Source: Polyak, Juditsky 1992; as an exponential mean in Szegedy et al. 2014, Sec. 6, without details.

    Args:
        decay: 1 - 1 / (the number of steps that the mean reaches back).
    """

    def __init__(self, decay: Annotated[float, Gt(0), Lt(1)]) -> None:
        def average(mean: Tensor, current: Tensor, _: Tensor | int) -> Tensor:
            return torch.lerp(mean, current, 1 - decay) if mean.is_floating_point() else current

        super().__init__(avg_fn=average)
