"""The arms of an experiment compared: the numbers of each, and the differences between pairs of arms."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from cnnlit.analysis import arms as grouping
from cnnlit.analysis import statistics, times_to_target
from cnnlit.analysis.arms import Arm
from cnnlit.analysis.measures import Measure, Reading
from cnnlit.analysis.results import ArmComparison, Measured, Results, Uncounted
from cnnlit.analysis.statistics import Contrast
from cnnlit.runs.records import RunRecord

MOST_ARMS_IN_PAIRS = 6
"""With more arms than this, each is compared with the best, and other pairs are not shown."""


def compare_runs(
    records: Sequence[RunRecord], measure: Measure, by: Sequence[str] = (), never_started: Sequence[str] = ()
) -> Results:
    """Sort runs into arms and compare the arms.

    Args:
        records: the runs.
        measure: what to compare them by.
        by: keys to name the arms by; none for all keys that differ.
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
    middle = times_to_target.middle(list(readings.values())) if measure.target else None
    sampling = None
    if len(readings) == 1 and measure == Measure("test/error"):
        test = arm.runs[next(iter(readings))].test
        if test.get("test/num_images") and "test/num_errors" in test:
            sampling = statistics.wilson(int(test["test/num_errors"]), int(test["test/num_images"]))
    return Measured(arm, readings, summary, middle, sampling)


def _comparisons(measured: Sequence[Measured], measure: Measure) -> Iterator[ArmComparison]:
    """All pairs, their p values corrected together; of many arms, only the pairs with the best are kept."""
    yield from [
        each
        for each in corrected([compare(one, other, measure) for one, other in combinations(measured, 2)])
        if len(measured) <= MOST_ARMS_IN_PAIRS or each.one is measured[0]
    ]


def corrected(comparisons: Sequence[ArmComparison]) -> list[ArmComparison]:
    """The same comparisons, each p value corrected for all of them by Holm's method."""
    tested = [each.difference.p for each in comparisons if each.difference.p is not None]
    adjusted = iter(statistics.holm(tested))
    return [
        each if each.difference.p is None else replace(each, p=next(adjusted), num_tests=len(tested))
        for each in comparisons
    ]


def compare(one: Measured, other: Measured, measure: Measure) -> ArmComparison:
    """Compare two arms: in pairs if they share at least half of the smaller arm's seeds, otherwise by Welch's test."""
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
            return times_to_target.order_paired([(*one, *other) for one, other in zip(first, second, strict=True)])
        return times_to_target.order_unpaired(first, second)
    test = statistics.paired if in_pairs else statistics.unpaired
    return test([each.number for each in first], [each.number for each in second])
