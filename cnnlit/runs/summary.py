"""What a run says on the terminal when it starts, when it is cut off, and when it is done."""

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnlit.files import shown
from cnnlit.runs.folder import Run, UnresumableError

NOTABLE_WAIT = 0.1
"""Fraction of a run's time; a longer wait for data is mentioned."""


def print_start(folder: Path, parts: Sequence[str], *, resumed: bool) -> None:
    """Print on stderr what is about to be trained, on what, and where the run is kept.

    Args:
        folder: of the run.
        parts: network, data, device, in words.
        resumed: whether the run goes on.
    """
    console = Console(stderr=True)
    line = f"{'; '.join(parts)}; {'goes on in' if resumed else 'run'} {shown(folder)}"
    console.print(line, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def saying_how_to_go_on(run: Run, signals: Mapping[int, str]) -> Iterator[None]:
    """A run that is cut off within this block, or fails, ends with a line that has the command to go on with it.

    Args:
        run: to be trained.
        signals: the name of each that cuts it off, which ends it with 128 and the signal's number.
    """
    try:
        yield
    except BaseException as error:
        code = error.code if isinstance(error, SystemExit) else None
        if not isinstance(error.__context__, UnresumableError):
            print_how_to_go_on(run, signals.get(code - 128, "failed") if isinstance(code, int) else "failed")
        raise


def print_how_to_go_on(run: Run, how: str) -> None:
    """Print on stderr, in the process that keeps the record, what ended a run and the command that goes on with it.

    Args:
        run: which is not finished.
        how: a signal, or `failed`.
    """
    if run.writes and run.record.get("state") != "finished":
        words = shlex.quote(f"resume={shown(run.folder)}")
        line = f"cnnlit: {how}; this goes on with the run: python -m cnnlit.train {words}"
        print(line, file=sys.stderr, flush=True)  # noqa: T201


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
    for name in ("tested", "ended"):
        if name in run.record:
            rows[name] = run.record[name]
    if "errors_of_1998/repeated" in test:
        rows["errors of 1998"] = (
            f"{test['errors_of_1998/repeated']} of the {test['errors_of_1998/published_errors']} images that LeNet-5 "
            f"got wrong in 1998 (LeCun et al., Fig. 8) are wrong here too, "
            f"{test['errors_of_1998/repeated_same_answer']} of them with the same answer"
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
    _print_rows(rows)


def print_next(run: Run, protocol: str | None) -> None:
    """Print on stderr which commands go on from a finished run.

    Args:
        run: the run.
        protocol: another than its own that its network can be tested by, if there is one.
    """
    folder = shlex.quote(f"run={shown(run.folder)}")
    lines = [
        *([f"python -m cnnlit.evaluate {folder} protocol={protocol}"] if protocol else []),
        f"python -m cnnlit.predict {folder} images=<file or folder>",
        f"python -m cnnlit.report {shlex.quote(f'runs={shown(run.folder)}')} format=html",
    ]
    for number, line in enumerate(lines):
        print(f"{'     ' if number else 'next:'} {line}", file=sys.stderr)  # noqa: T201


def _print_rows(rows: Mapping[str, str]) -> None:
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
