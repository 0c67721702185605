"""The answer in one sentence: a claim holds, does not hold, or is too close to call, and what would settle it."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from cnnlit.analysis.claims import Claim, read_claim
from cnnlit.analysis.comparison import against_number, compare, corrected
from cnnlit.analysis.measures import Measure
from cnnlit.analysis.results import ArmComparison, Results
from cnnlit.analysis.wording import SIGNIFICANT, chance, if_small, number_of, seeds_missing, told
from cnnlit.inference import looks
from cnnlit.inference.statistics import Contrast

Outcome = Literal[
    "holds",
    "does not hold",
    "no difference larger than",
    "too close to call",
    "clear",
    "nothing to compare",
    "unfinished",
]


class Verdict(NamedTuple):
    """The answer.

    Attributes:
        outcome: in a word or a few; with `no difference larger than`, the rest is the smallest difference that matters.
        sentence: the outcome with its reasons.
        more_seeds: how many more seeds of each arm would settle it; None if it is settled, if no number can be given,
            or if it is above 10,000.
        command: trains them; empty unless the runs are one sweep.
        more_at_least: how many, if seeds differ as little as they may.
        more_at_most: how many, if seeds differ as much as they may; None if that is above 10,000.
    """

    outcome: Outcome
    sentence: str
    more_seeds: int | None = None
    command: str = ""
    more_at_least: int | None = None
    more_at_most: int | None = None


class Asked(NamedTuple):
    """What a verdict is asked about.

    Attributes:
        measure: what is compared.
        smallest: the smallest difference that matters, or None.
        forms: how many forms of the experiment were tried for the claim.
    """

    measure: Measure
    smallest: float | None
    forms: int


def judge(results: Results, claim: str | None, smallest: float | None, forms: int = 1) -> Verdict:
    """Judge a claim by the results or, without a claim, say which arm is best, and how certainly.

    Args:
        results: of the runs.
        claim: see `read_claim`.
        smallest: the smallest difference that matters; seeds are counted for it, arms that surely differ by less have
            no difference that matters, and a claim does not hold if a difference of that size can be excluded.
        forms: how many forms of the experiment were tried, this one included; p is corrected for them.
    """
    asked = Asked(results.measure, smallest, forms)
    verdict = _best(results, asked) if claim is None else _on(claim, results, asked)
    if results.pending:
        verdict = _not_yet(results, claim, verdict)
    if results.not_bracketed:
        verdict = verdict._replace(sentence=f"{verdict.sentence}; not bracketed: {'; '.join(results.not_bracketed)}")
    lost = len(results.uncounted)
    if not lost:
        return verdict
    return verdict._replace(sentence=f"{verdict.sentence}; {lost} run{'s are' if lost > 1 else ' is'} not counted")


def _not_yet(results: Results, claim: str | None, verdict: Verdict) -> Verdict:
    """Before the planned seeds are there, a verdict would be one more look, and one that can be had at any time."""
    come = f"{results.pending} planned run{'s have' if results.pending > 1 else ' has'} not come to an end"
    what = claim or "the best arm"
    so_far = "; ".join(f"{each.name} {number_of(each, results.measure)}" for each in results.measured[:6])
    return Verdict("unfinished", f"{what} has no verdict yet: {come}; so far {so_far}")


def _on(claim: str, results: Results, asked: Asked) -> Verdict:
    read = read_claim(claim, results)
    measure = results.measure
    if read.number is not None:
        if read.one.censored:
            raise ValueError(f"claim={claim}: not all runs of {read.one.name} reached {measure.target}")
        difference = against_number(read.one, read.number)
        return _judged(read, difference, measure.show(read.number), asked, look=read.one.num_looks)
    comparisons = [compare(read.one, other, measure) for other in read.others]
    verdicts = [
        _judged(
            read,
            each.difference,
            number_of(each.other, measure, each.difference.mean is None),
            asked,
            look=each.look,
            comparison=each,
        )
        for each in corrected(comparisons)
    ]
    if len(verdicts) == 1:
        return verdicts[0]
    return _together(read, verdicts)


def _judged(
    claim: Claim,
    difference: Contrast,
    against: str,
    asked: Asked,
    *,
    look: int,
    comparison: ArmComparison | None = None,
) -> Verdict:
    measure, smallest = asked.measure, asked.smallest
    facts = f"{number_of(claim.one, measure, difference.mean is None)} against {against}"
    if difference.p is None:
        return Verdict(
            "too close to call", f"{claim.words} is too close to call: {facts}; {_lack(difference, comparison)}"
        )
    p = comparison.p if comparison and comparison.p is not None else looks.corrected_for(difference.p, look)
    p = min(1.0, p * asked.forms)
    facts += f", {told(difference, measure, claim.one.num_images)}"
    facts += f" {chance(difference, p, comparison, look, asked.forms)}"
    direction = (-1 if claim.below else 1) * _direction(difference)
    if p < SIGNIFICANT and direction:
        outcome: Outcome = "holds" if direction > 0 else "does not hold"
        return Verdict(outcome, f"{claim.words} {outcome}: {facts}{if_small(difference, measure, smallest)}")
    if smallest:
        least = measure.show_difference(smallest).lstrip("+")
        if _is_equivalent(difference, smallest, look):
            return Verdict("no difference larger than", f"{claim.words}: no difference larger than {least}: {facts}")
        if difference.interval and _at_best(difference, claim.below) < smallest:
            return Verdict("does not hold", f"{claim.words} does not hold: {facts}; {least} or more can be excluded")
    more = seeds_missing(difference, measure, smallest, look)
    sentence = f"{claim.words} is too close to call: {facts}; {more.words}"
    return Verdict("too close to call", sentence, more.seeds, "", more.few, more.many)


def _lack(difference: Contrast, comparison: ArmComparison | None) -> str:
    """Why there is no test."""
    if difference.how.startswith("order"):
        return "no two runs can be compared, two or more are needed"
    said = "one seed shows no spread, two or more are needed"
    if comparison and (found := comparison.mcnemar):
        said += (
            f"; of {len(comparison.one.answers.labels):,} images "  # type: ignore[union-attr]
            f"{found.only_first} are wrong in {comparison.one.name} alone and {found.only_second} in "
            f"{comparison.other.name} alone (McNemar's test of these two networks: p = {found.p:.2g})"
        )
    return said


def _is_equivalent(difference: Contrast, smallest: float, look: int) -> bool:
    """Two one-sided tests: whether differences of that size, in either direction, can both be excluded."""
    ends = difference.over(1 - 2 * looks.chance_at(look))
    return ends is not None and max(map(abs, ends)) < smallest


def _together(claim: Claim, verdicts: Sequence[Verdict]) -> Verdict:
    """Against the rest, a claim holds if it holds against each."""
    outcomes = [verdict.outcome for verdict in verdicts]
    order: tuple[Outcome, ...] = ("does not hold", "too close to call", "no difference larger than", "holds")
    outcome = next(each for each in order if each in outcomes)
    telling = [verdict for verdict in verdicts if verdict.outcome == outcome]
    one = max(telling, key=lambda verdict: verdict.more_seeds or 0)
    reason = one.sentence.partition(": ")[2]
    among = "" if outcome == "holds" else f"against {len(telling)} of {len(verdicts)} arms "
    verb = {"too close to call": "is ", "no difference larger than": "has "}.get(outcome, "")
    least = "at the least" if outcome == "holds" else claim.others[verdicts.index(one)].name
    sentence = f"{claim.words} {verb}{outcome} {among}({least}: {reason})".replace("  ", " ")
    return one._replace(sentence=sentence)


def _best(results: Results, asked: Asked) -> Verdict:
    """Without a claim: the best arm, and whether it is clearly better than the next."""
    measure = results.measure
    there = [each for each in results.measured if each.readings]
    best = there[0]
    if len(there) == 1:
        return _alone(results)
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
    p = min(1.0, p * asked.forms)
    facts = told(difference, measure, best.num_images)
    facts += f" {chance(difference, p, following, following.look, asked.forms)}"
    if p < SIGNIFICANT and _direction(difference):
        small = if_small(difference, measure, asked.smallest)
        return Verdict("clear", f"{opening}: a clear difference, {facts}{small}")
    more = seeds_missing(difference, measure, asked.smallest, following.look)
    sentence = f"{opening}: too close to call, {facts}; {more.words}"
    return Verdict("too close to call", sentence, more.seeds, "", more.few, more.many)


def _alone(results: Results) -> Verdict:
    measure = results.measure
    best = next(each for each in results.measured if each.readings)
    n = len(best.readings)
    words = f"{n} runs" if n > 1 else "one run, which shows no spread"
    interval = best.crossed or (best.summary.interval if best.summary else None)
    spread = "" if interval is None or best.censored else f" {measure.show_interval(*interval)}"
    return Verdict(
        "nothing to compare",
        f"One arm, nothing to compare: {measure.title} {number_of(best, measure)}{spread}, {words}",
    )


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
