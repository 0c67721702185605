"""python -m cnnlit.train: train a network, test it once, and leave a folder that says how.

What can be configured is in conf/train.yaml and the groups that it names; --help lists it.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt

from cnnlit import config
from cnnlit.config import Node

if TYPE_CHECKING:  # imported where they are needed, so that --help and mistakes are answered at once
    from lightning import Callback, Trainer
    from lightning.pytorch.strategies import Strategy

    from cnnlit.callbacks.pictures import Pictures
    from cnnlit.results.runs import Run
    from cnnlit.training.recipe import Recipe
    from cnnlit.training.task import ImageClassification


def train(
    *,
    model: Node,
    data: Node,
    recipe: Node,
    protocol: Node,
    trainer: Node,
    logger: Node,
    seed: Annotated[int, Ge(0)],
    num_threads: Annotated[int, Ge(1)] | Literal["auto"] | None,
    compile: bool,  # noqa: A002  the word that torch has for it
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
        protocol: a cnnlit.training.views.EvaluationProtocol, of the test.
        trainer: a lightning.Trainer.
        logger: a tracker beside metrics.csv, or empty for none.
        seed: of everything random.
        num_threads: of the processor, for the arithmetic; null for torch's choice; auto is one for images of up to
            32 pixels, which are too small to share out, and torch's choice for others.
        compile: run the network through torch.compile.
        layer_statistics: log the gradient of each layer and the saturation of its activation, once per epoch.
        timeout_seconds: how long one of several devices waits for the others before the run ends.
        checkpoint_minutes: between two checkpoints within an epoch; null for those at the end of each epoch alone.
        requeue: on SIGUSR1, SLURM's early warning, ask SLURM to start the job again.
        resume: the folder of a run to go on with, by its own configuration.
        run_root: where new runs go.

    Returns:
        The validation error, or without a validation set the test error: the objective of a sweep.
    """
    settings: Node = {"model": model, "data": data, "recipe": recipe, "protocol": protocol}
    settings |= {"trainer": trainer, "logger": logger, "seed": seed, "num_threads": num_threads, "compile": compile}
    settings |= {"layer_statistics": layer_statistics, "timeout_seconds": timeout_seconds}
    settings |= {"checkpoint_minutes": checkpoint_minutes, "requeue": requeue}
    with config.refusing():
        if resume:
            settings |= _settings_of(Path(resume))  # what a run of older code did not know is as it is by default
        if settings["compile"] and settings["layer_statistics"]:
            raise ValueError("layer_statistics=true: what torch.compile fused cannot be looked into; add compile=false")
        config.check_scale(settings["model"].get("weights"), settings["data"].get("normalization"))
        import torch
        from lightning import seed_everything

        from cnnlit.callbacks.pictures import Pictures
        from cnnlit.callbacks.progress import quieten
        from cnnlit.data.decoding import UnreadableError
        from cnnlit.parallel.processes import end_with_launcher
        from cnnlit.results.runs import Run, RunError
        from cnnlit.training.task import ImageClassification

        end_with_launcher()
        quieten()
        threads = settings["num_threads"]
        if threads == "auto":
            threads = 1 if settings["data"]["image_size"] <= 32 else None
        if threads:
            torch.set_num_threads(threads)
            os.environ["OMP_NUM_THREADS"] = str(threads)  # or Lightning sets it anew where it starts processes
        seed_everything(settings["seed"], workers=True, verbose=False)
        run = Run(config.run_folder())
        # A run that goes on has its values in its checkpoint, wherever the first ones came from.
        goes_on = resume and (run.checkpoint.is_file() or run.previous_checkpoint.is_file())
        network = config.build(config.without_sources(settings["model"]) if goes_on else settings["model"])
        if settings["compile"]:
            network.compile()
        hyperparameters = config.build(settings["recipe"])
        hyperparameters.try_on(network)
        test_protocol = config.build(settings["protocol"])
        test_protocol.try_on(network, settings["data"])
        datamodule = config.build(settings["data"])
        datamodule.prepare_data()
        datamodule.setup("fit")
        task = ImageClassification(network, recipe=hyperparameters, config=settings, protocol=test_protocol)
        pictures = Pictures(run.folder)
        strategy = _strategy(settings, network, hyperparameters)
        loop = _build_trainer(
            settings["trainer"],
            hyperparameters,
            run,
            datamodule,
            strategy,
            layer_statistics=settings["layer_statistics"],
            checkpoint_minutes=settings["checkpoint_minutes"],
            requeue=settings["requeue"],
        )
        run.open(settings, device=loop.strategy.root_device, writes=loop.is_global_zero, resume=bool(resume))
    with config.refusing((RunError, UnreadableError), exit_code=1):
        return _fit_and_test(run, task, datamodule, loop, pictures)


