"""Loggers that write metrics.csv: a run's curves, one row per epoch, whatever else tracks it."""

import csv
import io
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from cnnlit.files import write_whole
from cnnlit.runs.reading import read_metrics


class MetricsLogger(Logger):
    """What a logger of metrics.csv says of itself; config.yaml has the hyperparameters."""

    @property
    def name(self) -> str:
        return "metrics"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Does nothing."""


class MetricsFile(MetricsLogger):
    """Logs to metrics.csv, one row per logged step, that is, per epoch; the file is rewritten whole each time.

    What callbacks log of steps within an epoch waits for the epoch's row, which gets the latest values. Lightning's own
    CSV logger deletes the existing rows when a run is resumed.

    Args:
        folder: the run's.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path = folder / "metrics.csv"
        self._of_steps: dict[str, float] = {}
        self.rows: dict[int, dict[str, Any]] = {int(row["step"]): dict(row) for row in read_metrics(folder)}

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if any(name.startswith("test/") for name in metrics):
            return  # test.json has them
        if not any(name.startswith(("train/", "val/")) for name in metrics):
            self._of_steps |= metrics
            return
        metrics = {**self._of_steps, **metrics}
        self._of_steps = {}
        step = step or 0
        # A resumed run replaces what was logged after its checkpoint.
        self.rows = {key: row for key, row in self.rows.items() if key <= step}
        self.rows.setdefault(step, {"step": step}).update(metrics)
        columns = dict.fromkeys(name for row in self.rows.values() for name in row)
        table = io.StringIO()
        writer = csv.DictWriter(table, sorted(columns, key=_rank), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows.values())
        write_whole(self.path, table.getvalue())


class ReplicaMetrics(MetricsLogger):
    """A MetricsFile for each of the seeds that are trained in lock-step.

    Args:
        folders: of their runs.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        super().__init__()
        self.files = [MetricsFile(folder) for folder in folders]

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Log values that all seeds share, as numbers, and values of each seed, as lists."""
        for replica, file in enumerate(self.files):
            own = {name: value[replica] if isinstance(value, list) else value for name, value in metrics.items()}
            file.log_metrics(own, step)


def _rank(column: str) -> tuple[bool, bool, str]:
    # Columns that differ only in the layer stay in the order of the layers.
    return column != "epoch", column != "step", column.rpartition("/")[0]
