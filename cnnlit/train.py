"""python -m cnnlit.train: train a network, test it once, and leave a folder that says how.

What can be configured is in conf/train.yaml and the groups that it names; --help lists it.
"""

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt

from cnnlit import config
from cnnlit.config import Node
from cnnlit.config.hydra_internals import register_resolver
from cnnlit.parallel.processes import new_run_folder
from cnnlit.sweeps.launcher import SEPARATE_JOBS
from cnnlit.sweeps.seeds import configurations, configurations_before, report, train_as_processes

if TYPE_CHECKING:  # imported where they are needed, so that --help and mistakes are answered at once
    from lightning import Trainer
    from lightning.pytorch.strategies import Strategy
    from torch import nn

    from cnnlit.runs.folder import Run
    from cnnlit.runs.stack import Stack
    from cnnlit.training.module import ImageClassification
    from cnnlit.training.recipe import Recipe
    from cnnlit.training.stacked_seeds import StackedSeeds


def train(
    *,
    model: Node,
    data: Node,
    recipe: Node,
    protocol: Node,
    trainer: Node,
    logger: Node,
    seed: Annotated[int, Ge(0)],
    replicas: Annotated[int, Ge(1)],
    replicas_as: Literal["auto", "stack", "processes"],
    num_threads: Annotated[int, Ge(1)] | Literal["auto"] | None,
    compile: bool,  # noqa: A002  the word that torch has for it
    channels_last: bool,
    layer_statistics: bool,
    timeout_seconds: Annotated[float, Gt(0)],
    checkpoint_minutes: Annotated[float, Gt(0)] | None,
    requeue: bool,
    resume: str | None,
    run_root: str,
) -> float:
    """Train, test, and record a run in its folder.

    Args:
        model: an architecture.
        data: a LightningDataModule.
        recipe: a cnnlit.training.recipe.Recipe.
        protocol: a cnnlit.training.protocol.EvaluationProtocol, of the test.
        trainer: a lightning.Trainer.
        logger: a tracker beside metrics.csv, or empty for none.
        seed: of everything random.
        replicas: how many seeds to train, from `seed` on; each gets a folder of its own in the run's.
        replicas_as: all in one process, in lock-step (`stack`), each in one of its own, or what suits the device.
        num_threads: of the processor, for the arithmetic; null for torch's choice; auto is one for images of up to
            32 pixels, which are too small to share out, and torch's choice for others.
        compile: run the network through torch.compile.
        channels_last: keep maps and kernels with their channels side by side in memory.
        layer_statistics: log the gradient of each layer and the saturation of its activation, once per epoch.
        timeout_seconds: how long one of several devices waits for the others before the run ends.
        checkpoint_minutes: between two checkpoints within an epoch; null for those at the end of each epoch alone.
        requeue: on SIGUSR1, SLURM's early warning, ask SLURM to start the job again.
        resume: the folder of a run, of replicas or of a sweep to go on with, by its own configuration.
        run_root: where new runs go.

    Returns:
        The validation error, or without a validation set the test error: the objective of a sweep.
    """
    settings: Node = {"model": model, "data": data, "recipe": recipe, "protocol": protocol}
    settings |= {"trainer": trainer, "logger": logger, "seed": seed, "replicas": 1}
    settings |= {"num_threads": num_threads, "compile": compile, "channels_last": channels_last}
    settings |= {"layer_statistics": layer_statistics, "timeout_seconds": timeout_seconds}
    settings |= {"checkpoint_minutes": checkpoint_minutes, "requeue": requeue}
    with config.refusing():
        if resume:
            each = configurations_before(train, settings, Path(resume))
        else:
            each = configurations(train, settings, replicas, replicas_as)
    if len(each) == 1:
        return _train_one(each[0], resume)
    return _train_stack(each, resume, forced=replicas_as == "stack" or bool(resume))


