"""The arms of an experiment compared: the numbers of each, and the differences between pairs of arms."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from cnnlit.analysis import arms as grouping
from cnnlit.analysis.answers import answered, of_both
from cnnlit.analysis.arms import Arm, seed_of, setting_of
from cnnlit.analysis.measures import Measure, Reading
from cnnlit.analysis.results import ArmComparison, Measured, Results, Uncounted
from cnnlit.analysis.selection import Choice, choices, not_bracketed
from cnnlit.inference import clusters, crossed, looks, statistics, times_to_target
from cnnlit.inference.clusters import Interaction
from cnnlit.inference.crossed import McNemar
from cnnlit.inference.statistics import Contrast
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
    choosing = [run for run in records if run.planned and run.planned.chooses]
    chosen = _chosen(choosing)
    records = [run for run in records if run not in choosing]
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
    cut_off = [run for run in (*records, *choosing) if run.planned and run.state in ("running", "interrupted")]
    pending = len(never_started) + len(cut_off)
    grids = [(factor.word, factor.names) for factor in arms.factors]
    edges = [*not_bracketed(with_numbers, grids), *(_words(each) for each in chosen if each.edge)]
    return Results(
        measure,
        arms,
        measured,
        comparisons,
        uncounted,
        [*never_started, *arms.missing()],
        pending,
        tuple(edges),
        tuple(_words(each) for each in chosen),
    )


def _chosen(choosing: Sequence[RunRecord]) -> list[Choice]:
    questions = dict.fromkeys(run.planned.chooses for run in choosing if run.planned and run.planned.chooses)
    return [each for key, by in questions for each in choices(choosing, key, by)]


def _words(choice: Choice) -> str:
    """`model.activation=relu: lr=0.03 of 0.01, 0.03, 0.1, the largest tried`."""
    own = [word for word in choice.arm if not word.startswith("experiment=") and ".root=" not in word]
    word = choice.key.rpartition(".")[2]
    end = f", {choice.edge}" if choice.edge else ""
    return f"{' '.join(own)}: {word}={choice.best} of {', '.join(choice.readings)}{end}"


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
    summary = statistics.summarize(_of_seeds({block: reading.number for block, reading in readings.items()}))
    if summary.interval:
        summary = summary._replace(interval=measure.possible(*summary.interval))
    answers = answered(arm.runs, readings, measure)
    span = None
    if answers and summary.n > 1:
        span = crossed.interval_of_error(crossed.estimate(answers.table(list(readings))))
    middle = times_to_target.middle(list(readings.values())) if measure.target else None
    sampling = None
    if len(readings) == 1 and measure == Measure("test/error"):
        test = arm.runs[next(iter(readings))].test
        if test.get("test/num_images") and "test/num_errors" in test:
            sampling = statistics.wilson(int(test["test/num_errors"]), int(test["test/num_images"]))
    return Measured(arm, readings, summary, middle, sampling, answers, span)


def _of_seeds(numbers: dict[str, float]) -> list[float]:
    """The mean of each seed's numbers: runs that share a seed share its luck."""
    together: dict[str, list[float]] = {}
    for block, number in numbers.items():
        together.setdefault(seed_of(block), []).append(number)
    return [sum(each) / len(each) for each in together.values()]


def _comparisons(measured: Sequence[Measured], measure: Measure) -> Iterator[ArmComparison]:
    """All pairs, their p values corrected together; of many arms, only the pairs with the best are kept."""
    yield from [
        each
        for each in corrected([compare(one, other, measure) for one, other in combinations(measured, 2)])
        if len(measured) <= MOST_ARMS_IN_PAIRS or each.one is measured[0]
    ]


def corrected(comparisons: Sequence[ArmComparison]) -> list[ArmComparison]:
    """The same comparisons, each p value corrected for all of them by Holm's method, and for the look that it is."""
    tested = [each.difference.p for each in comparisons if each.difference.p is not None]
    adjusted = iter(statistics.holm(tested))
    return [
        each
        if each.difference.p is None
        else replace(each, p=looks.corrected_for(next(adjusted), each.look), num_tests=len(tested))
        for each in comparisons
    ]


