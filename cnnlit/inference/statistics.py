"""What a few numbers can say: means with intervals, differences with p values.

Intervals are 95 %, tests two-sided at 5 %. The arithmetic is scipy's; what is added here are the cases in which a
referee would object to it: a single number, or numbers without any spread.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.95
NUM_SHUFFLES = 9999

How = Literal["paired", "unpaired", "fixed", "order paired", "order unpaired"]
"""Differences of pairs; of two means; from a fixed number; which of two came first, in pairs or overall."""


class Interval(NamedTuple):
    """The ends of an interval."""

    low: float
    high: float


class Summary(NamedTuple):
    """A summary of several runs' numbers; the deviation needs at least two, the interval some spread."""

    n: int
    mean: float
    deviation: float | None
    interval: Interval | None
    low: float
    high: float


class Contrast(NamedTuple):
    """One sample against another, or against a number.

    `over` gives the interval at another level than 95 %, as a later look at the same seeds needs.

    Attributes:
        how: the kind of comparison.
        n: number of pairs, or size of the first sample.
        n_other: size of the second sample; for pairs the same as `n`.
        mean: of the differences, first minus second; None where only the order is known.
        deviation: standard deviation of the pairs' differences; for unpaired samples, that of a single number.
        interval: of the mean difference.
        p: of the t test or, where only the order is known, of the sign or log-rank test; None if there is no test.
        p_shuffled: of the test that assumes no distribution, by flipping signs or exchanging numbers.
        differences: one per pair.
        wins: in how many pairs the first is smaller, and in how many larger; for `order unpaired`, which median is.
        error: standard error of the mean difference.
        freedom: degrees of freedom of `error`.
        num_images: of the test images that it was reckoned over, where these count as a sample; 0 where they are fixed.
        of_images: the part of the squared error that the test images bring, and more seeds would not make smaller.
    """

    how: How
    n: int
    n_other: int
    mean: float | None
    deviation: float | None
    interval: Interval | None
    p: float | None
    p_shuffled: float | None
    differences: tuple[float, ...] = ()
    wins: tuple[int, int] = (0, 0)
    error: float | None = None
    freedom: float | None = None
    num_images: int = 0
    of_images: float = 0.0

    def over(self, level: float) -> Interval | None:
        """The interval of the mean difference at a level, such as 0.9; None without any spread."""
        if self.mean is None or not self.error or self.freedom is None:
            return None
        return around(self.mean, self.error, self.freedom, level)


def summarize(numbers: Sequence[float]) -> Summary:
    """Mean, standard deviation and Student's interval of one or more numbers; equal ones have no interval."""
    values = np.asarray(numbers, float)
    n, mean = len(values), _mean(values)
    deviation = _deviation(values)
    interval = None if deviation is None else around(mean, deviation / math.sqrt(n), n - 1)
    return Summary(n, mean, deviation, interval, float(values.min()), float(values.max()))


def wilson(num_errors: int, num_images: int) -> Interval:
    """Wilson's interval for a single network's error: the test images are a sample, too."""
    found = stats.binomtest(num_errors, num_images).proportion_ci(LEVEL, method="wilson")
    return Interval(float(found.low), float(found.high))


def paired(first: Sequence[float], second: Sequence[float]) -> Contrast:
    """Student's paired t test, and the sign-flip test beside it (exact up to 13 pairs)."""
    values = np.asarray(first, float) - np.asarray(second, float)
    # Numbers that differ only by rounding are equal: 0.1 + 0.2 and 0.3.
    values = np.where(np.isclose(first, second, rtol=1e-12, atol=0), 0.0, values)
    return _of_differences("paired", values)


def against_number(numbers: Sequence[float], number: float) -> Contrast:
    """Student's one-sample t test against a number without spread, such as a paper's."""
    return _of_differences("fixed", np.asarray(numbers, float) - number)