def _train_one(settings: Node, resume: str | None) -> float:
    with config.refusing():
        import torch

        from cnnlit.data.loading.decoding import UnreadableError
        from cnnlit.files import DiskFullError
        from cnnlit.runs.folder import Run, RunError

        _prepare_process(settings)
        run = Run(config.run_folder())
        # A run that goes on has its values in its checkpoint, wherever the first ones came from.
        goes_on = bool(resume) and (run.checkpoint.is_file() or run.previous_checkpoint.is_file())
        network = _network(settings, goes_on)
        if settings["channels_last"]:
            network.to(memory_format=torch.channels_last)  # and with its kernels all that they make
        if settings["compile"]:
            network.compile()
        task, datamodule, loop = _assemble(settings, network, run)
        _note_emulation(settings, loop)
        run.open(settings, device=loop.strategy.root_device, writes=loop.is_global_zero, resume=bool(resume))
    with config.refusing((RunError, DiskFullError, UnreadableError), exit_code=1):
        return _fit_and_test(run, task, datamodule, loop)


def _train_stack(each: list[Node], resume: str | None, *, forced: bool) -> float:
    """Train replicas in lock-step; then test each as a run that was cut off after its training."""
    with config.refusing():
        from cnnlit.files import DiskFullError
        from cnnlit.parallel.trainer import print_note
        from cnnlit.runs.folder import RunError
        from cnnlit.runs.stack import Stack
        from cnnlit.training.stacked_seeds import StackedSeeds

        first = each[0]
        _prepare_process(first)
        run = Stack(config.run_folder(), len(each))
        goes_on = bool(resume) and (run.checkpoint.is_file() or run.previous_checkpoint.is_file())
        alone, datamodule, loop = _assemble(first, _network(first, goes_on), run, replicas=len(each))
        if reason := _why_not_stacked(alone, datamodule, loop):
            if forced:
                raise ValueError(f"replicas_as=stack: {reason}; use replicas_as=processes")
            print_note(f"replicas as processes: {reason}")
            train_as_processes(train, seed=first["seed"], replicas=len(each), trainer=first["trainer"])
        networks = [alone.model, *(_network(settings, goes_on) for settings in each[1:])]
        _note_emulation(first, loop)
        task = StackedSeeds(networks, recipe=alone.recipe, configs=each)
        if first["compile"]:
            task.compile()
        run.open_all(each, device=loop.strategy.root_device, resume=bool(resume))
    with config.refusing((RunError, DiskFullError), exit_code=1):
        with run:
            _fit_stack(run, task, datamodule, loop)
            _test_each(run, task)
        return report(run.folder, each)


def _prepare_process(settings: Node) -> None:
    if settings["compile"] and settings["layer_statistics"]:
        raise ValueError("layer_statistics=true: what torch.compile fused cannot be looked into; add compile=false")
    config.check_scale(settings["model"].get("weights"), settings["data"].get("normalization"))
    import torch

    from cnnlit.parallel.processes import end_with_launcher
    from cnnlit.parallel.trainer import quieten

    end_with_launcher()
    quieten()
    threads = settings["num_threads"]
    if threads == "auto":
        threads = 1 if settings["data"]["image_size"] <= 32 else None
    if threads:
        torch.set_num_threads(threads)
        os.environ["OMP_NUM_THREADS"] = str(threads)  # or Lightning sets it anew where it starts processes


def _network(settings: Node, goes_on: bool) -> "nn.Module":
    """The network of a seed with its first values; without those of another source if a checkpoint has them."""
    from lightning import seed_everything

    seed_everything(settings["seed"], workers=True, verbose=False)
    network: nn.Module = config.build(config.without_sources(settings["model"]) if goes_on else settings["model"])
    return network