def compare(one: Measured, other: Measured, measure: Measure) -> ArmComparison:
    """Compare two arms: in pairs if they share at least half of the smaller arm's seeds, otherwise by Welch's test.

    Where every answer of both is at hand, the interval and the test are over seeds and test images.
    """
    shared = [block for block in one.readings if block in other.readings]
    fewest = min(len(one.readings), len(other.readings))
    alone = tuple(
        tuple(block for block in each.readings if block not in shared_)
        for each, shared_ in ((one, shared), (other, shared))
    )
    in_pairs = bool(shared) and (2 * len(shared) >= fewest) and (len(shared) >= 2 or fewest == 1)
    first = {block: one.readings[block] for block in (shared if in_pairs else one.readings)}
    second = {block: other.readings[block] for block in (shared if in_pairs else other.readings)}
    plain = _difference(first, second, in_pairs)
    look = max(one.num_looks, other.num_looks)
    difference = _at(_over_images(one, other, plain, list(first), list(second), in_pairs), look)
    ratio = None
    if measure.target and in_pairs and difference.mean is not None:
        ratio = statistics.ratio([each.number for each in first.values()], [each.number for each in second.values()])
    return ArmComparison(
        one,
        other,
        difference,
        tuple(shared) if in_pairs else (),
        alone,  # type: ignore[arg-type]
        None if difference.p is None else looks.corrected_for(difference.p, look),
        ratio=ratio,
        look=look,
        of_these_images=_at(plain, look) if difference.num_images else None,
        interaction=_interaction(first, second) if in_pairs else None,
        mcnemar=_mcnemar(one, other, shared) if fewest == 1 and in_pairs else None,
    )


def against_number(one: Measured, number: float) -> Contrast:
    """An arm against a number without spread, such as a paper's; over seeds and test images, where it can be."""
    found = statistics.against_number(_of_seeds({block: each.number for block, each in one.readings.items()}), number)
    if one.answers and found.p is not None:
        table = one.answers.table(list(one.readings)) - number
        found = crossed.contrast(found, crossed.estimate(table), table.shape[1])
    return _at(found, one.num_looks)


def _at(found: Contrast, look: int) -> Contrast:
    """The contrast with the interval that the look allows: a later one has to be surer."""
    return found if look == 1 else found._replace(interval=found.over(1 - looks.chance_at(look)))


def _difference(first: dict[str, Reading], second: dict[str, Reading], in_pairs: bool) -> Contrast:
    if not all(reading.reached for reading in (*first.values(), *second.values())):
        if in_pairs:
            return times_to_target.order_paired({block: (*first[block], *second[block]) for block in first}, seed_of)
        return times_to_target.order_unpaired(list(first.values()), list(second.values()))
    test = statistics.paired if in_pairs else statistics.unpaired
    return test(*(_of_seeds({block: reading.number for block, reading in each.items()}) for each in (first, second)))


def _over_images(
    one: Measured, other: Measured, plain: Contrast, first: list[str], second: list[str], in_pairs: bool
) -> Contrast:
    """The contrast over seeds and test images, where every answer is at hand; otherwise over seeds."""
    answers = of_both(one.answers, other.answers)
    if plain.p is None or plain.mean is None or answers is None:
        return plain
    found = crossed.difference(answers[0].table(first), answers[1].table(second), in_pairs=in_pairs)
    return crossed.contrast(plain, found, len(answers[0].labels))


def _interaction(first: dict[str, Reading], second: dict[str, Reading]) -> Interaction | None:
    """Whether the difference depends on the setting; None if there is one only, or not every seed has all."""
    found = {
        (seed_of(block), setting_of(block)): first[block].number - second[block].number
        for block in first
        if first[block].reached and second[block].reached
    }
    seeds = list(dict.fromkeys(seed for seed, _ in found))
    settings = list(dict.fromkeys(setting for _, setting in found))
    if len(settings) < 2 or len(found) < len(seeds) * len(settings):
        return None
    table = np.array([[found[seed, setting] for setting in settings] for seed in seeds])
    return clusters.interaction(table, settings)


def _mcnemar(one: Measured, other: Measured, shared: Sequence[str]) -> McNemar | None:
    answers = of_both(one.answers, other.answers)
    return answers and crossed.mcnemar(*(each.counted[shared[0]] for each in answers))
