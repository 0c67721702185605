"""What was found, in the words of a verdict."""

from cnnlit.analysis import power
from cnnlit.analysis.measures import Measure
from cnnlit.analysis.results import ArmComparison, Measured
from cnnlit.analysis.statistics import Contrast

SIGNIFICANT = 0.05


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
    """How many more seeds of each arm it would take, and how to say so."""
    if difference.mean is None:
        if difference.how == "order unpaired" or not sum(difference.wins):
            return None, "runs with the same seeds, trained for longer, would decide it"
        needed, what = power.seeds_needed_by_sign(*difference.wins), "this proportion"
    elif smallest is None and difference.mean == 0:
        return None, "without any difference so far no number of seeds can be told"
    elif difference.deviation == 0 and difference.p is not None:
        # Only signs or permutations count: p is 2 in 2^6 for 6 pairs, and 2 in (8 choose 4) for 4 against 4.
        needed, what = (4 if difference.how == "unpaired" else 6), "the same difference each time"
    else:
        needed = power.seeds_needed(
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
        return None, f"more than {power.MOST_SEEDS:,} seeds would be needed to show {what}"
    more = max(needed - min(difference.n, difference.n_other), 1)
    return more, f"about {more:,} more seed{'s' * (more > 1)} needed to show {what}"


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


def chance(difference: Contrast, p: float, comparison: ArmComparison | None) -> str:
    many = f", corrected for {comparison.num_tests} comparisons" if comparison and comparison.num_tests > 1 else ""
    robust = difference.p_shuffled
    differs = robust is not None and difference.p is not None and (robust < SIGNIFICANT) != (difference.p < SIGNIFICANT)
    beside = f"; {SHUFFLED[difference.how]} {show_p(robust)}" if differs and robust is not None else ""
    return f" ({show_p(p)}{many}{beside})"


SHUFFLED = {"paired": "sign-flip test", "fixed": "sign-flip test", "unpaired": "permutation test"}


def show_p(p: float) -> str:
    """`p = 0.012`, `p < 0.0001`."""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"
