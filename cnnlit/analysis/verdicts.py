"""The answer in one sentence: a claim holds, does not hold, or is too close to call, with what it would take."""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from cnnlit.analysis import statistics
from cnnlit.analysis.comparison import ArmComparison, Measured, Results, compare, corrected
from cnnlit.analysis.measures import Measure
from cnnlit.analysis.statistics import Contrast

SIGNIFICANT = 0.05
REST = "rest"

Outcome = Literal["holds", "does not hold", "too close to call", "clear", "nothing to compare"]


class Verdict(NamedTuple):
    """The answer.

    Attributes:
        outcome: in a word.
        sentence: with its reasons.
        more_seeds: how many seeds of each arm it would take beside those that there are; None where it is decided,
            where no number can be told, or where it is beyond 10,000.
        command: that trains them, where the runs are one sweep.
    """

    outcome: Outcome
    sentence: str
    more_seeds: int | None = None
    command: str = ""


class Claim(NamedTuple):
    """`max < average`: an arm, and what its numbers are below or above."""

    one: Measured
    below: bool
    others: list[Measured]
    number: float | None
    words: str


def read_claim(words: str, results: Results) -> Claim:
    """A claim from words: `ARM < ARM`, `ARM < rest`, `ARM < 0.95%`, or the same with `>`.

    Raises:
        ValueError: if it is none, or names no arm.
    """
    match = re.fullmatch(r"\s*(.+?)\s*(<=?|>=?)\s*(.+?)\s*", words)
    if match is None:
        raise ValueError(f"claim={words}: must be two arms, or an arm and {REST} or a number, with < or > between")
    one = _arm(match[1], words, results)
    below = match[2][0] == "<"
    if match[3] == REST:
        others = [each for each in results.measured if each is not one and each.readings]
        if not others:
            raise ValueError(f"claim={words}: there is no arm beside {one.name}")
        return Claim(one, below, others, None, words)
    if number := re.fullmatch(r"([\d.]+(?:e-?\d+)?)\s*(%?)", match[3]):
        return Claim(one, below, [], float(number[1]) / (100 if number[2] else 1), words)
    other = _arm(match[3], words, results)
    if other is one:
        raise ValueError(f"claim={words}: both sides are {one.name}")
    return Claim(one, below, [other], None, words)


def _arm(name: str, words: str, results: Results) -> Measured:
    """The arm of that name, or the only one of which it is a part."""
    named = [each for each in results.measured if each.name.lower() == name.lower()]
    partly = [each for each in results.measured if name.lower() in re.split(r", |=", each.name.lower())]
    found = named or partly
    if len(found) == 1:
        if not found[0].readings:
            raise ValueError(f"claim={words}: no run of {found[0].name} counts")
        return found[0]
    there = "; ".join(each.name for each in results.measured[:30])
    if found:
        keys = [factor.key for factor in results.arms.factors if name in factor.names]
        hint = f"; by={keys[0]} makes it one" if keys else ""
        raise ValueError(f"claim={words}: {name} is {len(found)} arms: {there}{hint}")
    raise ValueError(f"claim={words}: there is no arm {name}; there is {there}")


def judge(results: Results, claim: str | None, smallest: float | None) -> Verdict:
    """Hold the results against a claim, or without one say which arm is best, and how surely.

    Args:
        results: of the runs.
        claim: see `read_claim`.
        smallest: the smallest difference that matters; seeds are counted for it, and a claim of which so much can
            be excluded does not hold.
    """
    verdict = _best(results, smallest) if claim is None else _on(claim, results, smallest)
    lost = len(results.uncounted)
    if not lost:
        return verdict
    return verdict._replace(sentence=f"{verdict.sentence}; {lost} run{'s are' if lost > 1 else ' is'} not counted")


def _on(claim: str, results: Results, smallest: float | None) -> Verdict:
    asked = read_claim(claim, results)
    if asked.number is not None:
        difference = statistics.against_number(asked.one.numbers, asked.number)
        if asked.one.censored:
            raise ValueError(f"claim={claim}: not all runs of {asked.one.name} reached {results.measure.target}")
        against = f"{results.measure.show(asked.number)}"
        return _judged(asked, difference, difference.p, against, results.measure, smallest)
    comparisons = [compare(asked.one, other, results.measure) for other in asked.others]
    verdicts = [
        _judged(
            asked,
            each.difference,
            each.p,
            _mean(each.other, results.measure, each.difference.mean is None),
            results.measure,
            smallest,
            each,
        )
        for each in corrected(comparisons)
    ]
    if len(verdicts) == 1:
        return verdicts[0]
    return _together(asked, verdicts)


