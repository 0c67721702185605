"""Measure variants side by side, and compare ratios of two with targets."""

import gc
import platform
import re
import statistics
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import torch

PACKAGES = ("torch", "torchvision", "lightning", "torchmetrics", "hydra-core", "kornia", "rich")


class Cost(NamedTuple):
    """Seconds: CPU time of all threads of the process, and wall time."""

    cpu: float
    wall: float


Costs = Mapping[str, list[Cost]]
"""Each variant's cost in each round."""


class Claim(NamedTuple):
    """One line of the table: a measured value and its target."""

    what: str
    value: float
    """In CPU time."""
    bound: float | None
    """None for a value shown only for comparison."""
    at_most: bool
    """Whether the bound is an upper bound."""
    unit: str
    by_the_clock: float
    """The same value in wall time, which other processes on the machine affect."""
    spread: tuple[float, float]
    """The smallest and largest value of a single round, in CPU time."""

    @property
    def holds(self) -> bool | None:
        if self.bound is None:
            return None
        return self.value <= self.bound if self.at_most else self.value >= self.bound


class Clock:
    """CPU and wall time from `start` to `stop`."""

    def start(self) -> None:
        gc.collect()  # no variant pays for garbage of the one before
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stop(self) -> Cost:
        return Cost(time.process_time() - self._cpu, time.perf_counter() - self._wall)


def timed(function: Callable[[], object]) -> Callable[[], Cost]:
    """A variant that measures each call of `function`."""

    def measured() -> Cost:
        clock = Clock()
        clock.start()
        function()
        return clock.stop()

    return measured


def interleaved(variants: Mapping[str, Callable[[], Cost]], rounds: int) -> Costs:
    """Run all variants `rounds` times, in alternating order, after one warm-up round."""
    costs: dict[str, list[Cost]] = {name: [] for name in variants}
    for number in range(rounds + 1):
        for name in list(variants) if number % 2 else reversed(list(variants)):
            cost = variants[name]()
            if number:
                costs[name].append(cost)
    return costs


def ratio(
    what: str, costs: Costs, over: str, under: str, *, bound: float | None, at_most: bool, per: float = 1
) -> Claim:
    """The median over rounds of the cost of `over` divided by that of `under` in the same round.

    Args:
        what: description of the comparison.
        costs: from `interleaved`.
        over: the variant in the numerator.
        under: the variant in the denominator.
        bound: target for the ratio, or None.
        at_most: whether the bound is an upper bound.
        per: how many times as much work `over` did as `under`.
    """
    rounds = list(zip(costs[over], costs[under], strict=True))
    cpu = [a.cpu / b.cpu / per for a, b in rounds]
    wall = [a.wall / b.wall / per for a, b in rounds]
    return Claim(what, statistics.median(cpu), bound, at_most, "x", statistics.median(wall), (min(cpu), max(cpu)))


def seconds(
    what: str, costs: Costs, name: str, *, bound: float | None = None, per: float = 1, unit: str = "s"
) -> Claim:
    """The median cost of a variant, divided by `per`: the number of steps or images, times the unit in seconds."""
    cpu = [cost.cpu / per for cost in costs[name]]
    wall = [cost.wall / per for cost in costs[name]]
    return Claim(what, statistics.median(cpu), bound, True, unit, statistics.median(wall), (min(cpu), max(cpu)))


def machine() -> str:
    """What the numbers were measured on and with."""
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.is_file() else None
    name = model[1] if model else platform.processor() or platform.machine()
    versions = [f"{package} {metadata.version(package)}" for package in PACKAGES if _installed(package)]
    return f"{name}, {torch.get_num_threads()} thread; Python {platform.python_version()}, {', '.join(versions)}"


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
