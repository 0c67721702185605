"""Choosing a value, such as the learning rate, for each arm on seeds that do not take part in the comparison."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cnnlit.analysis.measures import Measure, Reading, measure_of
from cnnlit.analysis.results import Measured
from cnnlit.runs.records import RunRecord


def measure_by(words: str) -> Measure:
    """What values are chosen by: a target, for the fewest epochs to it, or a curve, for its last value.

    Raises:
        ValueError: if it is of the test set, which decides nothing.
    """
    if words.startswith("test/"):
        raise ValueError(f"select.by={words}: the test set decides nothing; name a curve of training or validation")
    return measure_of(None, words) if re.search("[<>]", words) else Measure(words)


class Choice(NamedTuple):
    """The value that an arm's choosing runs were best with.

    Attributes:
        arm: the words of the command line that name it.
        key: whose value is chosen.
        readings: by value, as on the command line.
        measure: what it was chosen by.
    """

    arm: tuple[str, ...]
    key: str
    readings: dict[str, list[Reading]]
    measure: Measure

    @property
    def best(self) -> str:
        """The value with most runs that reached the target and, among these, the best mean."""
        return min(self.readings, key=self._rank)

    @property
    def edge(self) -> str:
        """`the largest tried` or `the smallest tried` if nothing lies beyond the best value; empty otherwise."""
        return at_edge(self.best, self.readings)

    def _rank(self, value: str) -> tuple[float, float]:
        found = self.readings[value]
        sign = -1 if self.measure.more_is_better else 1
        return -sum(each.reached for each in found) / len(found), sign * sum(each.number for each in found) / len(found)


def choices(records: Iterable[RunRecord], key: str, by: str) -> list[Choice]:
    """What was chosen for each arm, by runs that are there for nothing else.

    Args:
        records: of the choosing runs; those that did not finish are left out.
        key: whose value is chosen.
        by: see `measure_by`.
    """
    measure = measure_by(by)
    found: dict[tuple[str, ...], dict[str, list[Reading]]] = {}
    for record in records:
        value = next((word.partition("=")[2] for word in record.overrides if word.startswith(f"{key}=")), None)
        if record.state == "finished" and value is not None:
            found.setdefault(arm_of(record.overrides, key), {}).setdefault(value, []).append(measure.of(record))
    return [Choice(arm, key, readings, measure) for arm, readings in found.items()]


def arm_of(overrides: Iterable[str], key: str) -> tuple[str, ...]:
    """The words of a job that are neither its seed nor the value to be chosen."""
    return tuple(word.lstrip("+") for word in overrides if not word.startswith(("seed=", f"{key}=")))


def at_edge(value: str, tried: Iterable[str]) -> str:
    """Where a number lies at an end of those that were tried; empty if it does not, or if they are no numbers."""
    try:
        numbers = sorted(float(each) for each in tried)
    except ValueError:
        return ""
    if len(numbers) < 2 or numbers[0] < float(value) < numbers[-1]:
        return ""
    return "the smallest tried" if float(value) == numbers[0] else "the largest tried"


def not_bracketed(measured: Sequence[Measured], names: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """A line for each arm that is best at an end of a grid of numbers: beyond it, it might be better still.

    Args:
        measured: arms, the best first.
        names: of each factor, its word and the names of its levels, such as `lr=0.03`.
    """
    lines = []
    for place, (word, levels) in enumerate(names):
        values = [level.removeprefix(f"{word}=") for level in levels]
        best: dict[tuple[int, ...], Measured] = {}
        tried: dict[tuple[int, ...], list[str]] = {}
        for each in measured:
            others = each.arm.levels[:place] + each.arm.levels[place + 1 :]
            if each.readings:
                best.setdefault(others, each)
                tried.setdefault(others, []).append(values[each.arm.levels[place]])
        for others, each in best.items():
            if len(tried[others]) >= 3 and (edge := at_edge(values[each.arm.levels[place]], tried[others])):
                lines.append(f"{each.name} ({edge})")
    return lines