def _judged(
    claim: Claim,
    difference: Contrast,
    p: float | None,
    against: str,
    measure: Measure,
    smallest: float | None,
    comparison: ArmComparison | None = None,
) -> Verdict:
    facts = f"{_mean(claim.one, measure, difference.mean is None)} against {against}"
    if p is None:
        lack = "no two runs can be compared" if difference.how.startswith("order") else "one seed shows no spread"
        return Verdict(
            "too close to call", f"{claim.words} is too close to call: {facts}; {lack}, two or more are needed"
        )
    facts += f", {told(difference, measure)}{_chance(difference, p, comparison)}"
    sides = -1 if claim.below else 1
    direction = sides * _direction(difference)
    if p < SIGNIFICANT and direction:
        outcome: Outcome = "holds" if direction > 0 else "does not hold"
        return Verdict(outcome, f"{claim.words} {outcome}: {facts}{_small(difference, measure, smallest)}")
    if smallest and difference.interval and _at_best(difference, claim.below) < smallest:
        least = measure.show_difference(smallest).lstrip("+")
        return Verdict("does not hold", f"{claim.words} does not hold: {facts}; {least} or more can be excluded")
    more, words = seeds_missing(difference, measure, smallest)
    return Verdict("too close to call", f"{claim.words} is too close to call: {facts}; {words}", more)


def _together(claim: Claim, verdicts: Sequence[Verdict]) -> Verdict:
    """Against the rest a claim holds if it holds against each."""
    outcomes = [verdict.outcome for verdict in verdicts]
    for outcome in ("does not hold", "too close to call", "holds"):
        if outcome in outcomes:
            telling = [verdict for verdict in verdicts if verdict.outcome == outcome]
            more = max((verdict.more_seeds for verdict in telling if verdict.more_seeds), default=None)
            one = max(telling, key=lambda verdict: verdict.more_seeds or 0)
            reason = one.sentence.partition(": ")[2]
            among = "" if outcome == "holds" else f"against {len(telling)} of {len(verdicts)} arms "
            verb = "is " if outcome == "too close to call" else ""
            least = "at the least" if outcome == "holds" else claim.others[verdicts.index(one)].name
            return Verdict(
                outcome, f"{claim.words} {verb}{outcome} {among}({least}: {reason})".replace("  ", " "), more
            )
    raise AssertionError("a verdict for each arm")


def _best(results: Results, smallest: float | None) -> Verdict:
    """Without a claim: the best arm, and whether it is clearly better than the next."""
    measure = results.measure
    there = [each for each in results.measured if each.readings]
    best = there[0]
    if len(there) == 1:
        n = len(best.readings)
        words = f"{n} runs" if n > 1 else "one run, which shows no spread"
        interval = best.summary.interval if best.summary else None
        spread = "" if interval is None or best.censored else f" {measure.show_interval(*interval)}"
        return Verdict(
            "nothing to compare",
            f"One arm, nothing to compare: {measure.title} {_mean(best, measure)}{spread}, {words}",
        )
    found = [each for each in results.comparisons if best in (each.one, each.other)]
    order = {each.name: place for place, each in enumerate(there)}
    following = min(found, key=lambda each: order[each.other.name])
    difference, p = following.difference, following.p
    word = "highest" if measure.more_is_better else "lowest"
    in_order = difference.mean is None
    opening = f"{best.name} has the {word} {measure.title}, {_mean(best, measure, in_order)}; "
    opening += f"the next, {following.other.name}, {_mean(following.other, measure, in_order)}"
    if p is None:
        return Verdict(
            "too close to call", f"{opening}: too close to call, one seed shows no spread; five or more would"
        )
    facts = f"{told(difference, measure)}{_chance(difference, p, following)}"
    if p < SIGNIFICANT and _direction(difference):
        return Verdict("clear", f"{opening}: a clear difference, {facts}{_small(difference, measure, smallest)}")
    more, words = seeds_missing(difference, measure, smallest)
    return Verdict("too close to call", f"{opening}: too close to call, {facts}; {words}", more)


