"""Which arm reaches a target first, when some runs end before they reach it."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy import stats

from cnnlit.inference.statistics import Contrast


def order_paired(pairs: Mapping[str, tuple[float, bool, float, bool]], seed_of: Callable[[str], str] = str) -> Contrast:
    """The sign test of which was first, when some never reached the target.

    Args:
        pairs: for either run, its time and whether it reached the target; if not, the time is that of its end. A pair
            is undecided if neither reached it, or if one ended before the other got there.
        seed_of: the seed of a pair; pairs of one seed count as one, decided by most of them.
    """
    leads: dict[str, int] = {}
    for name, (one, one_reached, other, other_reached) in pairs.items():
        ahead = (one_reached and one < other) or (one_reached and not other_reached and one == other)
        behind = (other_reached and other < one) or (other_reached and not one_reached and one == other)
        leads[seed_of(name)] = leads.get(seed_of(name), 0) + ahead - behind
    wins = sum(lead > 0 for lead in leads.values()), sum(lead < 0 for lead in leads.values())
    p = float(stats.binomtest(wins[0], sum(wins)).pvalue) if any(wins) else None
    return Contrast("order paired", len(leads), len(leads), None, None, None, p, None, (), wins)


def order_unpaired(first: Sequence[tuple[float, bool]], second: Sequence[tuple[float, bool]]) -> Contrast:
    """The log-rank test of the times, when some runs ended before they reached the target."""
    p = None
    if min(len(first), len(second)) >= 2 and any(reached for _, reached in (*first, *second)):
        found = float(stats.logrank(_censored(first), _censored(second)).pvalue)
        p = found if math.isfinite(found) else 1.0
    one, other = middle(first), middle(second)
    ahead = other is None or (one is not None and one < other)
    behind = one is None or (other is not None and other < one)
    wins = (int(ahead and not behind), int(behind and not ahead))
    return Contrast("order unpaired", len(first), len(second), None, None, None, p, None, (), wins)


def middle(numbers: Sequence[tuple[float, bool]]) -> float | None:
    """The median time (Kaplan and Meier's estimate); None if fewer than half of the runs reached the target."""
    curve = stats.ecdf(_censored(numbers)).sf
    below = np.flatnonzero(curve.probabilities <= 0.5)
    return float(curve.quantiles[below[0]]) if len(below) else None


def _censored(numbers: Sequence[tuple[float, bool]]) -> stats.CensoredData:
    return stats.CensoredData(
        uncensored=[number for number, reached in numbers if reached],
        right=[number for number, reached in numbers if not reached],
    )
