"""What every run's Trainer has in common, and what may appear on the terminal."""

import logging
import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

from lightning import Callback, Trainer
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console

from cnnlit.parallel.devices import keep_freed_memory
from cnnlit.parallel.lightning_internals import disable_sigterm_broadcast
from cnnlit.parallel.worlds import cluster_environment
from cnnlit.runs.checkpoint_io import WholeCheckpoints
from cnnlit.runs.folder import Run

Arguments = dict[str, Any]


def build_trainer(
    make: Callable[..., Trainer],
    run: Run,
    recipe: Any,
    datamodule: Any,
    callbacks: Sequence[Callback],
    chosen: Arguments | None = None,
) -> Trainer:
    """The Trainer of a run.

    Args:
        make: keyword arguments of lightning.Trainer -> a Trainer.
        run: the run to be trained.
        recipe: its `epochs` and `gradient_clip_norm` are read.
        datamodule: the data, after `setup`; without validation images there is no validation.
        callbacks: all of them; see cnnlit.callbacks.callbacks_of_a_run.
        chosen: arguments of the Trainer that the user gave; see cnnlit.parallel.trainer_arguments.

    Raises:
        ValueError: one line about arguments that do not go together.
    """
    try:
        trainer = make(**_arguments(run, recipe, datamodule, callbacks, chosen or {}))
    except MisconfigurationException as error:
        raise ValueError(f"trainer: {error}") from None
    _keep_profile(trainer, run)
    if trainer.world_size > 1:
        disable_sigterm_broadcast(trainer)
    if trainer.strategy.root_device.type == "cpu":
        keep_freed_memory()
        # Lightning sets this to find GPUs without starting CUDA; while it is set, every optimizer step looks again.
        os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
    return trainer


def _arguments(run: Run, recipe: Any, datamodule: Any, callbacks: Sequence[Callback], chosen: Arguments) -> Arguments:
    plugins = chosen.get("plugins", [])
    plugins = plugins if isinstance(plugins, list) else [plugins]
    if not any(isinstance(each, ClusterEnvironment) for each in plugins):
        plugins = [cluster_environment(), *plugins]
    always: Arguments = {
        "max_epochs": recipe.epochs,
        "gradient_clip_val": recipe.gradient_clip_norm,
        "callbacks": list(callbacks),
        "plugins": [WholeCheckpoints(run.previous_checkpoint), *plugins],
        "logger": False,
        "enable_checkpointing": any(isinstance(each, Checkpoint) for each in callbacks),
        "enable_progress_bar": any(isinstance(each, ProgressBar) for each in callbacks),
        "use_distributed_sampler": False,
        "default_root_dir": str(run.folder),
    }
    if batches := chosen.get("overfit_batches"):
        # Lightning would take the first images of the set in place of our order, which is constant then.
        always |= {"overfit_batches": 0.0, "limit_train_batches": batches, "limit_val_batches": batches}
    if not datamodule.num_images["val"]:
        always["limit_val_batches"] = 0
    unless_chosen: Arguments = {"profiler": NoProfiler(), "enable_model_summary": False, "num_sanity_val_steps": 0}
    return {**unless_chosen, **chosen, **always}


def _keep_profile(trainer: Trainer, run: Run) -> None:
    """What a profiler finds goes to the run's folder; Lightning would only log it."""
    profiler = trainer.profiler  # type: ignore[attr-defined]
    if not isinstance(profiler, PassThroughProfiler):
        profiler.dirpath = profiler.dirpath or str(run.folder)
        profiler.filename = profiler.filename or "profile"


class NoProfiler(PassThroughProfiler):
    """Measures nothing, like Lightning's default, in a tenth of the time: it is called 90 times a step."""

    _nothing: ClassVar[AbstractContextManager[None]] = nullcontext()

    def profile(self, action_name: str) -> Any:
        return self._nothing


def quieten() -> None:
    """Silence Lightning's advice to everyone and the warnings that do not apply here; other warnings stay."""
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",  # a batch is an index: there is nothing for workers to do
        ".*your dataloader is not resumable.*",  # its sampler is: cnnlit.data.loading.batch_sampler
        ".*Checkpoint directory .* exists and is not empty.*",  # as it is when a run is resumed
        ".*`srun` command is available.*",  # what has started this process is known: cnnlit.parallel.worlds
        ".*The dirpath has changed.*",  # as it has when a run's folder was moved
        ".*callbacks used to create the checkpoint need to be provided.*",  # not to test the network in it
        ".*is a wandb run already in progress.*",  # ours
        ".*smaller than the logging interval.*",  # this project logs once per epoch
        ".*LeafSpec.*",  # between Lightning and torch
        ".*sync_dist=True.*",  # what is logged has been reduced over all devices already
    ):
        warnings.filterwarnings("ignore", message)


@rank_zero_only
def print_note(text: str) -> None:
    """Print one line on stderr about something that was not asked for explicitly."""
    Console(stderr=True).print(text, highlight=False, markup=False, soft_wrap=True)
