"""What trains a network: the LightningModule, its data and a Trainer, built from settings."""

import math
import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from cnnlit import config
from cnnlit.callbacks import callbacks_of_a_run
from cnnlit.config import Node
from cnnlit.data.sources.listing_file import LISTING, changes, write_listing
from cnnlit.experiment.more_epochs import epochs_before
from cnnlit.experiment.settings import TrainSettings
from cnnlit.parallel.devices import COMPILERS, computing, emulates_bfloat16, num_devices
from cnnlit.parallel.processes import end_with_launcher
from cnnlit.parallel.strategies import check_strategy, replicas_note, strategy_for
from cnnlit.parallel.trainer import build_trainer, print_note, quieten
from cnnlit.runs.folder import Run
from cnnlit.runs.origin import describe_device
from cnnlit.runs.summary import print_start
from cnnlit.training.module import ImageClassification
from cnnlit.training.outputs import trains_on_one, try_on
from cnnlit.training.recipe import Recipe

if TYPE_CHECKING:
    from lightning import Trainer
    from lightning.pytorch.strategies import Strategy

SMALL_IMAGE_PIXELS = 32
"""Sides up to this are too little work to share between threads."""


class Assembly(NamedTuple):
    """What trains a network."""

    module: ImageClassification
    datamodule: Any
    """A cnnlit.data.datamodule.ResumableData, after `setup`."""
    trainer: "Trainer"


def prepare_process(settings: TrainSettings) -> None:
    """Make this process ready to train: its threads, its warnings, and its end if it is one of several."""
    end_with_launcher()
    quieten()
    threads = settings.num_threads
    if threads == "auto":
        threads = 1 if settings.data["image_size"] <= SMALL_IMAGE_PIXELS else None
    if threads:
        torch.set_num_threads(threads)
        os.environ["OMP_NUM_THREADS"] = str(threads)  # or Lightning sets it anew where it starts processes


def begin(settings: TrainSettings, run: Run) -> tuple[TrainSettings, Assembly]:
    """All that trains the network of a run, whose folder is then claimed, or taken up again.

    The settings are returned with what `auto` stands for, as the run's folder keeps them.

    Args:
        settings: of the run, checked.
        run: not opened yet.

    Raises:
        ValueError, OSError: one line about what cannot be trained; nothing has been written then.
    """
    prepare_process(settings)
    settings = settings.with_precision()
    assembly = assemble(settings, settings.build_initial_network(run), run)
    settings = settings.with_compiler(num_steps(assembly))
    if settings.compile:
        assembly.module.model.compile(**COMPILERS[settings.compile])
    longer_than = epochs_before(settings, assembly.module.model)
    trainer = assembly.trainer
    note_emulation(settings, trainer)
    note_remarks(assembly)
    run.open(
        settings.of_one_run(),
        device=trainer.strategy.root_device,
        writes=trainer.is_global_zero,
        resume=bool(settings.resume),
        longer_than=longer_than,
    )
    if run.writes and (note := run.other_rounding()):
        print_note(note)
    keep_listing(run, assembly.datamodule)
    return settings, assembly


def num_steps(assembly: Assembly) -> int:
    """The steps of a whole training, as far as they are known before it begins."""
    module, datamodule, trainer = assembly
    images = datamodule.num_images["train"] * getattr(datamodule, "hparams", {}).get("passes_per_epoch", 1)
    batches = math.ceil(images / module.recipe.batch_size)
    limit = trainer.limit_train_batches
    return module.recipe.epochs * int(min(batches, limit) if isinstance(limit, int) else batches * limit)


def keep_listing(run: Run, datamodule: Any) -> None:
    """List the images of a new run in its folder; one that began without a listing goes on without."""
    if run.writes and not run.has_checkpoint:
        write_listing(run.folder, datamodule.listed())


