"""A recipe: how a paper, or today's practice, trains."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


@dataclass(kw_only=True)
class Recipe:
    """The training section of a paper.

    Args:
        batch_size: images per step, over all devices.
        epochs: passes over the training set.
        order: a new random order each epoch, or a constant one.
        loss: (logits float [N, K], labels int64 [N]) -> the mean over the batch.
        optimizer: parameters -> optimizer.
        schedule: (optimizer, steps_per_epoch, epochs) -> schedule, stepped once per batch.
    """

    batch_size: Annotated[int, Ge(1)]
    epochs: Annotated[int, Ge(1)]
    order: Literal["fresh", "constant"]
    loss: nn.Module
    optimizer: Callable[..., Optimizer]
    schedule: Callable[..., LRScheduler]

    def try_on(self, network: nn.Module) -> None:
        """Build optimizer and schedule once and throw them away, so that what they refuse comes out early.

        Raises:
            ValueError: what they refuse.
        """
        try:
            optimizer = self.optimizer(network.parameters())
        except ValueError as error:
            raise ValueError(f"recipe.optimizer: {error}") from None
        try:
            self.schedule(optimizer, steps_per_epoch=1, epochs=self.epochs)
        except ValueError as error:
            raise ValueError(f"recipe.schedule: {error}") from None
