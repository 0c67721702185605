"""Several seeds of one network in one process: trained in lock-step, then tested one after the other."""

import os
from collections.abc import Sequence

from cnnlit.experiment.assembly import Assembly, assemble
from cnnlit.experiment.fitting import fit_and_test
from cnnlit.experiment.settings import TrainSettings
from cnnlit.files import progress
from cnnlit.runs.checkpoint_io import WholeCheckpoints, read_checkpoint
from cnnlit.runs.metrics_file import ReplicaMetrics
from cnnlit.runs.stack import Stack
from cnnlit.training.stacked_seeds import StackedSeeds, is_finite, of_one, why_not_stacked


def why_not_in_lockstep(settings: TrainSettings, assembly: Assembly) -> str | None:
    """What stands in the way of training seeds in lock-step; None if nothing does.

    Args:
        settings: of the first seed.
        assembly: that would train it alone.
    """
    obstacles = {
        "these images are decoded one by one": not assembly.datamodule.takes_replicas,
        "each run has several devices": assembly.trainer.world_size > 1,
        "16-mixed scales the losses of all by one factor": str(settings.trainer["precision"]).startswith("16"),
        "callbacks see one network": bool(settings.callbacks),
        "layer_statistics are of one network": settings.layer_statistics,
        "channels_last lays out the kernels of one network": settings.channels_last,
    }
    found = [obstacle for obstacle, there in obstacles.items() if there]
    return found[0] if found else why_not_stacked(assembly.module.model, assembly.module.recipe)


def fit_in_lockstep(run: Stack, module: StackedSeeds, first: Assembly) -> None:
    """Train all seeds to the end, and give each its own checkpoint; signals to stop are those of the Trainer.

    Args:
        run: the folders of all.
        module: their networks, stacked.
        first: data and Trainer; its module would train the first seed alone.
    """
    trainer = first.trainer
    trainer.loggers = [ReplicaMetrics([each.folder for each in run.runs])]
    trainer.fit(module, datamodule=first.datamodule, ckpt_path=run.sound_checkpoint(), weights_only=True)
    state = read_checkpoint(run.checkpoint)
    for number, (each, epoch) in enumerate(zip(run.runs, module.diverged, strict=True)):
        if each.record["state"] == "finished":
            continue
        own = of_one(state, number) | {"config": each.config}
        if epoch or not is_finite(own):
            where = f"seed={module.seeds[number]} alone names the layer"
            each.fail(f"epoch {epoch or trainer.max_epochs}: the loss is not finite; {where}")
        else:
            WholeCheckpoints().save_checkpoint(own, each.checkpoint)


def test_each(run: Stack, settings: Sequence[TrainSettings]) -> None:
    """Finish the runs whose training is done: test each as a run that was interrupted in its test."""
    os.environ.pop("WANDB_RUN_ID", None)  # it names one run, and these are several
    trained = [pair for pair in zip(run.runs, settings, strict=True) if pair[0] in run.running]
    for each, own in progress(trained, "testing", len(trained)):
        assembly = assemble(own, own.build_network(from_checkpoint=True), each)
        fit_and_test(each, assembly, own)
