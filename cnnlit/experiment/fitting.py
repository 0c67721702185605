"""A run from its first step to its record: track, fit, test, draw, finish."""

import inspect
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from cnnlit import config
from cnnlit.callbacks import lowest_error, stop_signals, without_averaging
from cnnlit.callbacks.lowest_error import LowestError
from cnnlit.callbacks.run_figures import RunFigures
from cnnlit.config import Node
from cnnlit.data.loading.decoding import UnreadableError
from cnnlit.data.workers.watched import WorkerError, telling_of_workers
from cnnlit.experiment.assembly import Assembly
from cnnlit.experiment.settings import TrainSettings
from cnnlit.files import UnwritableError
from cnnlit.parallel.devices import smaller_tests, telling_full_memory
from cnnlit.parallel.processes import failing_together
from cnnlit.parallel.signals import without_warning
from cnnlit.runs.checkpoint_io import TO_RESUME, check_fits, saying_what_lacks
from cnnlit.runs.folder import Run, RunError
from cnnlit.runs.metrics_file import MetricsFile
from cnnlit.runs.reading import checkpoint_of, read_metrics
from cnnlit.runs.summary import print_how_to_go_on, print_next, print_summary
from cnnlit.tracking import loggers

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger


ENDINGS = (RunError, UnwritableError, UnreadableError, WorkerError)
"""Errors that end a run and that its one line explains."""


def fit_and_test(run: Run, assembly: Assembly, settings: TrainSettings, *, says: bool = True) -> float:
    """Train to the end, test once, draw; the run's record says how that went, whatever happens.

    Args:
        run: opened.
        assembly: what trains it.
        settings: of the run.
        says: whether to print the results and what comes next.

    Returns:
        The validation error of the network that is tested, or without a validation set the test error.
    """
    with _recorded(run, assembly):
        if remarks := list(assembly.datamodule.remarks):
            run.record["data_remarks"] = remarks
        if names := list(assembly.datamodule.class_names):
            run.record["class_names"] = names
        _track(run, assembly, settings)
        figures = RunFigures(run.folder)
        val_error = _fit(run, assembly, figures)
        test = _test(run, assembly, figures)
        if val_error is not None:
            run.record["val/error"] = val_error
        run.finish(test)
        kept = [checkpoint_of(run.folder), run.folder / "config.yaml", run.folder / "test.json"]
        if assembly.trainer.is_global_zero:
            loggers.keep_network(assembly.trainer.loggers, kept, test)
        if says and assembly.trainer.is_global_zero and not run.is_of_a_stack:
            print_summary(
                run,
                test,
                val_error=val_error,
                pictures=figures.paths,
                tracked=loggers.where(),
                when_waiting=assembly.datamodule.when_waiting(),
            )
            print_next(run, _other_protocol(settings, draws=assembly.datamodule.takes_drawings))
    return test["test/error"] if val_error is None else val_error


@contextmanager
def _recorded(run: Run, assembly: Assembly) -> Iterator[None]:
    """However the block ends, its run, its tracker and the other processes of the run hear of it."""
    trainer = assembly.trainer
    # Signals last: SLURM ends the job that it is asked to queue again.
    signals = stop_signals(trainer)
    together = failing_together(trainer.strategy, partial(_fail, run), signals)
    with signals, run, loggers.closing(), together, telling_of_workers(assembly.datamodule.timeout_seconds):
        yield


def _fail(run: Run, reason: str) -> None:
    run.fail(reason)
    print_how_to_go_on(run, "failed")


def _other_protocol(settings: TrainSettings, *, draws: bool) -> str | None:
    if "views" not in settings.data or settings.protocol["views"]:
        return None
    if "distortion" not in settings.data:
        return "ten_crop"
    return "shifts" if draws else None  # small images that are not characters have neither crops nor shifts


def _track(run: Run, assembly: Assembly, settings: TrainSettings) -> None:
    trainer = assembly.trainer
    tracked = settings.logger and trainer.is_global_zero
    with without_warning():
        trackers = _trackers(run, settings.logger) if tracked else []
    trainer.loggers = [MetricsFile(run.folder), *trackers]
    for logger in trainer.loggers:
        logger.log_hyperparams(run.config)
    if trackers and run.is_of_a_stack:  # its training is over, and the trackers have not seen it
        for row, tracker in itertools.product(read_metrics(run.folder), trackers):
            tracker.log_metrics({name: float(value) for name, value in row.items() if value}, int(row["step"]))


