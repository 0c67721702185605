"""Which arm reaches a target first, when some runs end before they reach it."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from cnnlit.analysis.statistics import Contrast


def order_paired(pairs: Sequence[tuple[float, bool, float, bool]]) -> Contrast:
    """The sign test of which was first, when some never reached the target.

    Args:
        pairs: for either run, its time and whether it reached the target; if not, the time is that of its end. A pair
            is undecided if neither reached it, or if one ended before the other got there.
    """
    ahead = behind = 0
    for one, one_reached, other, other_reached in pairs:
        ahead += (one_reached and one < other) or (one_reached and not other_reached and one == other)
        behind += (other_reached and other < one) or (other_reached and not one_reached and one == other)
    p = float(stats.binomtest(ahead, ahead + behind).pvalue) if ahead + behind else None
    n = len(pairs)
    return Contrast("order paired", n, n, None, None, None, p, None, (), (ahead, behind))


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