def _settings_of(folder: Path) -> Node:
    """The configuration of a run that is resumed, checked again, for the code may have moved on."""
    from cnnlit.results.runs import read_config

    others = [override for override in config.overrides() if not override.startswith("resume=")]
    if others:
        raise ValueError(f"resume={folder}: a run goes on as it was configured; leave out {' '.join(others)}")
    settings = read_config(folder)
    config.check({**settings, "resume": str(folder)}, train)
    return settings


def _strategy(settings: Node, network: Any, recipe: "Recipe") -> "Strategy | str":
    """How the run is spread over devices; refused where that cannot be, told where it was not asked for."""
    from cnnlit.callbacks.progress import print_note
    from cnnlit.parallel.devices import num_devices
    from cnnlit.parallel.strategies import check_strategy, replicas_note, strategy_for

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


def _build_trainer(
    trainer: Node,
    recipe: "Recipe",
    run: "Run",
    datamodule: Any,
    strategy: "Strategy | str" = "auto",
    *,
    layer_statistics: bool = False,
    checkpoint_minutes: float | None = None,
    requeue: bool = False,
) -> "Trainer":
    """Lightning's loop, and what this project hangs into it."""
    from cnnlit.callbacks.averaging import PolyakAveraging
    from cnnlit.callbacks.checkpoints import Checkpoints, StopSignals, WholeCheckpoints
    from cnnlit.callbacks.finite import FiniteLoss
    from cnnlit.callbacks.layer_statistics import LayerStatistics
    from cnnlit.callbacks.left_out import LeftOut
    from cnnlit.callbacks.progress import NoProfiler, TrainingProgress
    from cnnlit.callbacks.waiting import DataWaiting
    from cnnlit.parallel.devices import keep_freed_memory

    validation = {} if datamodule.num_images["val"] else {"limit_val_batches": 0}
    averaging = [PolyakAveraging(recipe.averaging_decay)] if recipe.averaging_decay else []
    measuring: list[Callback] = [LayerStatistics()] if layer_statistics else []
    if datamodule.when_waiting():
        measuring += [DataWaiting(), LeftOut(run)]
    checkpoints = Checkpoints(run, minutes=checkpoint_minutes, requeue=requeue)
    loop: Trainer = config.build(
        {**trainer, **validation},
        strategy=strategy,
        max_epochs=recipe.epochs,
        gradient_clip_val=recipe.gradient_clip_norm,
        callbacks=[*averaging, *measuring, FiniteLoss(run), TrainingProgress(), checkpoints],
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


def _fit_and_test(
    run: "Run",
    task: "ImageClassification",
    datamodule: Any,
    loop: "Trainer",
    pictures: "Pictures",
) -> float:
    """Train to the end, test once, draw; the run's record says how that went, whatever happens."""
    from cnnlit.callbacks.progress import print_summary
    from cnnlit.parallel.processes import failing_together
    from cnnlit.results import tracking
    from cnnlit.results.metrics_file import MetricsFile
    from cnnlit.results.runs import read_metrics

    signals: Any = loop._signal_connector
    with run, signals.heeded(), tracking.closing(), failing_together(loop.strategy, run.fail):
        logger = task.config["logger"]
        tracked = logger and loop.is_global_zero
        tracker = config.build(logger, folder=run.folder, run_id=run.record["id"]) if tracked else None
        loop.loggers = [MetricsFile(run.folder), *([tracker] if tracker else [])]
        for each in loop.loggers:
            each.log_hyperparams(task.config)
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
        if loop.is_global_zero:
            print_summary(
                run,
                test,
                val_error=objective,
                pictures=pictures.paths,
                tracked=tracking.where(),
                when_waiting=datamodule.when_waiting(),
            )
    return float(test["test/error"] if objective is None else objective)


main = config.command(train, jobs_apart=True)

if __name__ == "__main__":
    main()