def _trackers(run: Run, node: Node) -> "list[Logger]":
    """The loggers of a node, which is one or holds several under names of the user's; ours are told of the run.

    Raises:
        RunError: if a package is missing.
    """
    offered = {"folder": run.folder, "run_id": run.record["id"], "save_dir": str(run.folder)}
    trackers = []
    for each in [node] if "_target_" in node else node.values():
        known = inspect.signature(config.named(each["_target_"])).parameters
        required = {name for name, parameter in known.items() if parameter.default is inspect.Parameter.empty}
        try:
            tracker = config.build(each, **{key: offered[key] for key in offered.keys() & required - each.keys()})
        except ImportError as error:
            raise RunError(f"logger: {each['_target_']} needs a package that is missing: {error}") from None
        trackers += [tracker] if tracker else []
    return trackers


def _fit(run: Run, assembly: Assembly, figures: RunFigures) -> float | None:
    """Train from the last checkpoint, if there is one, to the end; the validation error of the network to be tested."""
    module, datamodule, trainer = assembly
    trainer.callbacks.append(figures)  # type: ignore[attr-defined]
    if checkpoint := run.sound_checkpoint():
        check_fits(checkpoint, module.state_dict(), TO_RESUME)
    with saying_what_lacks(checkpoint), telling_full_memory(RunError, _smaller_steps(assembly)):
        trainer.fit(module, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)
    measured = trainer.callback_metrics
    if trainer.world_size > 1:
        run.record["exchanged_bytes_per_step"] = trainer.strategy.exchanged()  # type: ignore[attr-defined]  # ours
    if "seconds_waiting" in measured:
        run.record["seconds_waiting"] = round(float(measured["seconds_waiting"]), 3)
    if trainer.current_epoch < module.recipe.epochs:
        run.record["ended"] = f"in epoch {trainer.current_epoch} of {module.recipe.epochs}, step {trainer.global_step}"
    if lowest := _best(assembly):
        run.record["tested"] = f"the network after epoch {lowest.epoch}, the first with the lowest validation error"
        return lowest.error
    error: Any = measured.get("val/error")
    if error is None and (rows := read_metrics(run.folder)):  # the run was interrupted in its test
        error = rows[-1].get("val/error") or None
    if error is None and datamodule.num_images["val"] and trainer.limit_val_batches:  # it ended before its first one
        (validated,) = trainer.validate(module, datamodule=datamodule, verbose=False)
        error = validated["val/error"]
    return None if error is None else float(error)


def _smaller_steps(assembly: Assembly) -> str:
    """What takes less memory in training."""
    recipe, trainer = assembly.module.recipe, assembly.trainer
    at_once = recipe.micro_batch_size or -(-recipe.batch_size // trainer.world_size)
    return (
        f"{at_once} images pass through the network at once; recipe.micro_batch_size={max(1, at_once // 2)} makes the "
        "same steps with fewer, trainer.precision=bf16-mixed takes about half for each; if it was in validation, "
        + smaller_tests(assembly.datamodule)
    )


def _best(assembly: Assembly) -> LowestError | None:
    """What is known of the best network, if that is the one to be tested."""
    return lowest_error(assembly.trainer) if assembly.module.recipe.checkpoint == "best" else None


def _test(run: Run, assembly: Assembly, figures: RunFigures) -> dict[str, float]:
    module, datamodule, trainer = assembly
    trainer.callbacks = [*(each for each in trainer.callbacks if each is not figures), figures]  # type: ignore[attr-defined]
    best = run.best_checkpoint if _best(assembly) else None
    if best:
        trainer.callbacks = without_averaging(trainer.callbacks)  # type: ignore[attr-defined]
    with telling_full_memory(RunError, smaller_tests(datamodule)):
        trainer.test(module, datamodule=datamodule, ckpt_path=best, weights_only=True, verbose=False)
    test = module.test_result()
    if figures.comparison:
        test |= {f"errors_of_1998/{name}": count for name, count in figures.comparison._asdict().items()}
    return test
