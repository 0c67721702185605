"""Lightning callbacks, and which of them a run has."""

from collections.abc import Sequence
from typing import Any

from lightning import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar, WeightAveraging

from cnnlit.callbacks.averaging import PolyakAveraging
from cnnlit.callbacks.checkpoints import Checkpoints
from cnnlit.callbacks.data_wait import DataWait
from cnnlit.callbacks.finite_loss import FiniteLoss
from cnnlit.callbacks.layer_statistics import LayerStatistics
from cnnlit.callbacks.lowest_error import LowestError
from cnnlit.callbacks.progress import TrainingProgress
from cnnlit.callbacks.unreadable_images import UnreadableImages
from cnnlit.parallel.signals import StopSignals
from cnnlit.runs.folder import Run


def callbacks_of_a_run(
    run: Run,
    recipe: Any,
    datamodule: Any,
    *,
    own: Sequence[Callback] = (),
    progress: bool = True,
    layer_statistics: bool = False,
    checkpoint_minutes: float | None = None,
    requeue: bool = False,
    single: bool = True,
) -> list[Callback]:
    """A run's callbacks, in the order in which Lightning calls them.

    Args:
        run: the run to be trained.
        recipe: its `averaging_decay`, `checkpoint` and `early_stopping_patience` are read.
        datamodule: the data, after `setup`.
        own: the user's, called after ours that change or measure the network and before those that save it.
        progress: whether to show it.
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
    if recipe.checkpoint == "best" or recipe.early_stopping_patience:
        callbacks.append(LowestError(run, keep=recipe.checkpoint == "best", patience=recipe.early_stopping_patience))
    for each in own:
        if isinstance(each, ModelCheckpoint) and each.dirpath is None:
            each.dirpath = str(run.folder / "model_checkpoints")
    if progress and not any(isinstance(each, ProgressBar) for each in own):
        own = [*own, TrainingProgress()]
    return [
        *callbacks,
        *own,
        Checkpoints(run, StopSignals(requeue=requeue), minutes=checkpoint_minutes),
    ]


def lowest_error(trainer: Trainer) -> LowestError | None:
    """The Trainer's LowestError, if the recipe asks for the best network or for early stopping."""
    return next((each for each in trainer.callbacks if isinstance(each, LowestError)), None)  # type: ignore[attr-defined]


def without_averaging(callbacks: Sequence[Callback]) -> list[Callback]:
    """The callbacks for a test that loads a checkpoint, whose weights are averaged already."""
    return [each for each in callbacks if not isinstance(each, WeightAveraging)]


def stop_signals(trainer: Trainer) -> StopSignals:
    """The signals that the Trainer's Checkpoints answer to, to be entered around all that the Trainer does."""
    return next(each.signals for each in trainer.callbacks if isinstance(each, Checkpoints))  # type: ignore[attr-defined]
