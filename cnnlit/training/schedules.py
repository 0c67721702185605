"""Learning rate schedules; each is stepped once per batch, Plateau once per epoch."""

import math
import warnings
from collections.abc import Callable
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le, Lt
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from cnnlit.training.optimizers import nominal_rate

STEPS_TRIED = 10
"""Steps of an epoch in which schedules are compared."""


class Constant(LambdaLR):
    """The optimizer's own rate throughout."""

    def __init__(self, optimizer: Optimizer, steps_per_epoch: int, epochs: int) -> None:
        super().__init__(optimizer, lambda _: 1.0)


class WarmupCosine(LambdaLR):
    """A linear rise to the optimizer's rate, then a half cosine down to a fraction of it.

    Source: Loshchilov, Hutter 2016 (SGDR) without restarts; the warm-up of Goyal et al. 2017.

    Args:
        optimizer: its learning rate is the highest one.
        steps_per_epoch: batches per epoch.
        epochs: length of training.
        warmup_epochs: length of the rise; need not be whole.
        final_fraction: the last rate as a fraction of the highest.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        steps_per_epoch: int,
        epochs: int,
        warmup_epochs: Annotated[float, Ge(0)] = 1.0,
        final_fraction: Annotated[float, Ge(0), Le(1)] = 0.0,
    ) -> None:
        total = steps_per_epoch * epochs
        warmup = min(steps_per_epoch * warmup_epochs, total - 1)

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / (warmup + 1)
            progress = min(1.0, (step - warmup) / max(1.0, total - warmup))
            return final_fraction + (1 - final_fraction) * (1 + math.cos(math.pi * progress)) / 2

        super().__init__(optimizer, factor)


class Passes(LambdaLR):
    """A list of learning rates, each for a number of passes over the training set; the last one stays.

    Paper: LeCun et al. 1998, App. C: 5e-4 for 2 passes, 2e-4 for 3, 1e-4 for 3, 5e-5 for 4, 1e-5 for 8.

    Args:
        optimizer: its learning rate is replaced.
        steps_per_epoch: batches per pass.
        epochs: length of training, in passes.
        rates: the learning rates in order.
        passes: the number of passes for each of them.

    Raises:
        ValueError: if `rates` and `passes` differ in length.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        steps_per_epoch: int,
        epochs: int,
        rates: list[float],
        passes: list[int],
    ) -> None:
        if len(rates) != len(passes):
            raise ValueError(f"schedule.rates has {len(rates)} rates and schedule.passes {len(passes)} lengths")
        per_pass = [rate for rate, length in zip(rates, passes, strict=True) for _ in range(length)]
        base = nominal_rate(optimizer)

        def factor(step: int) -> float:
            return per_pass[min(step // steps_per_epoch, len(per_pass) - 1)] / base

        super().__init__(optimizer, factor)


class Steps(LambdaLR):
    """The optimizer's rate, multiplied by a factor at the start of certain epochs.

    Args:
        optimizer: its learning rate is the first one.
        steps_per_epoch: batches per epoch.
        epochs: length of training.
        at: the epochs, counted from 0, that start with a new rate.
        factor: multiplies the rate.
        first_steps: steps at the beginning with the rate multiplied by the factor once. Paper: He et al. 2015, Sec.
            4.2, for 110 layers: "until the training error is below 80% (about 400 iterations)".
    """

    def __init__(
        self,
        optimizer: Optimizer,
        steps_per_epoch: int,
        epochs: int,
        at: list[int],
        factor: Annotated[float, Gt(0), Lt(1)] = 0.1,
        first_steps: Annotated[int, Ge(0)] = 0,
    ) -> None:
        def power(step: int) -> int:
            return (step < first_steps) + sum(step // steps_per_epoch >= epoch for epoch in at)

        super().__init__(optimizer, lambda step: factor ** power(step))


class Exponential(LambdaLR):
    """The optimizer's rate, multiplied by a factor every few epochs.

    Args:
        optimizer: its learning rate is the first one.
        steps_per_epoch: batches per epoch.
        epochs: length of training.
        every_epochs: how long each rate is kept.
        factor: multiplies the rate.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        steps_per_epoch: int,
        epochs: int,
        every_epochs: Annotated[int, Ge(1)],
        factor: Annotated[float, Gt(0), Lt(1)],
    ) -> None:
        super().__init__(optimizer, lambda step: factor ** (step // (steps_per_epoch * every_epochs)))


class RateRange(LambdaLR):
    """A learning-rate range test: the rate rises exponentially, step by step, from one to the other.

    Source: Smith 2015, Sec. 3.3 (there it rises linearly).

    Args:
        optimizer: its learning rate is replaced.
        steps_per_epoch: batches per epoch.
        epochs: length of the test; one or two will do.
        lowest: the first rate.
        highest: the last rate.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        steps_per_epoch: int,
        epochs: int,
        lowest: Annotated[float, Gt(0)] = 1e-6,
        highest: Annotated[float, Gt(0)] = 10.0,
    ) -> None:
        if highest <= lowest:
            raise ValueError(f"schedule.highest={highest} must be above schedule.lowest={lowest}")
        base: float = optimizer.param_groups[0]["lr"]
        last = max(1, steps_per_epoch * epochs - 1)
        super().__init__(optimizer, lambda step: lowest / base * (highest / lowest) ** (min(step, last) / last))


class Plateau(ReduceLROnPlateau):
    """The optimizer's rate, multiplied by a factor once the error has stopped falling; stepped once per epoch.

    Args:
        optimizer: its learning rate is the first one.
        steps_per_epoch: batches per epoch.
        epochs: length of training.
        factor: multiplies the rate.
        patience: epochs without a new lowest error that are tolerated.
        times: how often the rate is lowered, at most.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        steps_per_epoch: int,
        epochs: int,
        factor: Annotated[float, Gt(0), Lt(1)] = 0.1,
        patience: Annotated[int, Ge(0)] = 5,
        times: Annotated[int, Ge(1)] = 3,
    ) -> None:
        lowest = [group["lr"] * factor**times for group in optimizer.param_groups]
        super().__init__(optimizer, factor=factor, patience=patience, threshold=0.0, min_lr=lowest)


def begin_alike(
    schedule: Callable[..., LRScheduler], optimizer: Callable[[], Optimizer], epochs: int, more: int
) -> bool:
    """Whether a schedule has the same rates in the first epochs of a longer training; tried out.

    Args:
        schedule: (optimizer, steps_per_epoch, epochs) -> schedule.
        optimizer: returns a new one.
        epochs: length of the training whose rates are compared.
        more: of the longer one.
    """
    return _rates(schedule, optimizer(), epochs, steps=epochs) == _rates(schedule, optimizer(), more, steps=epochs)


def _rates(schedule: Callable[..., LRScheduler], optimizer: Optimizer, epochs: int, *, steps: int) -> list[Any]:
    """The rates of each step of so many epochs; of a Plateau, which goes by what is measured, the first."""
    made = schedule(optimizer, steps_per_epoch=STEPS_TRIED, epochs=epochs)
    rates = [made.get_last_lr()]
    if not isinstance(made, Plateau):
        with warnings.catch_warnings(action="ignore"):  # the optimizer has not stepped
            for _ in range(STEPS_TRIED * steps - 1):
                made.step()
                rates.append(made.get_last_lr())
    return rates
