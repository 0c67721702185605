"""A running mean of the weights, validated and tested in their place."""

from typing import Annotated

import torch
from annotated_types import Gt, Lt
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class PolyakAveraging(WeightAveraging):
    """After each step, mean <- decay * mean + (1 - decay) * weights; integer buffers are copied.

    The mean starts from the weights after the first step, and replaces the weights at the end of training. Lightning's
    own EMAWeightAveraging also averages integers, which ruins tables of indices by rounding.

    Source: Polyak, Juditsky 1992; as an exponential mean in Szegedy et al. 2014, Sec. 6, without details.

    Args:
        decay: 1 - 1 / n for a mean that reaches back about n steps.
    """

    def __init__(self, decay: Annotated[float, Gt(0), Lt(1)]) -> None:
        def average(mean: Tensor, current: Tensor, _: Tensor | int) -> Tensor:
            return torch.lerp(mean, current, 1 - decay) if mean.is_floating_point() else current

        super().__init__(avg_fn=average)
