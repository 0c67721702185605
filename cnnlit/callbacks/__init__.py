"""Lightning callbacks, and which of them a run has."""

from typing import Any

from lightning import Callback, Trainer

from cnnlit.callbacks.averaging import PolyakAveraging
from cnnlit.callbacks.checkpoints import Checkpoints
from cnnlit.callbacks.data_wait import DataWait
from cnnlit.callbacks.finite_loss import FiniteLoss
from cnnlit.callbacks.layer_statistics import LayerStatistics
from cnnlit.callbacks.progress import TrainingProgress
from cnnlit.callbacks.unreadable_images import UnreadableImages
from cnnlit.parallel.signals import StopSignals
from cnnlit.runs.folder import Run


def callbacks_of_a_run(
    run: Run,
    recipe: Any,
    datamodule: Any,
    *,
    layer_statistics: bool = False,
    checkpoint_minutes: float | None = None,
    requeue: bool = False,
    single: bool = True,
) -> list[Callback]:
    """A run's callbacks, in the order in which Lightning calls them.

    Args:
        run: the run to be trained.
        recipe: its `averaging_decay` is read.
        datamodule: the data, after `setup`.
        layer_statistics: see cnnlit.train.
        checkpoint_minutes: see cnnlit.train.
        requeue: see cnnlit.train.
        single: whether one network is trained; stacked seeds handle losses that are not finite themselves.
    """
    callbacks: list[Callback] = [PolyakAveraging(recipe.averaging_decay)] if recipe.averaging_decay else []
    if layer_statistics:
        callbacks.append(LayerStatistics())
    if datamodule.when_waiting():
        callbacks += [DataWait(), UnreadableImages(run)]
    if single:
        callbacks.append(FiniteLoss(run))
    return [
        *callbacks,
        TrainingProgress(),
        Checkpoints(run, StopSignals(requeue=requeue), minutes=checkpoint_minutes),
    ]


def stop_signals(trainer: Trainer) -> StopSignals:
    """The signals that the Trainer's Checkpoints answer to, to be entered around all that the Trainer does."""
    return next(each.signals for each in trainer.callbacks if isinstance(each, Checkpoints))  # type: ignore[attr-defined]
