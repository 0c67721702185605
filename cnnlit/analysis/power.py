"""How many seeds it takes to show a difference."""

import math
from collections.abc import Callable
from typing import Literal

from scipy import stats

from cnnlit.analysis.statistics import LEVEL

POWER = 0.8
MOST_SEEDS = 10_000
"""Beyond this many, no number is given."""


def seeds_needed(difference: float, deviation: float, *, samples: Literal[1, 2] = 1) -> int | None:
    """How many seeds (of each arm) show a difference with a probability of 80 %.

    The smallest n with P(|T| > t) >= 0.8, where T follows the noncentral t distribution: for pairs with n - 1 degrees
    of freedom and noncentrality d sqrt(n) / s, for two samples with 2 n - 2 and d sqrt(n / 2) / s.

    Args:
        difference: to be shown.
        deviation: standard deviation of the pairs' differences; for two samples, that of a single number.
        samples: 1 for pairs, 2 for independent samples.

    Returns:
        The number; None if it is above 10,000.
    """
    if deviation == 0 or difference == 0:
        return 2 if difference else None

    def enough(n: int) -> bool:
        freedom = samples * (n - 1)
        shift = abs(difference) / deviation * math.sqrt(n / samples)
        bound = stats.t.ppf((1 + LEVEL) / 2, freedom)
        if shift > 30 + bound:  # nct is out of precision here
            return True
        return bool(stats.nct.sf(bound, freedom, shift) + stats.nct.cdf(-bound, freedom, shift) >= POWER)

    return _smallest(enough)


def seeds_needed_by_sign(ahead: int, behind: int) -> int | None:
    """How many pairs the sign test needs if the proportion so far is the true one; None if above 10,000."""
    chance = max(ahead, behind) / (ahead + behind) if ahead != behind else 0.5
    if chance == 0.5:
        return None

    def enough(n: int) -> bool:
        # The smallest count whose p value is at most 5 %, and the probability of reaching it.
        least = int(stats.binom.isf((1 - LEVEL) / 2, n, 0.5)) + 1
        return least <= n and bool(stats.binom.sf(least - 1, n, chance) >= POWER)

    return _smallest(enough)


def _smallest(enough: Callable[[int], bool]) -> int | None:
    low, high = 1, 2
    while not enough(high):
        if high == MOST_SEEDS:
            return None
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        between = (low + high) // 2
        low, high = (low, between) if enough(between) else (between, high)
    return high
