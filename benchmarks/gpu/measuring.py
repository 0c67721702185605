"""Rates on a device, side by side, and the rows that say what came of them."""

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

import torch

WARM_UP = 3
"""Steps before anything is timed: the allocator grows, kernels are chosen, graphs are captured."""


class Scale(NamedTuple):
    """Where and how large: a GPU and everything whole, or a CPU and the same code in small."""

    device: torch.device
    small: bool

    def of(self, whole: Any, small: Any) -> Any:
        """One of two values."""
        return small if self.small else whole

    @property
    def rounds(self) -> int:
        """How often each variant is timed."""
        return int(self.of(5, 2))

    @property
    def seconds(self) -> float:
        """How long a variant is timed in a round."""
        return float(self.of(0.7, 0.01))

    @property
    def compiler(self) -> str:
        """What torch.compile ends with: in small nothing is generated, which would take minutes on a CPU."""
        return str(self.of("inductor", "eager"))

    def wait(self) -> None:
        """Wait until the device has done all that it was told to."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: was measured.
        value: the median over rounds; None where there is none, and `note` says why.
        unit: of the value; `x` of a ratio.
        goal: for the value; None for one that is shown for comparison.
        at_most: whether the goal is an upper bound.
        note: how, or why not.
        rounds: the value of each round.
    """

    what: str
    value: float | None
    unit: str
    goal: float | None = None
    at_most: bool = False
    note: str = ""
    rounds: Sequence[float] = field(default_factory=list)

    @property
    def holds(self) -> bool | None:
        """Whether the goal is met; None without goal or value."""
        if self.goal is None or self.value is None:
            return None
        return self.value <= self.goal if self.at_most else self.value >= self.goal

    def noted(self, note: str) -> "Row":
        """The row with a note."""
        return replace(self, note=note)

    def as_json(self) -> dict[str, Any]:
        """The row in plain values."""
        return {**asdict(self), "holds": self.holds, "rounds": [float(f"{each:.6g}") for each in self.rounds]}


Measurement = Callable[[Scale, str], Iterator[Row]]
"""(scale, the folder with the data) -> rows, each as soon as it is known."""


def missing(what: str, why: object, unit: str = "", goal: float | None = None) -> Row:
    """A row without a value, and the reason."""
    return Row(what, None, unit, goal, note=" ".join(str(why).split())[:300])


class Rate:
    """A variant: how many images a second a step takes through, timed in blocks.

    Args:
        step: queues a training step, or whatever is measured.
        images: in each.
        scale: of the measurement.

    Attributes:
        peak_bytes: the most memory that a step had beside what was there before this variant; 0 on a CPU.
    """

    def __init__(self, step: Callable[[], object], images: int, scale: Scale) -> None:
        self._step, self._images, self._scale = step, images, scale
        for _ in range(scale.of(WARM_UP, 1)):
            step()
        self._reset_peak()
        self._count = 1
        seconds = images / self()
        self.peak_bytes = torch.cuda.max_memory_allocated() if scale.device.type == "cuda" else 0
        self._count = max(1, min(1000, round(scale.seconds / seconds)))

    def _reset_peak(self) -> None:
        self._scale.wait()
        if self._scale.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()

    def __call__(self) -> float:
        self._scale.wait()
        began = time.perf_counter()
        for _ in range(self._count):
            self._step()
        self._scale.wait()
        return self._images * self._count / (time.perf_counter() - began)


Rates = Mapping[str, list[float]]
"""Each variant's images a second in each round."""


def interleaved(variants: Mapping[str, Callable[[], float]], rounds: int) -> Rates:
    """Time all variants `rounds` times, in alternating order."""
    found: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds):
        for name in list(variants) if number % 2 == 0 else reversed(list(variants)):
            found[name].append(variants[name]())
    return found


def rate(what: str, rates: Rates, name: str, unit: str = "images/s") -> Row:
    """The median rate of a variant."""
    return Row(what, statistics.median(rates[name]), unit, rounds=rates[name])


def faster(rates: Rates, names: Sequence[str]) -> str:
    """Which of some variants is the fastest."""
    return max(names, key=lambda name: statistics.median(rates[name]))


def ratio(what: str, rates: Rates, over: str, under: str, goal: float | None, **more: Any) -> Row:
    """The median over rounds of one variant's rate divided by another's in the same round."""
    each = [a / b for a, b in zip(rates[over], rates[under], strict=True)]
    return Row(what, statistics.median(each), "x", goal, rounds=each, **more)


@contextmanager
def leaving_nothing() -> Iterator[None]:
    """After the block, the device's memory is free again, and nothing compiled is kept."""
    try:
        yield
    finally:
        gc.collect()
        torch.compiler.reset()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
