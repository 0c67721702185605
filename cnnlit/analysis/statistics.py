"""What a few numbers can say: means with intervals, differences with their p values, how many more seeds it takes.

Intervals are of 95 %, tests two-sided at 5 %. The arithmetic is scipy's; here are the cases in which a referee would
object to it: one number, numbers without any spread, runs that never got there.
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
"""Differences of pairs; of two means; from a fixed number; which of two came first, in pairs or in all."""


class Interval(NamedTuple):
    """The ends of an interval."""

    low: float
    high: float


class Summary(NamedTuple):
    """Several runs' numbers in short; the deviation and the interval take two of them at least."""

    n: int
    mean: float
    deviation: float | None
    interval: Interval | None
    low: float
    high: float


class Contrast(NamedTuple):
    """One sample against another, or against a number.

    Attributes:
        how: of what kind the comparison is.
        n: pairs, or numbers of the first sample.
        n_other: numbers of the second sample; the same as `n` for pairs.
        mean: of the differences, first minus second; None where only the order is known.
        deviation: of the differences of pairs; of a number in an unpaired sample.
        interval: of the mean difference.
        p: of the t test, or where only the order is known of the sign or log-rank test; None where there is none.
        p_shuffled: of the test that assumes no distribution: signs of differences flipped, or numbers exchanged.
        differences: of each pair.
        wins: pairs (or for `order unpaired` nothing) in which the first is the smaller, and in which it is the larger.
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


def summarize(numbers: Sequence[float]) -> Summary:
    """Mean, deviation and Student's interval of one number or more."""
    values = np.asarray(numbers, float)
    n, mean = len(values), _mean(values)
    deviation = _deviation(values)
    interval = None if deviation is None else _around(mean, deviation / math.sqrt(n), n - 1)
    return Summary(n, mean, deviation, interval, float(values.min()), float(values.max()))


def wilson(num_errors: int, num_images: int) -> Interval:
    """How sure a single network's error is, for the test images are a sample, too (Wilson's interval)."""
    found = stats.binomtest(num_errors, num_images).proportion_ci(LEVEL, method="wilson")
    return Interval(float(found.low), float(found.high))


def paired(first: Sequence[float], second: Sequence[float]) -> Contrast:
    """Student's test of the differences of pairs, beside it the sign-flip test (exact up to 13 pairs)."""
    values = np.asarray(first, float) - np.asarray(second, float)
    # What two decimal fractions differ in, exactly: 0.3 - 0.1 and 0.4 - 0.2 are the same.
    values = np.where(np.isclose(first, second, rtol=1e-12, atol=0), 0.0, values)
    return _of_differences("paired", values)


def against_number(numbers: Sequence[float], number: float) -> Contrast:
    """Student's test of a sample's mean against a number that has no spread, such as a paper's."""
    return _of_differences("fixed", np.asarray(numbers, float) - number)


def _of_differences(how: How, values: NDArray[np.float64]) -> Contrast:
    n, mean, deviation = len(values), _mean(values), _deviation(values)
    interval = p = p_shuffled = None
    if deviation is not None:
        interval = _around(mean, deviation / math.sqrt(n), n - 1)
        p_shuffled = _shuffled((values,), "samples")
        # Without any spread there is no t: signs are all that can be counted.
        p = float(stats.ttest_1samp(values, 0).pvalue) if deviation else p_shuffled
    wins = (int((values < 0).sum()), int((values > 0).sum()))
    return Contrast(how, n, n, mean, deviation, interval, p, p_shuffled, tuple(values.tolist()), wins)


def unpaired(first: Sequence[float], second: Sequence[float]) -> Contrast:
    """Welch's test of two means, beside it the permutation test."""
    one, other = np.asarray(first, float), np.asarray(second, float)
    mean = _mean(one) - _mean(other)
    spreads = _deviation(one), _deviation(other)
    if None in spreads:
        return Contrast("unpaired", len(one), len(other), mean, None, None, None, None)
    deviation = math.sqrt(sum(spread**2 for spread in spreads if spread is not None) / 2)
    p_shuffled = _shuffled((one, other), "independent")
    if deviation == 0:
        return Contrast("unpaired", len(one), len(other), mean, 0.0, Interval(mean, mean), p_shuffled, p_shuffled)
    welch = stats.ttest_ind(one, other, equal_var=False)
    ends = welch.confidence_interval(LEVEL)
    interval = Interval(float(ends.low), float(ends.high))
    return Contrast("unpaired", len(one), len(other), mean, deviation, interval, float(welch.pvalue), p_shuffled)


def _shuffled(samples: tuple[NDArray[np.float64], ...], kind: Literal["samples", "independent"]) -> float:
    """The p value of the mean, or difference of means, among those of all shufflings, or of 9,999 of them."""
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
    """Holm's correction (1979) for so many questions at once."""
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(p_values))
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return [float(value) for value in corrected]


def ratio(first: Sequence[float], second: Sequence[float]) -> tuple[float, Interval | None] | None:
    """How many times the second the first is: the geometric mean of the pairs' ratios; None unless all are positive."""
    if min(*first, *second) <= 0:
        return None
    logarithms = summarize(np.log(first) - np.log(second))  # type: ignore[arg-type]
    ends = logarithms.interval and Interval(math.exp(logarithms.interval.low), math.exp(logarithms.interval.high))
    return math.exp(logarithms.mean), ends


def _mean(values: NDArray[np.float64]) -> float:
    # Of equal numbers exactly that number, which rounding in a sum might miss.
    return float(values[0]) if (values == values[0]).all() else float(values.mean())


def _deviation(values: NDArray[np.float64]) -> float | None:
    if len(values) < 2:
        return None
    # Differences of decimal fractions that are equal on paper differ in the last bit.
    return 0.0 if np.ptp(values) <= 1e-12 * np.abs(values).max() else float(values.std(ddof=1))


def _around(mean: float, error: float, freedom: int) -> Interval:
    if error == 0:
        return Interval(mean, mean)
    low, high = stats.t.interval(LEVEL, freedom, loc=mean, scale=error)
    return Interval(float(low), float(high))