def _set_up(run: Run, datamodule: Any) -> None:
    """Make the data ready, and be sure that a resumed run has its own."""
    datamodule.as_0_1 = run.has_checkpoint and not (run.folder / LISTING).is_file()
    datamodule.prepare_data()
    if found := any(True for _ in datamodule.listed()):
        _check_images(run, datamodule)  # before other classes are refused for another reason
    datamodule.setup("fit")
    if not found:
        _check_images(run, datamodule)


def _check_images(run: Run, datamodule: Any) -> None:
    """Refuse to resume a run on other images than it began with.

    Raises:
        ValueError: one line about what has changed.
    """
    if (
        run.has_checkpoint
        and (run.folder / LISTING).is_file()
        and (changed := changes(run.folder, datamodule.listed()))
    ):
        raise ValueError(
            f"resume={run.folder}: its images are no longer those that it began with: {changed}; put them back as they "
            "were, or train anew"
        )


def assemble(settings: TrainSettings, network: nn.Module, run: Run, *, seeds: int = 1) -> Assembly:
    """Build all that trains a network, and refuse what does not fit together.

    Args:
        settings: of the run.
        network: with its initial weights.
        run: its folder.
        seeds: trained in lock-step, where the data can serve several.

    Raises:
        ValueError: one line about what cannot be trained or tested so.
    """
    recipe: Recipe = config.build(settings.recipe)
    recipe.try_on(network)
    protocol = settings.build_protocol(network)
    datamodule: Any = settings.build_data(_order(settings))
    datamodule.timeout_seconds = settings.timeout_seconds
    if getattr(datamodule, "takes_replicas", False):
        datamodule.replicas = seeds
    _set_up(run, datamodule)
    recipe.weigh_classes(settings.data["num_classes"], lambda: datamodule.training_labels)
    if recipe.order == "balanced" and not settings.trainer.get("overfit_batches"):
        _check_balanced(datamodule)
    chosen = settings.build_trainer_arguments()
    _check_validated(recipe, datamodule, chosen)
    callbacks = callbacks_of_a_run(
        run,
        recipe,
        datamodule,
        own=settings.build_callbacks(),
        progress=chosen.get("enable_progress_bar", True),
        layer_statistics=settings.layer_statistics,
        checkpoint_minutes=settings.checkpoint_minutes,
        requeue=settings.requeue,
        single=seeds == 1,
    )
    make = partial(config.build, {"_target_": settings.trainer["_target_"]})
    chosen["strategy"] = _strategy(settings, network, recipe, dense=protocol.dense)
    trainer = build_trainer(make, run, recipe, datamodule, callbacks, chosen)
    classes: int = settings.data["num_classes"]
    _try_forward(settings, network, recipe, datamodule, trainer)
    module = ImageClassification(network, recipe=recipe, num_classes=classes, seed=settings.seed, protocol=protocol)
    return Assembly(module, datamodule, trainer)


def _check_validated(recipe: Recipe, datamodule: Any, chosen: Node) -> None:
    """Refuse a recipe that goes by the validation error where none is measured."""
    if datamodule.num_images["val"] and chosen.get("limit_val_batches") != 0:
        return
    for key, value in {
        "checkpoint": recipe.checkpoint,
        "early_stopping_patience": recipe.early_stopping_patience,
    }.items():
        if value not in ("last", None):
            raise ValueError(f"recipe.{key}={value}: there is no validation; data.val_split=0.1 keeps images for it")


def _check_balanced(datamodule: Any) -> None:
    """Refuse a balanced order of data that have another one, or a class without an image."""
    order = datamodule.hparams.get("order", "fresh")
    if order != "balanced":
        raise ValueError(
            f"recipe.order=balanced: the data have order={order}; data.order has to be ${{recipe.order}}, "
            f"and {type(datamodule).__name__} needs an argument order"
        )
    datamodule.training_batches()


def _order(settings: TrainSettings) -> Node:
    """What becomes of the order of presentation: to overfit some batches is to see the same ones in each epoch."""
    constant = settings.trainer.get("overfit_batches") and "order" in settings.data
    return {"order": "constant"} if constant else {}


