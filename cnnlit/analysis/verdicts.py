"""The answer in one sentence: a claim holds, does not hold, or is too close to call, and what would settle it."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from cnnlit.analysis import statistics
from cnnlit.analysis.claims import Claim, read_claim
from cnnlit.analysis.comparison import compare, corrected
from cnnlit.analysis.measures import Measure
from cnnlit.analysis.results import ArmComparison, Results
from cnnlit.analysis.statistics import Contrast
from cnnlit.analysis.wording import SIGNIFICANT, chance, if_small, number_of, seeds_missing, told

Outcome = Literal["holds", "does not hold", "too close to call", "clear", "nothing to compare"]


class Verdict(NamedTuple):
    """The answer.

    Attributes:
        outcome: in a word or a few.
        sentence: the outcome with its reasons.
        more_seeds: how many more seeds of each arm would settle it; None if it is settled, if no number can be given,
            or if it is above 10,000.
        command: trains them; empty unless the runs are one sweep.
    """

    outcome: Outcome
    sentence: str
    more_seeds: int | None = None
    command: str = ""


def judge(results: Results, claim: str | None, smallest: float | None) -> Verdict:
    """Judge a claim by the results or, without a claim, say which arm is best, and how certainly.

    Args:
        results: of the runs.
        claim: see `read_claim`.
        smallest: the smallest difference that matters; seeds are counted for it, and a claim does not hold if a
            difference of that size can be excluded.
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
            number_of(each.other, results.measure, each.difference.mean is None),
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
    facts = f"{number_of(claim.one, measure, difference.mean is None)} against {against}"
    if p is None:
        lack = "no two runs can be compared" if difference.how.startswith("order") else "one seed shows no spread"
        return Verdict(
            "too close to call", f"{claim.words} is too close to call: {facts}; {lack}, two or more are needed"
        )
    facts += f", {told(difference, measure)}{chance(difference, p, comparison)}"
    sides = -1 if claim.below else 1
    direction = sides * _direction(difference)
    if p < SIGNIFICANT and direction:
        outcome: Outcome = "holds" if direction > 0 else "does not hold"
        return Verdict(outcome, f"{claim.words} {outcome}: {facts}{if_small(difference, measure, smallest)}")
    if smallest and difference.interval and _at_best(difference, claim.below) < smallest:
        least = measure.show_difference(smallest).lstrip("+")
        return Verdict("does not hold", f"{claim.words} does not hold: {facts}; {least} or more can be excluded")
    more, words = seeds_missing(difference, measure, smallest)
    return Verdict("too close to call", f"{claim.words} is too close to call: {facts}; {words}", more)


def _together(claim: Claim, verdicts: Sequence[Verdict]) -> Verdict:
    """Against the rest, a claim holds if it holds against each."""
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
            f"One arm, nothing to compare: {measure.title} {number_of(best, measure)}{spread}, {words}",
        )
    found = [each for each in results.comparisons if best in (each.one, each.other)]
    order = {each.name: place for place, each in enumerate(there)}
    following = min(found, key=lambda each: order[each.other.name])
    difference, p = following.difference, following.p
    word = "highest" if measure.more_is_better else "lowest"
    in_order = difference.mean is None
    opening = f"{best.name} has the {word} {measure.title}, {number_of(best, measure, in_order)}; "
    opening += f"the next, {following.other.name}, {number_of(following.other, measure, in_order)}"
    if p is None:
        return Verdict(
            "too close to call", f"{opening}: too close to call, one seed shows no spread; five or more would"
        )
    facts = f"{told(difference, measure)}{chance(difference, p, following)}"
    if p < SIGNIFICANT and _direction(difference):
        return Verdict("clear", f"{opening}: a clear difference, {facts}{if_small(difference, measure, smallest)}")
    more, words = seeds_missing(difference, measure, smallest)
    return Verdict("too close to call", f"{opening}: too close to call, {facts}; {words}", more)


def _direction(difference: Contrast) -> int:
    """-1 if the first is smaller, 1 if it is larger, 0 if neither."""
    if difference.mean is None:
        smaller, larger = difference.wins
        return (larger > smaller) - (larger < smaller)
    return (difference.mean > 0) - (difference.mean < 0)


def _at_best(difference: Contrast, below: bool) -> float:
    """The largest difference in the claimed direction that the interval allows."""
    assert difference.interval is not None
    return -difference.interval.low if below else difference.interval.high
