"""A run's progress: a line per epoch, and below them one bar on a terminal, or one line in a notebook."""

import time
from typing import Any

from lightning import Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

REFRESH_SECONDS = 1.0
"""Drawing takes 10 ms, one percent of this."""


class NotebookCell:
    """One output of a notebook's cell that is written anew, where rich's bar would need ipywidgets."""

    def __init__(self) -> None:
        from IPython.display import display  # whoever is asked for one of these is in a notebook

        self._lines: list[str] = []
        self._handle = display(Lines(""), display_id=True)

    def show(self, line: str) -> None:
        """Show the kept lines and below them another."""
        self._handle.update(Lines("\n".join([*self._lines, line])))

    def keep(self, line: str) -> None:
        """Add a line to those that stay."""
        self._lines.append(line)
        self._handle.update(Lines("\n".join(self._lines)))


class Lines:
    """Text that IPython shows as it is.

    Args:
        text: of one or several lines.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


class TrainingProgress(ProgressBar):
    """A line per epoch on stderr, and below them, on a terminal, one bar for the whole training.

    Each step only looks at the clock, which takes microseconds; the numbers are read when the bar is drawn.

    Args:
        console: where to write.
    """

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        self.console = console or Console(stderr=True)
        self._progress: Progress | None = None
        self._cell: NotebookCell | None = None
        self._bar = TaskID(0)
        self._next_refresh = 0.0

    def disable(self) -> None:
        self.console.quiet = True

    def enable(self) -> None:
        self.console.quiet = False

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        if not trainer.is_global_zero:
            return
        if self.console.is_jupyter:
            self._cell = NotebookCell()
        if not self.console.is_terminal or self.console.is_dumb_terminal:
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
        shown = self._progress or self._cell
        if shown is not None and time.monotonic() > self._next_refresh:
            self._next_refresh = time.monotonic() + REFRESH_SECONDS
            if self._cell is not None:
                done = trainer.global_step / int(trainer.estimated_stepping_batches)
                self._cell.show(f"{self._epoch(trainer)}  {done:.0%}  {self._numbers(trainer, pl_module)}")
            if self._progress is not None:
                self._draw(self._progress, trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        if trainer.is_global_zero:
            line = f"{self._epoch(trainer)}  {self._numbers(trainer, pl_module)}  {pl_module.seconds:.0f} s"
            if self._cell is not None:
                self._cell.keep(line)
            else:
                self.console.print(line, highlight=False, soft_wrap=True)
        if self._progress is not None:
            self._draw(self._progress, trainer, pl_module)

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
        self._cell = None

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
