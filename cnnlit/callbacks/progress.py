"""What a run shows on the terminal: one bar while it trains, one table when it is done."""

import logging
import time
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

from lightning import Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from cnnlit.runs.folder import Run

REFRESH_SECONDS = 1.0
"""A drawing takes 10 ms, which is a percent of this."""

WAITING_SHARE = 0.1
"""Of a run's time: to wait longer for data is worth a word."""


class TrainingProgress(ProgressBar):
    """One bar for the whole training on a terminal, one line per epoch elsewhere; both on stderr.

    The bar looks at the clock each step and at the numbers only when it is drawn, so it costs microseconds.

    Args:
        console: where to write.
    """

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        self.console = console or Console(stderr=True)
        self._progress: Progress | None = None
        self._bar = TaskID(0)
        self._next_refresh = 0.0

    def disable(self) -> None:
        self.console.quiet = True

    def enable(self) -> None:
        self.console.quiet = False

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        if not trainer.is_global_zero or not self.console.is_terminal:
            return
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}"),
            console=self.console,
            auto_refresh=False,
            transient=True,
        )
        steps = int(trainer.estimated_stepping_batches)
        self._bar = self._progress.add_task("training", total=steps, completed=trainer.global_step, numbers="")
        self._progress.start()

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self._progress is not None and time.monotonic() > self._next_refresh:
            self._next_refresh = time.monotonic() + REFRESH_SECONDS
            self._draw(self._progress, trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        if self._progress is not None:
            self._draw(self._progress, trainer, pl_module)
        elif trainer.is_global_zero:
            numbers = self._numbers(trainer, pl_module)
            self.console.print(f"{self._epoch(trainer)}  {numbers}  {pl_module.seconds:.0f} s", highlight=False)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        self._close()

    def _draw(self, progress: Progress, trainer: Trainer, pl_module: Any) -> None:
        progress.update(
            self._bar,
            completed=trainer.global_step,
            description=self._epoch(trainer),
            numbers=self._numbers(trainer, pl_module),
        )
        progress.refresh()

    def _close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    @staticmethod
    def _epoch(trainer: Trainer) -> str:
        return f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"

    @staticmethod
    def _numbers(trainer: Trainer, pl_module: Any) -> str:
        running = pl_module.running.compute()
        text = f"loss {running['train/loss']:.4f}  train error {running['train/error']:.2%}"
        if "val/error" in trainer.callback_metrics:
            text += f"  val error {float(trainer.callback_metrics['val/error']):.2%}"
        return text


class NoProfiler(PassThroughProfiler):
    """Measures nothing, as Lightning's own default does, in a tenth of the time: it is asked 90 times a step."""

    _nothing: ClassVar[AbstractContextManager[None]] = nullcontext()

    def profile(self, action_name: str) -> Any:
        return self._nothing


def quieten() -> None:
    """Silence what Lightning says to everyone and what does not apply here; its warnings stay."""
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",  # a batch is an index: there is nothing for workers to do
        ".*your dataloader is not resumable.*",  # its sampler is: cnnlit.data.order
        ".*Checkpoint directory .* exists and is not empty.*",  # as it is when a run is resumed
        ".*The dirpath has changed.*",  # as it has when a run's folder was moved
        ".*callbacks used to create the checkpoint need to be provided.*",  # to test the network in it, they need not
        ".*is a wandb run already in progress.*",  # ours
        ".*smaller than the logging interval.*",  # this project logs once per epoch
        ".*LeafSpec.*",  # between Lightning and torch
        ".*sync_dist=True.*",  # what is logged is of all devices already
    ):
        warnings.filterwarnings("ignore", message)


@rank_zero_only
def print_note(text: str) -> None:
    """Tell on stderr, in one line, what was not asked for in so many words."""
    Console(stderr=True).print(text, highlight=False, markup=False, soft_wrap=True)


def print_summary(
    run: Run,
    test: dict[str, float],
    *,
    val_error: Any,
    pictures: Mapping[str, Path],
    tracked: str | None,
    when_waiting: str | None,
) -> None:
    """Print what a run came to on stdout: a table on a terminal, plain lines elsewhere.

    Args:
        run: that is done.
        test: its test.json.
        val_error: the last validation error, or None.
        pictures: that were drawn.
        tracked: where W&B shows the run, or how it will.
        when_waiting: what to turn if the device waited for data.
    """
    rows = {
        "test error": f"{test['test/error']:.2%}, {test['test/num_errors']} of {test['test/num_images']} images",
        "test loss": f"{test['test/loss']:.4f}",
    }
    if val_error is not None:
        rows["validation error"] = f"{float(val_error):.2%}"
    if "errors_of_1998/repeated" in test:
        rows["errors of 1998"] = (
            f"{test['errors_of_1998/repeated']} of LeNet-5's {test['errors_of_1998/published_errors']} repeated, "
            f"{test['errors_of_1998/repeated_same_answer']} with the same answer"
        )
    if sent := run.record.get("exchanged_bytes_per_step"):
        total = sum(sum(part.values()) if isinstance(part, dict) else part for part in sent.values())
        rows["sent in a step"] = f"{total / 1e6:.3g} MB by each device"
    rows["time"] = f"{run.seconds:.0f} s"
    if (waited := run.record.get("seconds_waiting", 0)) > WAITING_SHARE * run.seconds:
        rows["waited for data"] = f"{waited:.0f} s; {when_waiting}"
    rows["run"] = str(run.folder)
    if "errors" in pictures:
        rows["errors drawn"] = str(pictures["errors"])
    if tracked:
        rows["W&B"] = tracked
    console = Console()
    if not console.is_terminal:
        for name, value in rows.items():
            console.print(f"{name}: {value}", highlight=False, markup=False, soft_wrap=True)
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, Text(value))
    console.print(table, highlight=False)
