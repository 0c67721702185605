"""python -m benchmarks [--root FOLDER] [name ...]: all benchmarks, or those named.

`python -m benchmarks gpu` is a command of its own, see benchmarks/gpu.

Prints one table: each ratio, its target, and whether it is met. Exit code 1 if one is not.
"""

import argparse
import importlib
import sys
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.gpu.command import main as gpu
from benchmarks.timing import Claim, machine

BENCHMARKS = (
    "startup",
    "report",
    "web_page",
    "distortions",
    "photographs",
    "prepared",
    "shards",
    "cifar_epoch",
    "lenet5_epoch",
    "training_step",
    "devices",
    "replicas",
)


def main() -> int:
    """Measure and print; returns the exit code."""
    if sys.argv[1:2] == ["gpu"]:
        return gpu(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="benchmark", help=f"one of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument(
        "--root",
        default="../shared/data",
        help="the folder with MNIST's files and imagenet-sample (default: %(default)s)",
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there is {', '.join(BENCHMARKS)}")
    torch.set_num_threads(1)
    progress, console = Console(stderr=True), Console(width=None if sys.stdout.isatty() else 150)
    claims: list[Claim] = []
    for name in arguments.names or BENCHMARKS:
        began = time.monotonic()
        claims += importlib.import_module(f"benchmarks.{name}").measure(str(Path(arguments.root)))
        progress.print(f"{name}: measured in {time.monotonic() - began:.0f} s", highlight=False)
    console.print(_table(claims))
    console.print(machine(), highlight=False)
    return 0 if all(claim.holds is not False for claim in claims) else 1


def _table(claims: list[Claim]) -> Table:
    table = Table("measured", box=None, caption="medians of CPU time; rounds: the smallest and the largest", width=None)
    for column in ("CPU", "rounds", "wall", "target", "holds"):
        table.add_column(column, justify="right", no_wrap=True)
    for claim in claims:
        sign = "<=" if claim.at_most else ">="
        table.add_row(
            claim.what,
            f"{claim.value:.3g} {claim.unit}",
            f"{claim.spread[0]:.3g}-{claim.spread[1]:.3g}",
            f"{claim.by_the_clock:.3g}",
            "" if claim.bound is None else f"{sign} {claim.bound:g}",
            {None: "", True: "yes", False: "NO"}[claim.holds],
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
