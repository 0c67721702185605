"""What runs are compared by: a test metric, the last value of a curve, or the time to a target."""

import math
import re
from typing import Literal, NamedTuple

from cnnlit.inference.statistics import Interval
from cnnlit.runs.records import RunRecord


class Reading(NamedTuple):
    """A run's number; if the target was not `reached`, the point at which the run ended."""

    number: float
    reached: bool = True


RATES = ("precision", "recall", "_f1")
"""Fractions that are better when they are larger, as accuracies are."""


class Target(NamedTuple):
    """A bound on a curve: `train/error<=0.05`."""

    curve: str
    at_most: bool
    bound: float

    def __str__(self) -> str:
        return f"{self.curve} {'<=' if self.at_most else '>='} {shown(self.bound, self.curve)}"

    def met(self, number: float) -> bool:
        return number <= self.bound if self.at_most else number >= self.bound


def read_target(words: str) -> Target:
    """Parse a target.

    Raises:
        ValueError: if it is not one.
    """
    match = re.fullmatch(r"\s*([\w/@.-]+?)\s*(<=?|>=?)\s*([\d.]+(?:e-?\d+)?)\s*(%?)\s*", words)
    try:
        if match is None:
            raise ValueError
        return Target(match[1], match[2][0] == "<", float(match[3]) / (100 if match[4] else 1))
    except ValueError:
        raise ValueError(
            f"target={words}: must be a curve and a bound, such as train/error<=0.05 or val/accuracy>=99%"
        ) from None


class Measure(NamedTuple):
    """What runs are compared by.

    Attributes:
        metric: `test/error` or another of test.json; a curve of metrics.csv (`val/error`), for its last value;
            `seconds`, for the duration of the run; with a target, `epochs` or `seconds` until it is reached.
        target: a bound on a curve, or None.
    """

    metric: str
    target: Target | None = None

    @property
    def title(self) -> str:
        return f"{self.metric} to {self.target}" if self.target else self.metric

    @property
    def more_is_better(self) -> bool:
        return self.metric.endswith(RATES) or "accuracy" in self.metric or "per_second" in self.metric

    @property
    def of_test_images(self) -> bool:
        """Whether it is a mean over test images."""
        return self.target is None and self.metric.startswith("test/") and kind(self.metric) == "fraction"

    def possible(self, low: float, high: float) -> Interval:
        """The interval without impossible values: errors below zero or above one, times below zero."""
        fraction = kind(self.metric) == "fraction"
        least = 0.0 if fraction or self.metric in ("epochs", "seconds") else -math.inf
        return Interval(max(low, least), min(high, 1.0) if fraction else high)

    def show(self, number: float | None) -> str:
        """The number for people: a percentage, seconds."""
        return "" if number is None else shown(number, self.metric)

    def show_interval(self, low: float, high: float) -> str:
        """`[1.43, 5.42] %`."""
        finest = min(abs(low), abs(high))
        return _within(shown(low, self.metric, finest), shown(high, self.metric, finest))

    def show_difference(self, number: float, finest: float | None = None) -> str:
        """The difference with its sign, in percentage points for percentages."""
        sign = "+" if number > 0 else "\N{MINUS SIGN}" if number < 0 else ""
        return sign + shown(abs(number), self.metric, finest).replace(" %", " pp")

    def show_difference_interval(self, low: float, high: float) -> str:
        """`[-1.43, +5.42] pp`."""
        finest = min(abs(low), abs(high))
        return _within(self.show_difference(low, finest), self.show_difference(high, finest))

    def of(self, run: RunRecord) -> Reading:
        """The run's number.

        Raises:
            ValueError: if it has none, with the reason.
        """
        if self.target:
            return self._time_to(self.target, run)
        if self.metric == "seconds":
            number = run.seconds
        elif self.metric in run.test:
            number = run.test[self.metric]
        else:
            rows = [row[self.metric] for row in run.curves if self.metric in row]
            number = rows[-1] if rows else None
        if number is None:
            raise ValueError(f"no {self.metric}")
        if not math.isfinite(number):
            raise ValueError(f"{self.metric} is {number}")
        return Reading(number)

    def _time_to(self, target: Target, run: RunRecord) -> Reading:
        rows = [row for row in run.curves if target.curve in row]
        if not rows:
            raise ValueError(f"no {target.curve} in metrics.csv")
        for row in rows:
            if target.met(row[target.curve]):
                return Reading(self._time(row))
        return Reading(self._time(rows[-1]), reached=False)

    def _time(self, row: dict[str, float]) -> float:
        if self.metric == "epochs":
            return row["epoch"] + 1
        if "seconds" not in row:
            raise ValueError("no seconds in metrics.csv")
        return row["seconds"]


def measure_of(metric: str | None, target: str | None) -> Measure:
    """The measure that a user asks for.

    Args:
        metric: None for the test error or, with a target, for epochs.
        target: see `read_target`.

    Raises:
        ValueError: if the target cannot be parsed, or the metric does not go with one.
    """
    if target is None:
        return Measure(metric or "test/error")
    if metric not in (None, "epochs", "seconds"):
        raise ValueError(f"metric={metric}: with target={target} it must be epochs or seconds")
    return Measure(metric or "epochs", read_target(target))


Kind = Literal["fraction", "seconds", "number"]


def shown(number: float, metric: str, finest: float | None = None) -> str:
    """A number for people: fractions as percentages, seconds with their unit, others with four digits.

    Args:
        number: to format.
        metric: whose value it is.
        finest: the smallest of the numbers shown together, which sets the decimals of all.
    """
    size = abs(number)
    match kind(metric):
        case "fraction":
            fine = size if finest is None else finest
            return f"{100 * number:.{3 if 0 < fine < 0.0005 else 2}f} %".replace("-", "\N{MINUS SIGN}")
        case "seconds":
            return f"{number:,.0f} s" if size >= 100 else f"{number:.3g} s"
    return f"{number:,.0f}" if size >= 10_000 else f"{number:.4g}"


def _within(low: str, high: str) -> str:
    """Two numbers in brackets, with their unit once."""
    (one, _, unit), (other, _, same) = low.partition(" "), high.partition(" ")
    return f"[{one}, {other}] {unit}".rstrip() if unit == same else f"[{low}, {high}]"


def kind(metric: str) -> Kind:
    """How a metric is shown: errors and accuracies are fractions."""
    last = metric.rpartition("/")[2]
    if last.endswith(("error", "accuracy", *RATES)) or re.search(r"(error|accuracy)@\d+$", last):
        return "fraction"
    return "seconds" if last == "seconds" else "number"
