"""The results of a run, printed at its end."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnlit.runs.folder import Run

NOTABLE_WAIT = 0.1
"""Fraction of a run's time; a longer wait for data is mentioned."""


def print_summary(
    run: Run,
    test: dict[str, float],
    *,
    val_error: Any,
    pictures: Mapping[str, Path],
    tracked: str | None,
    when_waiting: str | None,
) -> None:
    """Print the results of a run on stdout: as a table on a terminal, as plain lines elsewhere.

    Args:
        run: the run, at its end.
        test: the contents of its test.json.
        val_error: the last validation error, or None.
        pictures: the files that were drawn, by name.
        tracked: where W&B shows the run, or the command that uploads it.
        when_waiting: what to change if the device waited for data.
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
    if (waited := run.record.get("seconds_waiting", 0)) > NOTABLE_WAIT * run.seconds:
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
