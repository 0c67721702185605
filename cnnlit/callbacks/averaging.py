"""A running mean of the weights, validated and tested in their place."""

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Gt, Lt
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from cnnlit.parallel.lightning_internals import count_averages_on_the_cpu


class PolyakAveraging(WeightAveraging):
    """After each step, mean <- decay * mean + (1 - decay) * weights; integer buffers are copied.

    The mean starts from the weights after the first step, and replaces the weights at the end of training. Lightning's
    own EMAWeightAveraging also averages integers, which ruins tables of indices by rounding.

    Source: Polyak, Juditsky 1992; as an exponential mean in Szegedy et al. 2014, Sec. 6, without details.

    Args:
        decay: 1 - 1 / n for a mean that reaches back about n steps.
    """

    def __init__(self, decay: Annotated[float, Gt(0), Lt(1)]) -> None:
        floats = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

        def average(means: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
            if means[0].is_floating_point():
                floats(means, current, count)
                return
            for mean, its in zip(means, current, strict=True):
                mean.copy_(its)

        super().__init__(multi_avg_fn=average)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """See Callback.setup; creates the mean."""
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            count_averages_on_the_cpu(self)
