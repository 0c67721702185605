"""Lightning's loop as this project trains with it."""

import os
from collections.abc import Callable
from typing import Any

from lightning import Callback, Trainer

from cnnlit.callbacks.averaging import PolyakAveraging
from cnnlit.callbacks.checkpoints import Checkpoints, StopSignals, WholeCheckpoints
from cnnlit.callbacks.finite import FiniteLoss
from cnnlit.callbacks.layer_statistics import LayerStatistics
from cnnlit.callbacks.left_out import LeftOut
from cnnlit.callbacks.progress import NoProfiler, TrainingProgress
from cnnlit.callbacks.waiting import DataWaiting
from cnnlit.parallel.devices import keep_freed_memory
from cnnlit.runs.folder import Run


def training_loop(
    make: Callable[..., Trainer],
    recipe: Any,
    run: Run,
    datamodule: Any,
    *,
    layer_statistics: bool = False,
    checkpoint_minutes: float | None = None,
    requeue: bool = False,
    alone: bool = True,
) -> Trainer:
    """Lightning's loop, and what this project hangs into it.

    Args:
        make: keyword arguments of lightning.Trainer -> it; what hardware there is, it knows.
        recipe: a cnnlit.training.recipe.Recipe.
        run: that is trained.
        datamodule: its data, after `setup`.
        layer_statistics: see cnnlit.train.
        checkpoint_minutes: likewise.
        requeue: likewise.
        alone: whether one network is trained; several watch for themselves whether their losses are finite.
    """
    validation = {} if datamodule.num_images["val"] else {"limit_val_batches": 0}
    callbacks: list[Callback] = [PolyakAveraging(recipe.averaging_decay)] if recipe.averaging_decay else []
    if layer_statistics:
        callbacks.append(LayerStatistics())
    if datamodule.when_waiting():
        callbacks += [DataWaiting(), LeftOut(run)]
    if alone:
        callbacks.append(FiniteLoss(run))
    loop = make(
        **validation,
        max_epochs=recipe.epochs,
        gradient_clip_val=recipe.gradient_clip_norm,
        callbacks=[*callbacks, TrainingProgress(), Checkpoints(run, minutes=checkpoint_minutes, requeue=requeue)],
        profiler=NoProfiler(),
        plugins=[WholeCheckpoints(run.previous_checkpoint)],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=str(run.folder),
    )
    loop._signal_connector = StopSignals(loop)
    if loop.strategy.root_device.type == "cpu":
        keep_freed_memory()
        # Lightning sets this to find GPUs without starting CUDA; left set, every optimizer step looks for them again.
        os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
    return loop