def _of_differences(how: How, values: NDArray[np.float64]) -> Contrast:
    n, mean, deviation = len(values), _mean(values), _deviation(values)
    interval = p = p_shuffled = error = None
    if deviation is not None:
        error = deviation / math.sqrt(n)
        interval = around(mean, error, n - 1)
        p_shuffled = _shuffled((values,), "samples")
        # Without any spread there is no t: only signs can be counted.
        p = float(stats.ttest_1samp(values, 0).pvalue) if deviation else p_shuffled
    wins = (int((values < 0).sum()), int((values > 0).sum()))
    return Contrast(how, n, n, mean, deviation, interval, p, p_shuffled, tuple(values.tolist()), wins, error, n - 1)


def unpaired(first: Sequence[float], second: Sequence[float]) -> Contrast:
    """Welch's t test of two means, and the permutation test beside it."""
    one, other = np.asarray(first, float), np.asarray(second, float)
    mean = _mean(one) - _mean(other)
    spreads = _deviation(one), _deviation(other)
    if None in spreads:
        return Contrast("unpaired", len(one), len(other), mean, None, None, None, None)
    deviation = math.sqrt(sum(spread**2 for spread in spreads if spread is not None) / 2)
    p_shuffled = _shuffled((one, other), "independent")
    if deviation == 0:
        return Contrast("unpaired", len(one), len(other), mean, 0.0, None, p_shuffled, p_shuffled)
    welch = stats.ttest_ind(one, other, equal_var=False)
    ends = welch.confidence_interval(LEVEL)
    interval = Interval(float(ends.low), float(ends.high))
    error = math.sqrt(one.var(ddof=1) / len(one) + other.var(ddof=1) / len(other))
    return Contrast(
        "unpaired", len(one), len(other), mean, deviation, interval, float(welch.pvalue), p_shuffled,
        error=error, freedom=float(welch.df),
    )  # fmt: skip


def _shuffled(samples: tuple[NDArray[np.float64], ...], kind: Literal["samples", "independent"]) -> float:
    """The p value of the mean, or difference of means, among all permutations or 9,999 random ones."""
    if all((sample == samples[0][0]).all() for sample in samples) and (kind == "independent" or samples[0][0] == 0):
        return 1.0

    def statistic(*shuffled: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        means = [sample.mean(axis=axis) for sample in shuffled]
        return np.asarray(means[0] - (means[1] if len(means) == 2 else 0.0))

    test = stats.permutation_test(
        samples,
        statistic,
        permutation_type=kind,
        n_resamples=NUM_SHUFFLES,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(test.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction (1979) for multiple comparisons."""
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(p_values))
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return [float(value) for value in corrected]


def ratio(first: Sequence[float], second: Sequence[float]) -> tuple[float, Interval | None] | None:
    """The geometric mean of the pairs' ratios, first to second; None unless all numbers are positive."""
    if min(*first, *second) <= 0:
        return None
    logarithms = summarize(np.log(first) - np.log(second))  # type: ignore[arg-type]
    ends = logarithms.interval and Interval(math.exp(logarithms.interval.low), math.exp(logarithms.interval.high))
    return math.exp(logarithms.mean), ends


def _mean(values: NDArray[np.float64]) -> float:
    # The mean of equal numbers is exactly that number, which rounding in a sum might miss.
    return float(values[0]) if (values == values[0]).all() else float(values.mean())


def _deviation(values: NDArray[np.float64]) -> float | None:
    if len(values) < 2:
        return None
    # Differences that are equal on paper may differ in the last bit.
    return 0.0 if np.ptp(values) <= 1e-12 * np.abs(values).max() else float(values.std(ddof=1))


def around(mean: float, error: float, freedom: float, level: float = LEVEL) -> Interval | None:
    """Student's interval; None without any spread, for equal numbers tell nothing of how far the next may be."""
    if error == 0:
        return None
    low, high = stats.t.interval(level, freedom, loc=mean, scale=error)
    return Interval(float(low), float(high))