def _assemble(
    settings: Node, network: "nn.Module", run: "Run", replicas: int = 1
) -> "tuple[ImageClassification, Any, Trainer]":
    """What trains a network: task, data and loop."""
    from cnnlit.callbacks import callbacks_of_a_run
    from cnnlit.parallel.trainer import build_trainer
    from cnnlit.training.module import ImageClassification

    recipe = config.build(settings["recipe"])
    recipe.try_on(network)
    protocol = config.build(settings["protocol"])
    protocol.try_on(network, settings["data"])
    datamodule = config.build(settings["data"])
    if getattr(datamodule, "takes_replicas", False):
        datamodule.replicas = replicas
    datamodule.prepare_data()
    datamodule.setup("fit")
    callbacks = callbacks_of_a_run(
        run,
        recipe,
        datamodule,
        layer_statistics=settings["layer_statistics"],
        checkpoint_minutes=settings["checkpoint_minutes"],
        requeue=settings["requeue"],
        single=replicas == 1,
    )
    make = partial(config.build, settings["trainer"], strategy=_strategy(settings, network, recipe))
    loop = build_trainer(make, run, recipe, datamodule, callbacks)
    return ImageClassification(network, recipe=recipe, config=settings, protocol=protocol), datamodule, loop


def _note_emulation(settings: Node, loop: "Trainer") -> None:
    from cnnlit.parallel.devices import emulates_bfloat16
    from cnnlit.parallel.trainer import print_note

    precision = str(settings["trainer"]["precision"])
    if precision.startswith("bf16") and loop.strategy.root_device.type == "cpu" and emulates_bfloat16():
        print_note(
            f"trainer.precision={precision}: this processor has no instructions for bfloat16 and is several times as "
            "slow with it; trainer.precision=32-true is faster here"
        )


def _why_not_stacked(task: "ImageClassification", datamodule: Any, loop: "Trainer") -> str | None:
    """What stands in the way of training replicas in lock-step."""
    from cnnlit.training.stacked_seeds import why_not_stacked

    settings = task.config
    obstacles = {
        "these data are read picture by picture": not datamodule.takes_replicas,
        "each run has several devices": loop.world_size > 1,
        "16-mixed scales the losses of all by one factor": str(settings["trainer"]["precision"]).startswith("16"),
        "layer_statistics are of one network": settings["layer_statistics"],
        "channels_last lays out the kernels of one network": settings["channels_last"],
    }
    found = [obstacle for obstacle, there in obstacles.items() if there]
    return found[0] if found else why_not_stacked(task.model, task.recipe)


def _fit_stack(run: "Stack", task: "StackedSeeds", datamodule: Any, loop: "Trainer") -> None:
    """Train all replicas to the end, and give each its own checkpoint."""
    import torch

    from cnnlit.callbacks import stop_signals
    from cnnlit.runs.checkpoint_io import WholeCheckpoints
    from cnnlit.runs.metrics_file import ReplicaMetrics
    from cnnlit.training.stacked_seeds import is_finite, of_one

    with stop_signals(loop):
        loop.loggers = [ReplicaMetrics([each.folder for each in run.runs])]
        loop.fit(task, datamodule=datamodule, ckpt_path=run.sound_checkpoint(), weights_only=True)
    state = torch.load(run.checkpoint, weights_only=True, map_location="cpu")
    for replica, (each, settings, epoch) in enumerate(zip(run.runs, task.configs, task.diverged, strict=True)):
        if each.record["state"] == "finished":
            continue
        own = of_one(state, replica, settings)
        if epoch or not is_finite(own):
            where = f"seed={settings['seed']} alone names the layer"
            each.fail(f"epoch {epoch or loop.max_epochs}: the loss is not finite; {where}")
        else:
            WholeCheckpoints().save_checkpoint(own, each.checkpoint)


def _test_each(run: "Stack", task: "StackedSeeds") -> None:
    """Finish the runs whose training is done, one after the other."""
    from cnnlit.files import progress

    os.environ.pop("WANDB_RUN_ID", None)  # of one run, which these are not
    trained = [pair for pair in zip(run.runs, task.configs, strict=True) if pair[0] in run.running]
    for each, settings in progress(trained, "testing", len(trained)):
        alone, datamodule, loop = _assemble(settings, _network(settings, True), each)
        _fit_and_test(each, alone, datamodule, loop)


