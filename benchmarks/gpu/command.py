"""python -m benchmarks gpu [--small] [name ...]: measure one GPU within eight minutes, and write the table.

Each measurement has a time of its own, and what fails, is missing or was not begun is a row with its reason; named
alone, it is measured in a second go, and the table keeps what the first one found on the same card with the same
versions. --small runs the same code to its end on a CPU, in a few minutes; its numbers mean nothing, and it writes only
where --to says.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.gpu.budgets import BUDGETS, WHOLE
from benchmarks.gpu.page import table, write

DOCS = Path(__file__).parents[2] / "docs"
GRACE_SECONDS = 15.0
"""How long a measurement may take to notice that its time is over, before its process is ended."""
POLL_SECONDS = 0.2
CHILD = [sys.executable, "-m", "benchmarks.gpu.child"]
"""What measures."""

Told = dict[str, Any]
"""A line that the process which measures has written."""


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print and write; returns the exit code: 1 if a goal is missed, 2 without a GPU."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="measurement", help=f"of {', '.join(BUDGETS)}; default: all")
    parser.add_argument("--small", action="store_true", help="the same code in small on a CPU")
    parser.add_argument("--root", default="../shared/data", help="the folder with the data (default: %(default)s)")
    parser.add_argument("--to", type=Path, help="the folder for performance_gpu.md and .json (default: docs)")
    arguments = parser.parse_args(words)
    if unknown := set(arguments.names) - set(BUDGETS):
        parser.error(f"no measurement {', '.join(sorted(unknown))}; there is {', '.join(BUDGETS)}")
    said, shown = Console(stderr=True, soft_wrap=True, highlight=False), Console(soft_wrap=True, highlight=False)
    if not arguments.small and not _has_gpu():
        said.print("python -m benchmarks gpu: PyTorch sees no GPU here; --small tries the same code on the CPU")
        return 2
    told = list(measured(arguments.names or list(BUDGETS), arguments.root, small=arguments.small))
    rows = [line["row"] for line in told if "row" in line]
    shown.print("\n".join(table(rows)), markup=False)
    if where := arguments.to or (None if arguments.small else DOCS):
        said.print(f"written to {write(told, where)}")
    return int(any(row["holds"] is False for row in rows))


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def measured(names: Sequence[str], root: str, *, small: bool) -> Iterator[Told]:
    """What processes tell that measure all of these, one after the other, within the time of all together."""
    began, left = time.time(), list(names)
    seconds = WHOLE * (10 if small else 1)
    while left:
        if time.time() - began > seconds:
            yield from (_without_value(name, f"not begun: the {WHOLE} s were over; name it alone") for name in left)
            return
        done = 0
        for line in _of_a_process(left, root, began + seconds, small=small):
            done += "ended" in line
            yield line
        left = left[done:]


def _of_a_process(names: Sequence[str], root: str, until: float, *, small: bool) -> Iterator[Told]:
    """What one process tells, which is ended when a measurement does not end, or all together have had their time."""
    factor = 10 if small else 1
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.jsonl"
        file.touch()
        command = [*CHILD, *names, "--to", str(file), "--root", root]
        process = subprocess.Popen([*command, *(["--small"] if small else [])], stdout=sys.stderr)
        told, current, since = 0, "", time.time()
        try:
            while True:
                ended = process.poll() is not None
                lines = file.read_text().splitlines()
                for line in map(json.loads, lines[told:]):
                    current, since = (line["begins"], line["at"]) if "begins" in line else (current, since)
                    current = "" if "ended" in line else current
                    yield line
                told = len(lines)
                late = current and time.time() - since > BUDGETS[current] * factor + GRACE_SECONDS
                if ended or late or (not current and told > 1 and time.time() > until):
                    break
                time.sleep(POLL_SECONDS)
        finally:
            process.kill()
            code = process.wait()
    if current or not told:
        name = current or names[0]
        yield _without_value(name, "its time was over" if late else f"its process ended with exit code {code}")
        yield {"ended": name}


def _without_value(name: str, why: str) -> Told:
    row: Told = {"what": name, "value": None, "unit": "", "goal": None, "at_most": False, "note": why, "rounds": []}
    return {"row": {**row, "holds": None}, "of": name}
