"""A learning-rate range test: which rates the loss falls at, and how fast."""

import csv
import io
import math
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from annotated_types import Ge, Gt, Lt
from lightning import Callback, LightningModule, Trainer

from cnnlit.drawings.learning_rates import draw_rates
from cnnlit.drawings.tiled_figure import encoded
from cnnlit.files import write_whole
from cnnlit.parallel.trainer import print_note

FEWEST = 10
"""Steps before the test may end, and before the fall of the loss counts."""


class Tried(NamedTuple):
    """A step of the test."""

    rate: float
    loss: float
    smoothed: float


class RateRangeTest(Callback):
    """Follows the loss while `recipe/schedule=rate_range` raises the rate, and ends the run once it has exploded.

    Leaves learning_rates.csv and pictures/learning_rates.png in the run's folder, and says at which rate the smoothed
    loss fell fastest; a good first value for the highest rate of a schedule.

    Source: Smith 2015, Sec. 3.3, as in Lightning's Tuner and fastai.

    Args:
        smoothing: decay of the mean of the losses.
        explosion: the run ends when the smoothed loss is so many times its minimum.
    """

    def __init__(
        self, *, smoothing: Annotated[float, Ge(0), Lt(1)] = 0.9, explosion: Annotated[float, Gt(1)] = 4.0
    ) -> None:
        self.smoothing = smoothing
        self.explosion = explosion
        self.tried: list[Tried] = []
        self._mean = 0.0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = float(trainer.strategy.reduce(outputs["loss"], reduce_op="mean"))
        self._mean = self.smoothing * self._mean + (1 - self.smoothing) * loss
        smoothed = self._mean / (1 - self.smoothing ** (len(self.tried) + 1))
        rate: float = pl_module.running.learning_rate  # type: ignore[union-attr, assignment]
        self.tried.append(Tried(rate, loss, smoothed))
        if len(self.tried) > FEWEST and smoothed > self.explosion * min(each.smoothed for each in self.tried):
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._tell(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._tell(trainer)  # the loss became infinite in one step

    def fastest(self) -> float | None:
        """The rate at which the smoothed loss fell fastest over the logarithm of the rate; None if it never fell."""
        slopes = {
            after.rate: (after.smoothed - before.smoothed) / math.log(after.rate / before.rate)
            for before, after in zip(self.tried[FEWEST:], self.tried[FEWEST + 1 :], strict=False)
            if after.rate > before.rate
        }
        best = min(slopes, key=slopes.__getitem__, default=None)
        return best if best is not None and slopes[best] < 0 else None

    def _nothing_found(self) -> str:
        enough = len(self.tried) > 2 * FEWEST
        return "the loss never fell" if enough else f"{len(self.tried)} steps say nothing; more epochs have more"

    def _tell(self, trainer: Trainer) -> None:
        if not self.tried or not trainer.is_global_zero:
            return
        folder, fastest = Path(trainer.default_root_dir), self.fastest()
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows([Tried._fields, *self.tried])
        write_whole(folder / "learning_rates.csv", table.getvalue())
        picture = folder / "pictures" / "learning_rates.png"
        rates, losses, smoothed = zip(*self.tried, strict=True)
        write_whole(picture, encoded(draw_rates(rates, losses, smoothed, fastest)))
        found = f"the loss fell fastest at recipe.optimizer.lr={fastest:.2g}" if fastest else self._nothing_found()
        print_note(f"learning rates {rates[0]:.2g} to {rates[-1]:.2g}: {found} ({picture})")
