"""python -m cnnlit.evaluate: test a trained network again, by any protocol, and keep the result beside its run.

What can be configured is in conf/evaluate.yaml and the groups that it names; --help lists it.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge

from cnnlit import config
from cnnlit.config import Also, Node
from cnnlit.experiment.settings import NetworkSettings
from cnnlit.files import check_place
from cnnlit.parallel.trainer_arguments import Precision, check_words

if TYPE_CHECKING:  # imported where they are needed, so that --help and mistakes are answered at once
    from lightning import Trainer

    from cnnlit.data.datamodule import ResumableData
    from cnnlit.runs.evaluations import TestedSet
    from cnnlit.training.module import ImageClassification

TIMEOUT_SECONDS = 300.0
"""How long one of several devices waits for the others before the test ends."""

OWN = ("run=", "protocol", "trainer", "split=", "num_threads=", "output=")
"""How the words of the command line begin that say nothing about the run."""


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings(NetworkSettings):
    """What `python -m cnnlit.evaluate` takes; see conf/evaluate.yaml."""

    run: str | None
    split: Literal["test", "val"]
    trainer: Annotated[Node, Also({"precision": Precision})]
    num_threads: Annotated[int, Ge(1)] | None
    output: str | None

    def check_typed(self) -> None:
        """See NetworkSettings."""
        check_words(self.trainer)
        self.check_origin(self.run)
        if self.folder:
            check_place(self.folder, "output")

    @property
    def folder(self) -> Path | None:
        """Where the result goes; None for nowhere."""
        if self.output:
            return Path(self.output)
        return Path(self.run) / "evaluations" if self.run else None

    def tested_set(self, datamodule: "ResumableData") -> "TestedSet":
        """Whether the images are the run's own, and what their evaluation is called."""
        from cnnlit.runs.evaluations import tested_set
        from cnnlit.runs.reading import read_config

        return tested_set(self.data, read_config(Path(self.run))["data"] if self.run else None, datamodule.source)


def evaluate(settings: EvaluateSettings) -> None:
    """Test the network of a run, or one with published weights, and print and write the result."""
    with config.refusing():
        settings, checkpoint = _what_to_test(settings)
        module, datamodule, remarks = _build(settings, checkpoint)
        trainer = _build_trainer(settings.trainer)
        _note_remarks(trainer, remarks)
        began = time.perf_counter()
        # What an image or the network refuses on the way is the user's to know too.
        with _telling_what_fails(module, datamodule, checkpoint):
            trainer.test(module, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True, verbose=False)
        seconds = time.perf_counter() - began
    if trainer.is_global_zero:
        record = _record(settings, module, datamodule, remarks, seconds)
        _print(settings, record, module)
        if settings.folder:
            with config.refusing(exit_code=1):  # the result is out, whatever becomes of its file
                _write(settings.folder, settings.split, module, record)


def _what_to_test(settings: EvaluateSettings) -> tuple[EvaluateSettings, str | None]:
    """The settings with the run's model, recipe and data, and its checkpoint; or with published weights, and None."""
    settings = settings.of_run_or_weights(settings.run, evaluate, OWN)
    if not settings.run:
        return settings, None
    from cnnlit.parallel.trainer import print_note
    from cnnlit.runs.reading import BEST, checkpoint_of, network_of

    run = Path(settings.run)
    checkpoint = str(checkpoint_of(run))
    if checkpoint.endswith(BEST):
        print_note(f"run={run}: {network_of(run)}")
    return settings, checkpoint


def _build(
    settings: EvaluateSettings, checkpoint: str | None
) -> "tuple[ImageClassification, ResumableData, list[str]]":
    import torch

    from cnnlit.parallel.trainer import quieten
    from cnnlit.training.module import ImageClassification

    quieten()
    if settings.num_threads:
        torch.set_num_threads(settings.num_threads)
    network = settings.build_trained_network(from_checkpoint=bool(settings.run))
    protocol = settings.build_protocol(network)
    datamodule = settings.build_test_data()
    datamodule.tested = settings.split
    remarks = _set_up(settings, datamodule, checkpoint)
    if not datamodule.num_images[settings.split]:
        raise ValueError(f"split={settings.split}: there are no such images; data.val_split=... holds some out")
    recipe, classes = config.build(settings.recipe), settings.data["num_classes"]
    module = ImageClassification(network, recipe=recipe, num_classes=classes, seed=settings.seed, protocol=protocol)
    if datamodule.absent_classes and settings.data.get("mask_absent"):
        absent = set(datamodule.absent_classes)
        module.restrict_answers(torch.tensor([label for label in range(classes) if label not in absent]))
    return module, datamodule, [*remarks, *datamodule.remarks]


def _set_up(settings: EvaluateSettings, datamodule: "ResumableData", checkpoint: str | None) -> list[str]:
    """Find the images to test with, under the labels of the network; what of them differs from what was trained on."""
    from cnnlit.data.sources.listing_file import LISTING, changes

    run, others = (Path(settings.run) if settings.run else None), bool(settings.tested_set(datamodule).name)
    listed = run is not None and (run / LISTING).is_file()
    settings.tell_classes(datamodule, Path(checkpoint) if checkpoint else None)
    datamodule.as_0_1 = run is not None and not (others or listed)
    datamodule.prepare_data()
    changed = changes(run, datamodule.listed()) if run and listed else None
    # None of another set's images were trained on; a set that was only moved is no other.
    datamodule.tests_all = others and (run is None or changed is not None)
    datamodule.setup("test")
    datamodule.check_classes()
    if others and not datamodule.known_classes:
        return ["it is not known which classes the network was trained on: labels go by the places of the classes"]
    return [] if others or not changed else [f"the images are no longer those that run={run} began with: {changed}"]


