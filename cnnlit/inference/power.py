"""How many seeds it takes to show a difference."""

import math
from collections.abc import Callable
from typing import Literal

from scipy import stats

from cnnlit.inference.statistics import LEVEL

POWER = 0.8
MOST_SEEDS = 10_000
"""Beyond this many, no number is given."""


def seeds_needed(
    difference: float,
    deviation: float,
    *,
    samples: Literal[1, 2] = 1,
    chance: float = 1 - LEVEL,
    of_images: float = 0.0,
) -> int | None:
    """How many seeds (of each arm) show a difference with a probability of 80 %.

    The smallest n with P(|T| > t) >= 0.8, where T follows the noncentral t distribution: for pairs with n - 1 degrees
    of freedom and noncentrality d sqrt(n) / s, for two samples with 2 n - 2 and d sqrt(n / 2) / s.

    Args:
        difference: to be shown.
        deviation: standard deviation of the pairs' differences; for two samples, that of a single number.
        samples: 1 for pairs, 2 for independent samples.
        chance: of a wrong decision, which the test takes.
        of_images: the variance that the test images bring, which no number of seeds makes smaller.

    Returns:
        The number; None if it is above 10,000.
    """
    if (deviation == 0 and not of_images) or difference == 0:
        return 2 if difference else None

    def enough(n: int) -> bool:
        freedom = samples * (n - 1)
        shift = abs(difference) / math.sqrt(samples * deviation**2 / n + of_images)
        bound = stats.t.ppf(1 - chance / 2, freedom)
        if shift > 30 + bound:  # nct is out of precision here
            return True
        return bool(stats.nct.sf(bound, freedom, shift) + stats.nct.cdf(-bound, freedom, shift) >= POWER)

    return _smallest(enough)


def deviation_within(deviation: float, freedom: float) -> tuple[float, float]:
    """What a standard deviation may be that was estimated from a few numbers: its 80 % interval."""
    low, high = stats.chi2.interval(0.8, freedom)
    return deviation * math.sqrt(freedom / high), deviation * math.sqrt(freedom / low)


def seeds_needed_by_sign(ahead: int, behind: int, *, chance: float = 1 - LEVEL) -> int | None:
    """How many pairs the sign test needs if the proportion so far is the true one; None if above 10,000."""
    proportion = max(ahead, behind) / (ahead + behind) if ahead != behind else 0.5
    if proportion == 0.5:
        return None

    def enough(n: int) -> bool:
        # The smallest count whose p value is at most `chance`, and the probability of reaching it.
        least = int(stats.binom.isf(chance / 2, n, 0.5)) + 1
        return least <= n and bool(stats.binom.sf(least - 1, n, proportion) >= POWER)

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
