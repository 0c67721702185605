"""python -m benchmarks.gpu.child: measure what is named, one after the other, and write down each row at once.

A process of its own, so that what kills it takes no other measurement along: the command goes on with the next.
"""

import argparse
import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu import stand_ins
from benchmarks.gpu.budgets import BUDGETS, NETWORKS
from benchmarks.gpu.measuring import Measurement, Scale, leaving_nothing, missing
from benchmarks.timing import machine


def measurements() -> dict[str, Measurement]:
    """All of them, by the words of BUDGETS."""
    stand_ins.put_in_place()
    # Only now, for they import cnnlit, which may need a stand-in.
    from benchmarks.gpu import decoding, networks, pixels, small_networks

    return {
        **{name: partial(networks.measure, full) for name, full in NETWORKS.items()},
        **small_networks.MEASUREMENTS,
        **pixels.MEASUREMENTS,
        **decoding.MEASUREMENTS,
    }


class OverBudgetError(Exception):
    """A measurement has used up its time."""


def main() -> None:
    """Measure, and append to the file: what begins, each row, and first what it is measured on."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.child", description=__doc__)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    device = torch.device("cpu" if arguments.small else "cuda")
    if arguments.small:
        torch.set_num_threads(1)
    scale, measures = Scale(device, arguments.small), measurements()
    with arguments.to.open("a") as file:

        def tell(**what: Any) -> None:
            file.write(json.dumps({**what, "at": time.time()}) + "\n")
            file.flush()

        tell(measured_on=_card(scale), versions=machine())
        for name in arguments.names:
            tell(begins=name)
            try:
                with within(BUDGETS[name] * (10 if arguments.small else 1)):
                    for row in measures[name](scale, arguments.root):
                        tell(row=(replace(row, goal=None) if arguments.small else row).as_json(), of=name)
            except OverBudgetError:
                tell(row=missing(name, f"its {BUDGETS[name]} s were over").as_json(), of=name)
            except Exception as error:  # whatever it is, the others are measured
                tell(row=missing(name, f"{type(error).__name__}: {error}").as_json(), of=name)
            with leaving_nothing():
                tell(ended=name)


def _card(scale: Scale) -> str:
    if scale.device.type == "cpu":
        return "a CPU, in small: the numbers mean nothing"
    card = torch.cuda.get_device_properties(0)
    return f"{card.name}, {card.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """End the block with an error after so many seconds, as soon as Python is asked."""

    def over(*_: object) -> None:
        raise OverBudgetError

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


if __name__ == "__main__":
    main()
