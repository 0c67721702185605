"""python -m cnnlit.evaluate: test a trained network again, by any protocol, and keep the result beside its run.

What can be configured is in conf/evaluate.yaml and the groups that it names; --help lists it.
"""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge

from cnnlit import config
from cnnlit.config import Node

if TYPE_CHECKING:  # imported where they are needed, so that --help and mistakes are answered at once
    from lightning import Trainer

    from cnnlit.training.module import ImageClassification

TIMEOUT_SECONDS = 300.0
"""How long one of several devices waits for the others before the test ends."""


def evaluate(
    *,
    run: str | None,
    split: Literal["test", "val"],
    model: Node,
    data: Node,
    recipe: Node,
    protocol: Node,
    trainer: Node,
    seed: Annotated[int, Ge(0)],
    num_threads: Annotated[int, Ge(1)] | None,
    output: str | None,
) -> None:
    """Test the network of a run, or one with published weights, and print and write what that came to.

    Args:
        run: the folder of a run, whose model, recipe and data are taken; data.key=value changes its data.
        split: the images: the test's, or those that were held out for validation.
        model: without a run, an architecture with published weights.
        data: without a run, a LightningDataModule.
        recipe: without a run, a cnnlit.training.recipe.Recipe: its loss, its input's scale.
        protocol: a cnnlit.training.protocol.EvaluationProtocol.
        trainer: a lightning.Trainer.
        seed: of the data; changes nothing here.
        num_threads: of the processor, for the arithmetic; null for torch's choice.
        output: the folder of the result; null for `evaluations` in the run's, and without a run for none.
    """
    with config.refusing():
        from cnnlit.runs.reading import checkpoint_of, read_config

        checkpoint = None
        settings: Node = {"model": model, "data": data, "recipe": recipe, "seed": seed}
        if run:
            own = ("run=", "protocol", "trainer", "split=", "num_threads=", "output=")
            settings = config.overridden(read_config(Path(run)), data, evaluate, own, Path(run))
            checkpoint = str(checkpoint_of(Path(run)))
        else:
            config.require_weights(model)
        config.check_scale(settings["model"].get("weights"), settings["data"].get("normalization"))
        import torch
        from lightning import seed_everything

        from cnnlit.parallel.trainer import quieten
        from cnnlit.training.module import ImageClassification

        quieten()
        if num_threads:
            torch.set_num_threads(num_threads)
        seed_everything(settings["seed"], workers=True, verbose=False)
        network = config.build(config.without_sources(settings["model"]) if run else settings["model"])
        views = config.build(protocol)
        views.try_on(network, settings["data"])
        shown = {"views": protocol["views"]} if "views" in settings["data"] else {}
        datamodule = config.build({**settings["data"], **shown, "batch_size": 1})
        datamodule.tested = split
        datamodule.prepare_data()
        datamodule.setup("test")
        if not datamodule.num_images[split]:
            raise ValueError(f"split={split}: there are no such images; data.val_split=... holds some out")
        task = ImageClassification(network, recipe=config.build(settings["recipe"]), config=settings, protocol=views)
        loop = _build_trainer(trainer)
        began = time.perf_counter()
        # What a picture or the network refuses on the way is the user's to know too.
        loop.test(task, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True, verbose=False)
        seconds = time.perf_counter() - began
    if loop.is_global_zero:
        record = _record(task, split, seconds) | {"protocol": protocol["views"], "data": settings["data"]}
        _report(task, record, split, run, Path(output) if output else Path(run) / "evaluations" if run else None)


def _build_trainer(trainer: Node) -> "Trainer":
    from lightning.pytorch.callbacks import RichProgressBar

    from cnnlit.parallel.devices import keep_freed_memory, num_devices
    from cnnlit.parallel.strategies import strategy_for
    from cnnlit.runs.checkpoint_io import WholeCheckpoints

    if trainer["strategy"] not in ("auto", "ddp"):
        raise ValueError(f"trainer.strategy={trainer['strategy']}: a test is taken by replicas; use auto or ddp")
    devices = num_devices(trainer["accelerator"], trainer["devices"]) * trainer["num_nodes"]
    bar = sys.stderr.isatty()
    loop: Trainer = config.build(
        trainer,
        plugins=[WholeCheckpoints()],
        strategy=strategy_for("ddp", num_devices=devices, timeout_seconds=TIMEOUT_SECONDS),
        callbacks=[RichProgressBar(console_kwargs={"stderr": True})] if bar else [],
        enable_progress_bar=bar,
        enable_checkpointing=False,
        enable_model_summary=False,
        logger=False,
        use_distributed_sampler=False,
    )
    if loop.strategy.root_device.type == "cpu":
        keep_freed_memory()
    return loop


def _record(task: "ImageClassification", split: str, seconds: float) -> dict[str, Any]:
    from cnnlit.runs.origin import describe_device

    result = {f"{split}/{name.removeprefix('test/')}": value for name, value in task.test_result().items()}
    return {
        **result,
        f"{split}/seconds": round(seconds, 3),
        "device": describe_device(task.trainer.strategy.root_device),
        "evaluated": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _report(
    task: "ImageClassification", record: dict[str, Any], split: str, run: str | None, folder: Path | None
) -> None:
    """Write and print what a test came to."""
    from rich.console import Console

    from cnnlit.reports.evaluation_table import compared
    from cnnlit.reports.tables import print_page
    from cnnlit.runs.evaluations import predictions_table, write_evaluation

    changed = any(override.startswith("protocol.") for override in config.overrides())
    name = config.choice("protocol") + ("_changed" if changed else "")
    page = compared(split, name, record, Path(run) if run else None)
    if folder:
        assert task.test_predictions is not None
        file = f"{name}_val" if split == "val" else name
        page.append(str(write_evaluation(folder, file, record, predictions_table(*task.test_predictions))))
    print_page(page, Console())


main = config.entry_point(evaluate)

if __name__ == "__main__":
    main()
