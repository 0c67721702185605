"""Errors of several seeds on the same test images: both are samples, and they are crossed.

An interval over seeds alone tells of other seeds on these very images. All seeds may owe their lead to the same two of
360 images, and on 360 others there would be none. With every answer at hand, the variance of a mean over S seeds and N
images has parts of the seeds, of the images and of the two together, which the mean squares of a two-way table without
repetitions estimate (random effects).

With three seeds, Satterthwaite's interval for such a sum is too short (it covers 92 % where seeds weigh more than
images) and the one that adds the squares of both parts' intervals (MOVER) too long (98 %). The root of the mean of both
squares covers 94 to 97 % (`python -m benchmarks.verdicts`); it is kept as the degrees of freedom that give it.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

from cnnlit.inference.statistics import LEVEL, Contrast, Interval, around

Table = NDArray[np.float64]
"""[seeds, images]: 1 where a network is wrong; where runs of a seed were averaged, their mean."""


class Estimate(NamedTuple):
    """A mean with its standard error, over seeds and images.

    Attributes:
        of_images: the part of the squared error that more seeds would not make smaller.
    """

    mean: float
    error: float
    freedom: float
    of_images: float


def estimate(table: Table) -> Estimate:
    """The mean of a table of two or more seeds.

    Its variance is (MS seeds + MS images - MS rest) / SN, where the images' part cannot be negative.
    """
    seeds, images = table.shape
    size, squares = seeds * images, _squares(table)
    of_images = max(squares.images - squares.rest, 0.0) / size
    variance = squares.seeds / size + of_images
    spread = (squares.seeds / size) ** 2 / (seeds - 1)
    if of_images:
        spread += (squares.images / size) ** 2 / (images - 1)
        spread += (squares.rest / size) ** 2 / ((seeds - 1) * (images - 1))
    freedom = _freedom(variance, of_images, spread, seeds - 1, images - 1)
    return Estimate(float(table.mean()), math.sqrt(variance), freedom, of_images)


def difference(first: Table, second: Table, in_pairs: bool) -> Estimate:
    """The mean of one table minus that of another, on the same images.

    Args:
        first: of the one arm.
        second: of the other.
        in_pairs: whether row k of both is of the same seed.
    """
    if in_pairs:
        return estimate(first - second)
    return _of_apart(first, second)


class _Squares(NamedTuple):
    """Mean squares of a two-way table: between seeds, between images, and what is left."""

    seeds: float
    images: float
    rest: float


def _squares(table: Table) -> _Squares:
    seeds, images = table.shape
    mean, rows, columns = table.mean(), table.mean(1), table.mean(0)
    of_seeds = images * ((rows - mean) ** 2).sum()
    of_images = seeds * ((columns - mean) ** 2).sum()
    rest = max(((table - mean) ** 2).sum() - of_seeds - of_images, 0.0)
    return _Squares(of_seeds / (seeds - 1), of_images / (images - 1), rest / ((seeds - 1) * (images - 1)))


def _of_apart(first: Table, second: Table) -> Estimate:
    """Of arms without common seeds: their seeds' parts add up, the images' part is that of the mean differences."""
    images = first.shape[1]
    of_seeds = of_rest = spread_of_seeds = spread = 0.0
    for table in (first, second):
        seeds, squares = len(table), _squares(table)
        of_seeds += squares.seeds / (seeds * images)
        of_rest += squares.rest / (seeds * images)
        spread_of_seeds += (squares.seeds / (seeds * images)) ** 2 / (seeds - 1)
        spread += (squares.rest / (seeds * images)) ** 2 / ((seeds - 1) * (images - 1))
    apart = first.mean(0) - second.mean(0)
    between = float(apart.var(ddof=1)) / images
    of_images = max(between - of_rest, 0.0)
    spread = spread_of_seeds + bool(of_images) * (spread + between**2 / (images - 1))
    welch = of_seeds**2 / spread_of_seeds if spread_of_seeds else len(first) + len(second) - 2
    freedom = _freedom(of_seeds + of_images, of_images, spread, welch, images - 1)
    return Estimate(float(apart.mean()), math.sqrt(of_seeds + of_images), freedom, of_images)


def _freedom(variance: float, of_images: float, spread: float, of_seeds: float, images: int) -> float:
    """Degrees of freedom for the interval between Satterthwaite's and the sum of squares.

    Args:
        variance: of the mean.
        of_images: the images' part of it.
        spread: the sum of the squares of the parts, each divided by its degrees of freedom.
        of_seeds: degrees of freedom of the seeds' part.
        images: of the images' part.
    """
    if not spread or not of_images:
        return float(of_seeds)
    middle = (1 + LEVEL) / 2
    satterthwaite = variance**2 / spread
    one = stats.t.ppf(middle, satterthwaite) ** 2
    seeds, others = (stats.t.ppf(middle, each) ** 2 for each in (of_seeds, images))
    other = (seeds * (variance - of_images) + others * of_images) / variance
    quantile = math.sqrt((one + other) / 2)
    # The quantile falls from that of the seeds alone to the normal one as the degrees of freedom grow.
    fewest = min(of_seeds, satterthwaite) / 2
    return float(optimize.brentq(lambda freedom: special.stdtrit(freedom, middle) - quantile, fewest, 1e9))


def interval_of_error(found: Estimate) -> Interval | None:
    """Wilson's interval of an error, from the number of independent answers that would have this standard error.

    Near zero an error's estimates are skewed: a symmetric interval would miss too often on the high side.
    """
    mean = found.mean
    if not found.error or not 0 < mean < 1:
        return None
    quantile = float(stats.t.ppf((1 + LEVEL) / 2, found.freedom))
    answers = mean * (1 - mean) / found.error**2
    centre = (mean + quantile**2 / (2 * answers)) / (1 + quantile**2 / answers)
    half = quantile / (1 + quantile**2 / answers) * math.sqrt(found.error**2 + (quantile / (2 * answers)) ** 2)
    return Interval(centre - half, centre + half)


def contrast(plain: Contrast, found: Estimate, num_images: int) -> Contrast:
    """A contrast of seeds alone, with the interval and the p value of seeds and images.

    Args:
        plain: over seeds alone, whose deviation between seeds is kept.
        found: over both.
        num_images: number of test images.
    """
    if not found.error:
        return plain
    p = float(2 * stats.t.sf(abs(found.mean) / found.error, found.freedom))
    return plain._replace(
        mean=found.mean,
        interval=around(found.mean, found.error, found.freedom),
        p=p,
        error=found.error,
        freedom=found.freedom,
        num_images=num_images,
        of_images=found.of_images,
    )


class McNemar(NamedTuple):
    """Two networks on the same images: how many only one of them got wrong, and the exact test of equal chances."""

    only_first: int
    only_second: int
    p: float


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> McNemar:
    """McNemar's exact test of two networks.

    Args:
        first: bool [images], where the one is wrong.
        second: bool [images], where the other is wrong.
    """
    one, other = int((first & ~second).sum()), int((second & ~first).sum())
    p = float(stats.binomtest(one, one + other).pvalue) if one + other else 1.0
    return McNemar(one, other, p)