@contextmanager
def _telling_what_fails(
    module: "ImageClassification", datamodule: "ResumableData", checkpoint: str | None
) -> Iterator[None]:
    """Refuse a checkpoint that does not hold the network; within, what else may go wrong in a test is one line."""
    from cnnlit.data.workers.watched import telling_of_workers
    from cnnlit.parallel.devices import smaller_tests, telling_full_memory
    from cnnlit.runs.checkpoint_io import TO_TEST, check_fits, saying_what_lacks

    path = Path(checkpoint) if checkpoint else None
    if path:
        check_fits(path, module.state_dict(), TO_TEST)
    full_memory = telling_full_memory(ValueError, smaller_tests(datamodule))
    with saying_what_lacks(path), telling_of_workers(datamodule.timeout_seconds), full_memory:
        yield


def _note_remarks(trainer: "Trainer", remarks: list[str]) -> None:
    """Say what the result has to be read with."""
    from cnnlit.parallel.trainer import print_note

    for remark in remarks if trainer.is_global_zero else ():
        print_note(remark)


def _build_trainer(trainer: Node) -> "Trainer":
    from lightning.pytorch.callbacks import RichProgressBar

    from cnnlit.parallel.devices import chosen_precision, keep_freed_memory, num_devices
    from cnnlit.parallel.strategies import strategy_for
    from cnnlit.parallel.worlds import cluster_environment, in_launched_world
    from cnnlit.runs.checkpoint_io import WholeCheckpoints

    if trainer["strategy"] not in ("auto", "ddp"):
        raise ValueError(f"trainer.strategy={trainer['strategy']}: a test is taken by replicas; use auto or ddp")
    trainer = in_launched_world(trainer, config.overrides())
    devices = num_devices(trainer["accelerator"], trainer["devices"]) * trainer["num_nodes"]
    precision = chosen_precision(trainer.get("precision"), trainer["accelerator"], half=False)
    bar = sys.stderr.isatty()
    built: Trainer = config.build(
        {**trainer, "precision": precision},
        plugins=[WholeCheckpoints(), cluster_environment()],
        strategy=strategy_for("ddp", num_devices=devices, timeout_seconds=TIMEOUT_SECONDS),
        callbacks=[RichProgressBar(console_kwargs={"stderr": True})] if bar else [],
        enable_progress_bar=bar,
        enable_checkpointing=False,
        enable_model_summary=False,
        logger=False,
        use_distributed_sampler=False,
    )
    if built.strategy.root_device.type == "cpu":
        keep_freed_memory()
    return built


def _record(
    settings: EvaluateSettings,
    module: "ImageClassification",
    datamodule: "ResumableData",
    remarks: list[str],
    seconds: float,
) -> dict[str, Any]:
    """What is written about a test: its result, and what it was taken of."""
    from cnnlit.runs.origin import describe_device
    from cnnlit.runs.reading import network_of

    split = settings.split
    result = {f"{split}/{name.removeprefix('test/')}": value for name, value in module.test_result().items()}
    run = Path(settings.run) if settings.run else None
    return {
        **result,
        f"{split}/seconds": round(seconds, 3),
        "device": describe_device(module.trainer.strategy.root_device),
        "evaluated": datetime.now(UTC).isoformat(timespec="seconds"),
        **({"tested": network_of(run)} if run else {}),
        "protocol": settings.protocol["views"],
        "set": settings.tested_set(datamodule)._asdict(),
        "data": settings.data,
        "data_remarks": remarks,
    }


def _print(settings: EvaluateSettings, record: dict[str, Any], module: "ImageClassification") -> None:
    from rich.console import Console

    from cnnlit.reports.evaluation_table import compared
    from cnnlit.reports.tables import print_page
    from cnnlit.runs.evaluations import TestedSet
    from cnnlit.training.losses import is_of_softmax

    tested = TestedSet(**record["set"])
    own = Path(settings.run) if settings.run and not tested.name else None
    name = " ".join(filter(None, (tested.name, _protocol())))
    page = compared(settings.split, name, record, own, of_softmax=is_of_softmax(module.loss))
    print_page(page, Console())


def _write(folder: Path, split: str, module: "ImageClassification", record: dict[str, Any]) -> None:
    from cnnlit.runs.evaluations import TestedSet, evaluation_name, predictions_table, write_evaluation

    assert module.test_predictions is not None
    tested = TestedSet(**record["set"])
    parts = (_protocol(), "val" if split == "val" else "", "masked" if module.answerable is not None else "")
    name = evaluation_name(folder, tested, *parts)
    path = write_evaluation(folder, name, record, predictions_table(*module.test_predictions))
    sys.stdout.write(f"{path}\n")


def _protocol() -> str:
    """The name of the protocol, or that of the one which was changed."""
    changed = any(override.startswith("protocol.") for override in config.overrides())
    return config.choice("protocol") + ("_changed" if changed else "")


main = config.entry_point(evaluate)

if __name__ == "__main__":
    main()
