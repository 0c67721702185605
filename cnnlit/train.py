"""python -m cnnlit.train: train a network, test it once, and leave a folder that says how.

What can be configured is in conf/train.yaml and the groups that it names; --help lists it.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge

from cnnlit import config
from cnnlit.config import Node

if TYPE_CHECKING:  # imported where they are needed, so that --help and mistakes are answered at once
    from lightning import Trainer

    from cnnlit.callbacks.pictures import Pictures
    from cnnlit.results.runs import Run
    from cnnlit.training.recipe import Recipe
    from cnnlit.training.task import ImageClassification


def train(
    *,
    model: Node,
    data: Node,
    recipe: Node,
    trainer: Node,
    logger: Node,
    seed: Annotated[int, Ge(0)],
    num_threads: Annotated[int, Ge(1)] | Literal["auto"] | None,
    compile: bool,  # noqa: A002  the word that torch has for it
    resume: str | None,
    run_root: str,
) -> float:
    """Train, test, and record a run in its folder.

    Args:
        model: an architecture.
        data: a LightningDataModule.
        recipe: a cnnlit.training.recipe.Recipe.
        trainer: a lightning.Trainer.
        logger: a tracker beside metrics.csv, or empty for none.
        seed: of everything random.
        num_threads: of the processor, for the arithmetic; null for torch's choice; auto is one for images of up to
            32 pixels, which are too small to share out, and torch's choice for others.
        compile: run the network through torch.compile.
        resume: the folder of a run to go on with, by its own configuration.
        run_root: where new runs go.

    Returns:
        The validation error, or without a validation set the test error: the objective of a sweep.
    """
    settings: Node = {"model": model, "data": data, "recipe": recipe, "trainer": trainer, "logger": logger}
    settings |= {"seed": seed, "num_threads": num_threads, "compile": compile}
    with config.refusing():
        if resume:
            settings = _settings_of(Path(resume))
        _check_scale(settings["model"].get("weights"), settings["data"].get("normalization"))
        import torch
        from lightning import seed_everything

        from cnnlit.callbacks.pictures import Pictures
        from cnnlit.callbacks.progress import quieten
        from cnnlit.results.runs import Run
        from cnnlit.training.task import ImageClassification

        quieten()
        threads = settings["num_threads"]
        if threads == "auto":
            threads = 1 if settings["data"]["image_size"] <= 32 else None
        if threads:
            torch.set_num_threads(threads)
        seed_everything(settings["seed"], workers=True, verbose=False)
        # A run that goes on has its values in its checkpoint, wherever the first ones came from.
        network = config.build(config.without_sources(settings["model"]) if resume else settings["model"])
        if settings["compile"]:
            network.compile()
        hyperparameters = config.build(settings["recipe"])
        hyperparameters.try_on(network)
        datamodule = config.build(settings["data"])
        datamodule.prepare_data()
        datamodule.setup("fit")
        task = ImageClassification(network, recipe=hyperparameters, config=settings)
        run = Run(config.run_folder())
        pictures = Pictures(run.folder)
        loop = _build_trainer(settings["trainer"], hyperparameters, run, datamodule)
        run.open(settings, device=loop.strategy.root_device, writes=loop.is_global_zero, resume=bool(resume))
    return _fit_and_test(run, task, datamodule, loop, pictures)


def _check_scale(weights: str | None, normalization: str | None) -> None:
    """Refuse published weights on images of another scale than theirs, with which they are silently worth nothing."""
    if weights and normalization != "mean_std":
        raise ValueError(
            f"data.normalization={normalization}: model.weights={weights} expect mean_std; "
            "add data.normalization=mean_std or recipe=modern_images"
        )


def _settings_of(folder: Path) -> Node:
    """The configuration of a run that is resumed, checked again, for the code may have moved on."""
    from cnnlit.results.runs import read_config

    others = [override for override in config.overrides() if not override.startswith("resume=")]
    if others:
        raise ValueError(f"resume={folder}: a run goes on as it was configured; leave out {' '.join(others)}")
    settings = read_config(folder)
    config.check({**settings, "resume": str(folder)}, train)
    return settings


def _build_trainer(trainer: Node, recipe: "Recipe", run: "Run", datamodule: Any) -> "Trainer":
    """Lightning's loop, and what this project hangs into it."""
    from cnnlit.callbacks.averaging import PolyakAveraging
    from cnnlit.callbacks.checkpoints import LastCheckpoint, StopOnSignal, WholeCheckpoints
    from cnnlit.callbacks.progress import NoProfiler, TrainingProgress
    from cnnlit.parallel.devices import check_devices, keep_freed_memory

    check_devices(trainer["accelerator"], trainer["devices"])
    validation = {} if datamodule.num_images["val"] else {"limit_val_batches": 0}
    averaging = [PolyakAveraging(recipe.averaging_decay)] if recipe.averaging_decay else []
    callbacks = [TrainingProgress(), LastCheckpoint(run.checkpoint), StopOnSignal(run.checkpoint)]
    loop: Trainer = config.build(
        {**trainer, **validation},
        max_epochs=recipe.epochs,
        gradient_clip_val=recipe.gradient_clip_norm,
        callbacks=[*averaging, *callbacks],
        profiler=NoProfiler(),
        plugins=[WholeCheckpoints()],
        logger=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=str(run.folder),
    )
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
    from cnnlit.results import tracking
    from cnnlit.results.metrics_file import MetricsFile

    with run, tracking.closing():
        logger = task.config["logger"]
        tracker = config.build(logger, folder=run.folder, run_id=run.record["id"]) if logger else None
        loop.loggers = [MetricsFile(run.folder), *([tracker] if tracker else [])]
        for each in loop.loggers:
            each.log_hyperparams(task.config)
        checkpoint = str(run.checkpoint) if run.checkpoint.is_file() else None
        loop.fit(task, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)
        objective = loop.callback_metrics.get("val/error")
        loop.callbacks.append(pictures)  # type: ignore[attr-defined]  # not before: each callback costs every step
        loop.test(task, datamodule=datamodule, verbose=False)
        test = task.test_result()
        if pictures.comparison:
            test |= {f"errors_of_1998/{name}": count for name, count in pictures.comparison._asdict().items()}
        run.finish(test)
        if loop.is_global_zero:
            print_summary(run, test, val_error=objective, pictures=pictures.paths, tracked=tracking.where())
    return float(test["test/error"] if objective is None else objective)


main = config.command(train)

if __name__ == "__main__":
    main()
