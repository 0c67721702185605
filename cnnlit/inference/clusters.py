"""Pairs that share a seed are not independent: four settings of five seeds are five seeds, not twenty."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats


class Interaction(NamedTuple):
    """Whether a difference depends on the setting.

    Attributes:
        means: the difference in each setting.
        p: of the F test of a two-way table without repetitions, seeds by settings; None without two of each.
    """

    means: dict[str, float]
    p: float | None


def interaction(differences: NDArray[np.float64], settings: list[str]) -> Interaction:
    """Test whether differences differ between settings.

    Args:
        differences: [seeds, settings].
        settings: their names.
    """
    seeds, number = differences.shape
    columns = differences.mean(0)
    means = dict(zip(settings, map(float, columns), strict=True))
    if min(seeds, number) < 2:
        return Interaction(means, None)
    rest = differences - columns - differences.mean(1, keepdims=True) + differences.mean()
    between = seeds * ((columns - differences.mean()) ** 2).sum() / (number - 1)
    within = (rest**2).sum() / ((seeds - 1) * (number - 1))
    if within <= 1e-24 * max(between, 1e-24):
        return Interaction(means, 0.0 if between else None)
    return Interaction(means, float(stats.f.sf(between / within, number - 1, (seeds - 1) * (number - 1))))
