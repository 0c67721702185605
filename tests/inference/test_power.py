"""How many seeds it takes, against statsmodels' printed answers and simulation."""

import numpy as np
import pytest
from scipy import stats

from cnnlit.inference import power


@pytest.mark.parametrize(
    ("size", "samples", "expected"),
    # statsmodels 0.14: TTestPower and TTestIndPower, solve_power(size, power=0.8, alpha=0.05), rounded up
    [(0.5, 1, 34), (1.0, 1, 10), (0.2, 1, 199), (2.0, 1, 5), (0.5, 2, 64), (1.0, 2, 17), (0.2, 2, 394)],
)
def test_as_many_seeds_are_needed_as_statsmodels_says(size, samples, expected):
    assert power.seeds_needed(size * 0.003, 0.003, samples=samples) == expected


def test_so_many_seeds_show_the_difference_in_80_of_100_experiments():
    n = power.seeds_needed(0.8, 1.0)
    draws = np.random.default_rng(2).normal(0.8, 1.0, (4000, n))
    shown = np.mean(stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05)
    fewer = np.mean(stats.ttest_1samp(draws[:, : n - 1], 0, axis=1).pvalue < 0.05)
    assert fewer < 0.8 + 0.012
    assert 0.8 - 0.012 < shown < 0.86


def test_no_number_of_seeds_shows_what_is_not_there():
    assert power.seeds_needed(0.0, 1.0) is None
    assert power.seeds_needed(1e-6, 1.0) is None
    assert power.seeds_needed(1.0, 1e-9) == 2


def test_seeds_for_the_sign_test_have_the_power_that_they_should():
    assert power.seeds_needed_by_sign(3, 0) == 6
    assert power.seeds_needed_by_sign(2, 2) is None
    n = power.seeds_needed_by_sign(4, 1)
    wins = np.random.default_rng(3).binomial(n, 0.8, 20_000)
    p = np.array([stats.binomtest(count, n).pvalue for count in range(n + 1)])
    assert 0.79 < np.mean(p[wins] < 0.05) < 0.9