def told(difference: Contrast, measure: Measure) -> str:
    """The difference with its interval, in words."""
    if difference.mean is None:
        if difference.how == "order unpaired":
            return "by the order in which they got there"
        ahead, behind = difference.wins
        ties = difference.n - ahead - behind
        rest = f", {ties} undecided" if ties else ""
        return f"sooner in {ahead} and later in {behind} of {difference.n} pairs{rest}"
    ends = difference.interval
    inside = f" {measure.show_difference_interval(*ends)}" if ends else ""
    over = {
        "paired": f" over {difference.n} pairs" if difference.n > 1 else " in one pair",
        "unpaired": f" between {difference.n} and {difference.n_other} runs",
        "fixed": f" over {difference.n} runs",
    }[difference.how]
    if difference.deviation == 0 and difference.n > 1:
        over += ", the same in each" if difference.mean else ", all identical"
    return f"{measure.show_difference(difference.mean)}{inside}{over}"


def seeds_missing(difference: Contrast, measure: Measure, smallest: float | None) -> tuple[int | None, str]:
    """How many more seeds of each arm it would take, and the words for it."""
    if difference.mean is None:
        if difference.how == "order unpaired" or not sum(difference.wins):
            return None, "runs with the same seeds, trained for longer, would decide it"
        needed, what = statistics.seeds_needed_by_sign(*difference.wins), "this proportion"
    elif smallest is None and difference.mean == 0:
        return None, "without any difference so far no number of seeds can be told"
    elif difference.deviation == 0 and difference.p is not None:
        # Signs or orders decide: 2 of 2^6 and 2 of 8 over 4 are below 5 %.
        needed, what = (4 if difference.how == "unpaired" else 6), "the same difference each time"
    else:
        needed = statistics.seeds_needed(
            smallest or difference.mean or 0.0,
            difference.deviation or 0.0,
            samples=2 if difference.how == "unpaired" else 1,
        )
        what = (
            f"a difference of {measure.show_difference(smallest).lstrip('+')}"
            if smallest
            else "a difference of this size"
        )
    if needed is None:
        return None, f"more than {statistics.MOST_SEEDS:,} seeds would be needed to show {what}"
    more = max(needed - min(difference.n, difference.n_other), 1)
    return more, f"about {more:,} more seed{'s' * (more > 1)} needed to show {what}"


def _direction(difference: Contrast) -> int:
    """-1 where the first is the smaller."""
    if difference.mean is None:
        smaller, larger = difference.wins
        return (larger > smaller) - (larger < smaller)
    return (difference.mean > 0) - (difference.mean < 0)


def _at_best(difference: Contrast, below: bool) -> float:
    """The largest difference in the claimed direction that the interval allows."""
    assert difference.interval is not None
    return -difference.interval.low if below else difference.interval.high


def _small(difference: Contrast, measure: Measure, smallest: float | None) -> str:
    """What is significant need not matter."""
    ends = difference.interval
    if smallest is None or ends is None or max(map(abs, ends)) >= smallest:
        return ""
    return f"; it is surely smaller than the {measure.show_difference(smallest).lstrip('+')} that matter"


def _mean(each: Measured, measure: Measure, in_order: bool = False) -> str:
    """An arm in a number; where only the order counts, how many of its runs got there."""
    if each.summary is None:
        return "no number"
    if each.censored or in_order:
        return f"{each.num_reached} of {len(each.readings)} runs there"
    return measure.show(each.summary.mean)


def _chance(difference: Contrast, p: float, comparison: ArmComparison | None) -> str:
    many = f", corrected for {comparison.num_tests} comparisons" if comparison and comparison.num_tests > 1 else ""
    robust = difference.p_shuffled
    differs = robust is not None and difference.p is not None and (robust < SIGNIFICANT) != (difference.p < SIGNIFICANT)
    beside = f"; {SHUFFLED[difference.how]} {show_p(robust)}" if differs and robust is not None else ""
    return f" ({show_p(p)}{many}{beside})"


SHUFFLED = {"paired": "sign-flip test", "fixed": "sign-flip test", "unpaired": "permutation test"}


def show_p(p: float) -> str:
    """`p = 0.012`, `p < 0.0001`."""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"