def _try_forward(
    settings: TrainSettings, network: nn.Module, recipe: Recipe, datamodule: Any, trainer: "Trainer"
) -> None:
    """Refuse a network whose answers the loss cannot take, where the size of its images is known.

    Raises:
        ValueError: one line about what it returns, or about a batch that is too small for it.
    """
    data = settings.data
    if not {"in_channels", "image_size", "num_classes"} <= data.keys():
        return
    image = (data["in_channels"], data["image_size"], data["image_size"])
    try_on(network, recipe.loss, image, data["num_classes"], recipe.mixing)
    images = datamodule.num_images["train"] * data.get("passes_per_epoch", 1)
    sharing = trainer.world_size // 2 if settings.trainer["strategy"] == "two_towers" else trainer.world_size
    if trainer.limit_train_batches == 1.0 and recipe.fewest_images(images, sharing) == 1:
        _check_one_image(network, image, recipe, images, sharing)


def _check_one_image(
    network: nn.Module, image: tuple[int, int, int], recipe: Recipe, images: int, sharing: int
) -> None:
    if trains_on_one(network, image):
        return
    larger = range(recipe.batch_size, images + 1)
    sizes = (size for size in larger if replace(recipe, batch_size=size).fewest_images(images, sharing) > 1)
    size = next(sizes, None)
    raise ValueError(
        f"recipe.batch_size={recipe.batch_size}: of the {images} images of an epoch, one passes through the network "
        "alone, and batch normalisation needs more than one value"
        + (f"; recipe.batch_size={size} leaves none alone" if size else "")
    )


def _strategy(settings: TrainSettings, network: Any, recipe: Recipe, *, dense: bool) -> "Strategy | str":
    """How the run is spread over devices; refused where that cannot be, told where it was not asked for."""
    trainer = settings.trainer
    devices = num_devices(trainer["accelerator"], trainer["devices"]) * trainer["num_nodes"]
    name = trainer["strategy"]
    check_strategy(
        name, accelerator=trainer["accelerator"], num_devices=devices, network=network, recipe=recipe,
        compiled=settings.compile != "auto" and settings.compile, sync_batchnorm=trainer.get("sync_batchnorm", False),
        precision=str(trainer["precision"]), dense=dense,
    )  # fmt: skip
    if note := replicas_note(name, devices, network):
        print_note(note)
    return strategy_for(name, num_devices=devices, timeout_seconds=settings.timeout_seconds)


def note_start(settings: TrainSettings, assembly: Assembly, run: Run) -> None:
    """Say what is about to be trained: its network, data, device and folder, and how that computes."""
    module, datamodule, trainer = assembly
    if not trainer.is_global_zero:
        return
    parameters = sum(each.numel() for each in module.model.parameters())
    counts = ", ".join(f"{count:,} {split}" for split, count in datamodule.num_images.items() if count)
    images = f"{datamodule.source or type(datamodule).__name__} ({counts} images)"
    parts = [
        f"{type(module.model).__name__}, {parameters:,} parameters",
        images,
        describe_device(trainer.strategy.root_device),
        *computing(settings.trainer.get("precision"), settings.compile, trainer.strategy.root_device),
    ]
    print_start(run.folder, parts, resumed=bool(settings.resume))


def note_remarks(assembly: Assembly) -> None:
    """Say what a result on these data has to be read with; it is in run.json too."""
    if assembly.trainer.is_global_zero:
        for remark in assembly.datamodule.remarks:
            print_note(remark)


def note_emulation(settings: TrainSettings, trainer: "Trainer") -> None:
    """Say so if the CPU has no instructions for the precision that was chosen."""
    precision = str(settings.trainer["precision"])
    if precision.startswith("bf16") and trainer.strategy.root_device.type == "cpu" and emulates_bfloat16():
        print_note(
            f"trainer.precision={precision}: this CPU has no instructions for bfloat16 and is several times as "
            "slow with it; trainer.precision=32-true is faster here"
        )
