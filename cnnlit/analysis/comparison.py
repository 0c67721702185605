"""The arms of an experiment held against one another: each one's numbers, and the differences of pairs of arms."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple

from cnnlit.analysis import arms as grouping
from cnnlit.analysis import statistics
from cnnlit.analysis.arms import Arm, Arms
from cnnlit.analysis.measures import Measure, Reading
from cnnlit.analysis.statistics import Contrast, Interval, Summary
from cnnlit.runs.records import RunRecord

MOST_ARMS_IN_PAIRS = 6
"""Of more arms not every pair is shown, but each arm against the best."""


@dataclass(frozen=True)
class Measured:
    """An arm and its runs' numbers.

    Attributes:
        readings: by block, a seed and what else runs are paired by.
        summary: of the numbers, those included at which a run ended without reaching its target; None without any.
        middle: the median time to a target, if half of the runs reached it.
        sampling: of a single run's test error, for the test images are a sample.
    """

    arm: Arm
    readings: dict[str, Reading]
    summary: Summary | None
    middle: float | None = None
    sampling: Interval | None = None

    @property
    def name(self) -> str:
        return self.arm.name

    @property
    def numbers(self) -> list[float]:
        return [reading.number for reading in self.readings.values()]

    @property
    def num_reached(self) -> int:
        return sum(reading.reached for reading in self.readings.values())

    @property
    def censored(self) -> bool:
        """Whether a run ended before its target."""
        return self.num_reached < len(self.readings)


@dataclass(frozen=True)
class ArmComparison:
    """Two arms.

    Attributes:
        blocks: the names of the pairs.
        alone: blocks of either arm that the other one lacks; they play no part where there are pairs.
        p: of the difference, corrected for the number of comparisons.
        num_tests: for how many it is corrected.
        ratio: how many times the second's time the first one's is, of pairs.
    """

    one: Measured
    other: Measured
    difference: Contrast
    blocks: tuple[str, ...]
    alone: tuple[tuple[str, ...], tuple[str, ...]]
    p: float | None
    num_tests: int = 1
    ratio: tuple[float, Interval | None] | None = None

    @property
    def name(self) -> str:
        return f"{self.one.name} \N{MINUS SIGN} {self.other.name}"


class Uncounted(NamedTuple):
    """A run that is in no mean, and why."""

    arm: str
    run: RunRecord
    reason: str


@dataclass(frozen=True)
class Results:
    """What the runs say.

    Attributes:
        measured: arms with numbers, the best first; then those without.
        comparisons: all pairs of up to six arms, of more each one against the best.
        uncounted: runs that are in no mean.
        missing: runs that there should be, and jobs that left nothing.
    """

    measure: Measure
    arms: Arms
    measured: list[Measured]
    comparisons: list[ArmComparison]
    uncounted: list[Uncounted]
    missing: list[str]

    @property
    def censored(self) -> bool:
        return any(each.censored for each in self.measured)

    @property
    def counted(self) -> list[tuple[Measured, str, RunRecord, Reading]]:
        """Every run that counts, with its arm, block and number."""
        return [
            (each, block, each.arm.runs[block], reading)
            for each in self.measured
            for block, reading in each.readings.items()
        ]

    @property
    def runs(self) -> list[RunRecord]:
        """All runs, counted or not."""
        return [run for _, _, run, _ in self.counted] + [each.run for each in self.uncounted]

    @property
    def seconds(self) -> float:
        """Of all runs together, counted or not."""
        return sum(run.seconds or 0.0 for run in self.runs)

    @property
    def devices(self) -> list[str]:
        """That the counted runs were made on."""
        return list(dict.fromkeys(run.device for _, _, run, _ in self.counted if run.device))

    @property
    def commits(self) -> list[str]:
        """That the counted runs were made with."""
        return list(dict.fromkeys(run.commit for _, _, run, _ in self.counted if run.commit))

    @property
    def versions(self) -> dict[str, str]:
        """Of the packages that the last run was made with."""
        return max((run for _, _, run, _ in self.counted), key=lambda run: run.started).versions


def compare_runs(
    records: Sequence[RunRecord], measure: Measure, by: Sequence[str] = (), never_started: Sequence[str] = ()
) -> Results:
    """Sort runs into arms, and compare these.

    Args:
        records: the runs.
        measure: what to compare them in.
        by: keys that name the arms; none for all that differ.
        never_started: jobs without a folder.

    Raises:
        ValueError: if no finished run has such a number.
    """
    arms = grouping.find(records, by)
    uncounted = [Uncounted("", run, reason) for run, reason in arms.homeless]
    measured = []
    for arm in arms.arms:
        uncounted += [Uncounted(arm.name, run, reason) for run, reason in arm.others]
        readings = {}
        for block, run in sorted(arm.runs.items(), key=lambda item: grouping.natural(item[0])):
            try:
                readings[block] = measure.of(run)
            except ValueError as lack:
                uncounted.append(Uncounted(arm.name, run, str(lack)))
        measured.append(_measured(arm, readings, measure))
    if not any(each.readings for each in measured):
        _refuse(records, measure, uncounted)
    measured.sort(key=lambda each: _rank(each, measure))
    with_numbers = [each for each in measured if each.readings]
    comparisons = list(_comparisons(with_numbers, measure))
    return Results(measure, arms, measured, comparisons, uncounted, [*never_started, *arms.missing()])


def _refuse(records: Sequence[RunRecord], measure: Measure, uncounted: Sequence[Uncounted]) -> None:
    finished = [record for record in records if record.state == "finished"]
    if not finished:
        states = ", ".join(
            sorted({f"{each.run.state} ({each.reason})" if each.reason else each.run.state for each in uncounted})
        )
        raise ValueError(f"runs: none of {len(records)} is finished: {states}")
    known = dict.fromkeys(key for run in finished for key in (*run.test, *(key for row in run.curves for key in row)))
    wanted = f"target={measure.target}" if measure.target else f"metric={measure.metric}"
    raise ValueError(f"{wanted}: no finished run has it; there is {', '.join([*known, 'seconds'])}")


def _rank(each: Measured, measure: Measure) -> tuple[bool, float, float]:
    if each.summary is None:
        return True, 0.0, 0.0
    sign = -1 if measure.more_is_better else 1
    return False, -each.num_reached / len(each.readings) if each.censored else -1.0, sign * each.summary.mean


def _measured(arm: Arm, readings: dict[str, Reading], measure: Measure) -> Measured:
    if not readings:
        return Measured(arm, readings, None)
    summary = statistics.summarize([reading.number for reading in readings.values()])
    if summary.interval:
        summary = summary._replace(interval=measure.possible(*summary.interval))
    middle = statistics.middle(list(readings.values())) if measure.target else None
    sampling = None
    if len(readings) == 1 and measure == Measure("test/error"):
        test = arm.runs[next(iter(readings))].test
        if test.get("test/num_images") and "test/num_errors" in test:
            sampling = statistics.wilson(int(test["test/num_errors"]), int(test["test/num_images"]))
    return Measured(arm, readings, summary, middle, sampling)


def _comparisons(measured: Sequence[Measured], measure: Measure) -> Iterator[ArmComparison]:
    """All pairs, their p values corrected together; of many arms those with the best are kept."""
    yield from [
        each
        for each in corrected([compare(one, other, measure) for one, other in combinations(measured, 2)])
        if len(measured) <= MOST_ARMS_IN_PAIRS or each.one is measured[0]
    ]


def corrected(comparisons: Sequence[ArmComparison]) -> list[ArmComparison]:
    """The same, each p value corrected for all of them by Holm's method."""
    tested = [each.difference.p for each in comparisons if each.difference.p is not None]
    adjusted = iter(statistics.holm(tested))
    return [
        each if each.difference.p is None else replace(each, p=next(adjusted), num_tests=len(tested))
        for each in comparisons
    ]


