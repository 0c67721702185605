"""What was found, in the words of a verdict."""

import math
from typing import NamedTuple

from cnnlit.analysis.measures import Measure
from cnnlit.analysis.results import ArmComparison, Measured
from cnnlit.inference import looks, power
from cnnlit.inference.statistics import Contrast

SIGNIFICANT = 0.05


def told(difference: Contrast, measure: Measure, num_images: int = 0) -> str:
    """The difference with its interval, in words.

    Args:
        difference: to be told.
        measure: what it is a difference of.
        num_images: of the test images that all runs share, where known.
    """
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
    if difference.num_images:
        over += f" and {difference.num_images:,} images"
    elif num_images and measure.of_test_images:
        over += f" of these {num_images:,} images"
    if difference.deviation == 0 and difference.n > 1:
        over += ", the same in each" if difference.mean else ", all identical"
    return f"{measure.show_difference(difference.mean)}{inside}{over}"


class Missing(NamedTuple):
    """What it would take to decide.

    Attributes:
        seeds: how many more of each arm; None if no number can be given.
        few: how many at the least, since the deviation is only estimated.
        many: how many at the most; None if above 10,000.
        words: how to say so.
    """

    seeds: int | None
    few: int | None
    many: int | None
    words: str


def seeds_missing(difference: Contrast, measure: Measure, smallest: float | None, look: int) -> Missing:
    """How many more seeds of each arm it would take, at the look that they would be for."""
    chance = looks.chance_at(look + 1)
    if difference.mean is None:
        if difference.how == "order unpaired" or not sum(difference.wins):
            return Missing(None, None, None, "runs with the same seeds, trained for longer, would decide it")
        needed = power.seeds_needed_by_sign(*difference.wins, chance=chance)
        return _more(difference, (needed, needed, needed), "this proportion", chance)
    if smallest is None and difference.mean == 0:
        return Missing(None, None, None, "without any difference so far no number of seeds can be told")
    what = "a difference of this size"
    if smallest:
        what = f"a difference of {measure.show_difference(smallest).lstrip('+')}"
    if difference.deviation == 0 and difference.p is not None and not difference.num_images:
        # Only signs or permutations count: p is 2 in 2^n for n pairs, and 2 in (2n choose n) for n against n.
        needed = _without_spread(difference, chance)
        return _more(difference, (needed, needed, needed), "the same difference each time", chance)
    return _more(difference, _needed(difference, smallest or difference.mean, chance), what, chance)


def _without_spread(difference: Contrast, chance: float) -> int:
    unpaired = difference.how == "unpaired"
    n = 2
    while 2 / (math.comb(2 * n, n) if unpaired else 2**n) >= chance:
        n += 1
    return n


def _needed(difference: Contrast, size: float, chance: float) -> tuple[int | None, int | None, int | None]:
    """The seeds needed if the deviation is as estimated, and if it is at the lower or upper end of its interval."""
    deviation = difference.deviation or 0.0
    samples = 2 if difference.how == "unpaired" else 1
    freedom = difference.n + difference.n_other - 2 if samples == 2 else difference.n - 1
    ends = power.deviation_within(deviation, freedom) if deviation else (0.0, 0.0)
    found = [
        power.seeds_needed(size, each, samples=samples, chance=chance, of_images=difference.of_images)  # type: ignore[arg-type]
        for each in (deviation, *ends)
    ]
    return found[0], found[1], found[2]


def _more(difference: Contrast, needed: tuple[int | None, int | None, int | None], what: str, chance: float) -> Missing:
    there = min(difference.n, difference.n_other)
    seeds, few, many = (None if each is None else max(each - there, 1) for each in needed)
    if seeds is None:
        words = f"more than {power.MOST_SEEDS:,} seeds would be needed to show {what}"
        if difference.of_images:
            words = f"{difference.num_images:,} test images are too few to show {what}, with any number of seeds"
        return Missing(None, few, None, words)
    span = "" if few == seeds == many else f" ({few:,} to {many:,})" if many else f" ({few:,} or more)"
    plural = "s" * (seeds > 1 or bool(span))
    words = (
        f"about {seeds:,}{span} more seed{plural} needed to show {what}, which would be another look: p < {chance:g}"
    )
    return Missing(seeds, few, many, words)


def if_small(difference: Contrast, measure: Measure, smallest: float | None) -> str:
    """A remark if the difference, though significant, is too small to matter."""
    ends = difference.interval
    if smallest is None or ends is None or max(map(abs, ends)) >= smallest:
        return ""
    return f"; it is surely smaller than the {measure.show_difference(smallest).lstrip('+')} that matter"


def number_of(each: Measured, measure: Measure, in_order: bool = False) -> str:
    """An arm's mean; where only the order counts, how many of its runs reached the target."""
    if each.summary is None:
        return "no number"
    if each.censored or in_order:
        return f"{each.num_reached} of {len(each.readings)} runs there"
    return measure.show(each.summary.mean)


def chance(difference: Contrast, p: float, comparison: ArmComparison | None, look: int = 1, forms: int = 1) -> str:
    """The p value in brackets, with what it is corrected for, and what other tests say if they disagree."""
    tests = comparison.num_tests if comparison else 1
    reasons = [f"{tests} comparisons"] * (tests > 1) + [f"look {look}"] * (look > 1) + [f"{forms} forms"] * (forms > 1)
    many = f", corrected for {' and '.join(reasons)}" if reasons else ""
    return f"({show_p(p)}{many}{_beside(difference, p, comparison)})"


def _beside(difference: Contrast, p: float, comparison: ArmComparison | None) -> str:
    plain = comparison.of_these_images if comparison else None
    if plain and plain.p is not None and (plain.p < SIGNIFICANT) != (p < SIGNIFICANT):
        return f"; of these {difference.num_images:,} images alone {show_p(plain.p)}"
    robust = difference.p_shuffled
    if robust is None or difference.p is None or (robust < SIGNIFICANT) == (difference.p < SIGNIFICANT):
        return ""
    return f"; {SHUFFLED[difference.how]} {show_p(robust)}"


SHUFFLED = {"paired": "sign-flip test", "fixed": "sign-flip test", "unpaired": "permutation test"}


def show_p(p: float) -> str:
    """`p = 0.012`, `p < 0.0001`."""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"
