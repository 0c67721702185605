"""Differences that depend on the setting, or do not."""

import numpy as np
import pytest
from scipy import stats

from cnnlit.inference.clusters import interaction


def test_with_two_settings_it_is_the_paired_t_test_between_them():
    table = np.random.default_rng(0).normal(0, 1, (6, 2))
    found = interaction(table, ["rbf", "linear"])
    assert found.p == pytest.approx(stats.ttest_rel(table[:, 0], table[:, 1]).pvalue)
    assert found.means == pytest.approx({"rbf": table[:, 0].mean(), "linear": table[:, 1].mean()})


def test_what_all_settings_of_a_seed_share_is_no_interaction():
    table = np.random.default_rng(0).normal(0, 1, (6, 1)) * np.ones(4) + np.random.default_rng(1).normal(0, 0.1, (6, 4))
    assert interaction(table, list("abcd")).p > 0.05
    assert interaction(table + np.array([0, 0, 0, 1.0]), list("abcd")).p < 1e-6


def test_one_seed_tells_nothing_of_an_interaction():
    assert interaction(np.ones((1, 3)), list("abc")).p is None