def compare(one: Measured, other: Measured, measure: Measure) -> ArmComparison:
    """Two arms: by pairs where at least half of the smaller one's seeds are the other one's, too; else by Welch."""
    shared = [block for block in one.readings if block in other.readings]
    fewest = min(len(one.readings), len(other.readings))
    alone = tuple(
        tuple(block for block in each.readings if block not in shared_)
        for each, shared_ in ((one, shared), (other, shared))
    )
    in_pairs = bool(shared) and (2 * len(shared) >= fewest) and (len(shared) >= 2 or fewest == 1)
    first = [one.readings[block] for block in shared] if in_pairs else list(one.readings.values())
    second = [other.readings[block] for block in shared] if in_pairs else list(other.readings.values())
    difference = _difference(first, second, in_pairs)
    ratio = None
    if measure.target and in_pairs and difference.mean is not None:
        ratio = statistics.ratio([each.number for each in first], [each.number for each in second])
    blocks = tuple(shared) if in_pairs else ()
    return ArmComparison(one, other, difference, blocks, alone, difference.p, ratio=ratio)  # type: ignore[arg-type]


def _difference(first: Sequence[Reading], second: Sequence[Reading], in_pairs: bool) -> Contrast:
    if not all(reading.reached for reading in (*first, *second)):
        if in_pairs:
            return statistics.order_paired([(*one, *other) for one, other in zip(first, second, strict=True)])
        return statistics.order_unpaired(first, second)
    test = statistics.paired if in_pairs else statistics.unpaired
    return test([each.number for each in first], [each.number for each in second])