def _strategy(settings: Node, network: Any, recipe: "Recipe") -> "Strategy | str":
    """How the run is spread over devices; refused where that cannot be, told where it was not asked for."""
    from cnnlit.parallel.devices import num_devices
    from cnnlit.parallel.strategies import check_strategy, replicas_note, strategy_for
    from cnnlit.parallel.trainer import print_note

    trainer = settings["trainer"]
    devices = num_devices(trainer["accelerator"], trainer["devices"]) * trainer["num_nodes"]
    name = trainer["strategy"]
    check_strategy(
        name, num_devices=devices, network=network, recipe=recipe,
        compiled=settings["compile"], sync_batchnorm=trainer.get("sync_batchnorm", False),
    )  # fmt: skip
    if note := replicas_note(name, devices, network):
        print_note(note)
    return strategy_for(name, num_devices=devices, timeout_seconds=settings["timeout_seconds"])


def _fit_and_test(
    run: "Run",
    task: "ImageClassification",
    datamodule: Any,
    loop: "Trainer",
) -> float:
    """Train to the end, test once, draw; the run's record says how that went, whatever happens."""
    from cnnlit.callbacks import stop_signals
    from cnnlit.callbacks.run_figures import RunFigures
    from cnnlit.parallel.processes import failing_together
    from cnnlit.runs.metrics_file import MetricsFile
    from cnnlit.runs.reading import read_metrics
    from cnnlit.runs.summary import print_summary
    from cnnlit.tracking import loggers

    pictures = RunFigures(run.folder)
    stacked = "replicas" in run.record  # trained with others: to be shown to the tracker, and not summed up
    with run, stop_signals(loop), loggers.closing(), failing_together(loop.strategy, run.fail):
        logger = task.config["logger"]
        tracked = logger and loop.is_global_zero
        tracker = config.build(logger, folder=run.folder, run_id=run.record["id"]) if tracked else None
        loop.loggers = [MetricsFile(run.folder), *([tracker] if tracker else [])]
        for each in loop.loggers:
            each.log_hyperparams(task.config)
        if tracker and stacked:
            for row in read_metrics(run.folder):
                tracker.log_metrics({name: float(value) for name, value in row.items() if value}, int(row["step"]))
        loop.fit(task, datamodule=datamodule, ckpt_path=run.sound_checkpoint(), weights_only=True)
        if loop.world_size > 1:
            run.record["exchanged_bytes_per_step"] = loop.strategy.exchanged()  # type: ignore[attr-defined]  # ours
        objective: Any = loop.callback_metrics.get("val/error")
        if objective is None and (rows := read_metrics(run.folder)):  # of a run that was cut off in its test
            objective = rows[-1].get("val/error") or None
        if "seconds_waiting" in loop.callback_metrics:
            run.record["seconds_waiting"] = round(float(loop.callback_metrics["seconds_waiting"]), 3)
        loop.callbacks.append(pictures)  # type: ignore[attr-defined]  # not before: each callback costs every step
        loop.test(task, datamodule=datamodule, verbose=False)
        test = task.test_result()
        if pictures.comparison:
            test |= {f"errors_of_1998/{name}": count for name, count in pictures.comparison._asdict().items()}
        if objective is not None:
            run.record["val/error"] = float(objective)
        run.finish(test)
        if loop.is_global_zero and not stacked:
            print_summary(
                run,
                test,
                val_error=objective,
                pictures=pictures.paths,
                tracked=loggers.where(),
                when_waiting=datamodule.when_waiting(),
            )
    return float(test["test/error"] if objective is None else objective)


register_resolver("run_folder", new_run_folder, use_cache=True)  # once for all processes
main = config.entry_point(train, jobs=SEPARATE_JOBS)

if __name__ == "__main__":
    main()
