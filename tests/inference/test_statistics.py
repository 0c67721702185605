"""Means and differences, against scipy, statsmodels' printed answers, enumeration and simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from cnnlit.inference import statistics

ONE = [0.0095, 0.0102, 0.0088, 0.0097, 0.0110, 0.0093]
OTHER = [0.0081, 0.0085, 0.0090, 0.0079, 0.0095, 0.0084]


def test_a_mean_has_students_interval():
    found = statistics.summarize([2.0, 4.0, 9.0])
    assert (found.n, found.mean, found.low, found.high) == (3, 5.0, 2.0, 9.0)
    assert found.deviation == pytest.approx(math.sqrt(13))
    half = 4.302653 * math.sqrt(13 / 3)  # t of a table, 2 degrees of freedom
    assert found.interval == pytest.approx((5 - half, 5 + half), rel=1e-6)


def test_one_number_has_no_interval():
    found = statistics.summarize([0.01])
    assert (found.n, found.mean, found.deviation, found.interval) == (1, 0.01, None, None)


def test_equal_numbers_have_no_interval():
    """Three times nine epochs do not say that the next will be nine: [9, 9] covers the mean in 48 of 100."""
    found = statistics.summarize([0.1 + 0.2, 0.3, 0.3])
    assert found.deviation == 0
    assert found.interval is None


def test_the_interval_covers_the_mean_in_95_of_100_experiments():
    draws = np.random.default_rng(0).normal(3, 2, (2000, 5))
    inside = [low <= 3 <= high for low, high in (statistics.summarize(row).interval for row in draws)]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


def test_a_test_errors_interval_is_wilsons():
    # statsmodels 0.14: proportion_confint(95, 10000, method="wilson")
    assert statistics.wilson(95, 10_000) == pytest.approx((0.00777816670, 0.01159853571), abs=1e-10)
    low, high = statistics.wilson(0, 360)
    assert low == pytest.approx(0, abs=1e-15)
    assert high == pytest.approx(0.01055805689, abs=1e-10)


def test_pairs_are_tested_as_scipy_does():
    found, expected = statistics.paired(ONE, OTHER), stats.ttest_rel(ONE, OTHER)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval()), rel=1e-9)
    assert found.mean == pytest.approx(np.mean(ONE) - np.mean(OTHER))
    assert found.wins == (1, 5)


def test_signs_are_flipped_in_all_ways():
    differences = np.subtract(ONE, OTHER)
    flips = [np.dot(signs, differences) for signs in itertools.product((1, -1), repeat=6)]
    expected = np.mean(np.abs(flips) >= abs(differences.sum()) - 1e-12)
    assert statistics.paired(ONE, OTHER).p_shuffled == pytest.approx(expected)


def test_two_samples_are_tested_as_welch_does():
    found, expected = statistics.unpaired(ONE, OTHER[:4]), stats.ttest_ind(ONE, OTHER[:4], equal_var=False)
    assert (found.n, found.n_other) == (6, 4)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval()), rel=1e-9)
    everything = np.array(ONE + OTHER[:4])
    differences = []
    for chosen in itertools.combinations(range(10), 6):
        inside = np.isin(range(10), chosen)
        differences.append(everything[inside].mean() - everything[~inside].mean())
    below = np.mean(np.array(differences) <= found.mean + 1e-15)
    above = np.mean(np.array(differences) >= found.mean - 1e-15)
    assert found.p_shuffled == pytest.approx(2 * min(below, above))


def test_one_pair_shows_a_difference_and_no_p():
    found = statistics.paired([0.1], [0.3])
    assert found.mean == pytest.approx(-0.2)
    assert (found.interval, found.p, found.p_shuffled) == (None, None, None)
    assert statistics.unpaired([0.1], [0.3, 0.4]).p is None


def test_identical_results_show_nothing():
    found = statistics.paired(ONE, ONE)
    assert (found.mean, found.p, found.p_shuffled, found.interval) == (0, 1, 1, None)
    assert statistics.unpaired([1.0, 1.0], [1.0, 1.0]).p == 1


def test_the_same_difference_in_each_pair_is_judged_by_its_signs():
    """Student's t would be infinite, and two pairs would be proof."""
    two = statistics.paired([0.3, 0.4], [0.1, 0.2])
    assert (two.deviation, two.p) == (0, 0.5)
    six = statistics.paired([x + 0.1 for x in ONE], ONE)
    assert (six.deviation, six.p) == (0, 2 / 2**6)


def test_samples_without_spread_are_judged_by_their_order():
    assert statistics.unpaired([1.0] * 2, [2.0] * 2).p == pytest.approx(2 / 6)
    assert statistics.unpaired([1.0] * 4, [2.0] * 4).p == pytest.approx(2 / 70)


def test_ties_count_for_neither():
    found = statistics.paired([0.01, 0.02, 0.03], [0.01, 0.02, 0.05])
    assert found.wins == (1, 0)
    assert found.p == pytest.approx(stats.ttest_rel([0.01, 0.02, 0.03], [0.01, 0.02, 0.05]).pvalue)


def test_a_number_is_a_mean_without_spread():
    found = statistics.against_number(ONE, 0.0095)
    assert found.p == pytest.approx(stats.ttest_1samp(ONE, 0.0095).pvalue)
    assert found.mean == pytest.approx(np.mean(ONE) - 0.0095)


def test_false_alarms_are_5_in_100():
    draws = np.random.default_rng(1).normal(0, 1, (1000, 2, 5))
    assert np.mean([statistics.paired(*pair).p < 0.05 for pair in draws]) == pytest.approx(0.05, abs=0.02)


def test_many_questions_are_corrected_by_holm():
    # statsmodels 0.14: multipletests([...], method="holm")
    asked = [0.01, 0.04, 0.03, 0.005, 0.9]
    assert statistics.holm(asked) == pytest.approx([0.04, 0.09, 0.09, 0.025, 0.9])
    assert statistics.holm([0.4, 0.6, 0.9]) == [1, 1, 1]
    assert statistics.holm([]) == []


def test_times_are_compared_by_their_ratio():
    times, ends = statistics.ratio([2.0, 4.0, 9.0], [1.0, 2.0, 3.0])
    logarithms = np.log([2, 2, 3])
    assert times == pytest.approx(math.exp(logarithms.mean()))
    expected = stats.ttest_1samp(logarithms, 0).confidence_interval()
    assert ends == pytest.approx((math.exp(expected.low), math.exp(expected.high)))
    assert statistics.ratio([1.0], [2.0]) == (0.5, None)
    assert statistics.ratio([0.0], [2.0]) is None
