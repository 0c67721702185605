"""Who reaches a target first, against tests worked out by hand."""

import math

import pytest
from scipy import stats

from cnnlit.inference import times_to_target


def named(pairs):
    return {f"seed {number}": pair for number, pair in enumerate(pairs)}


def test_pairs_that_share_a_seed_are_one():
    """Four settings of two seeds are two seeds: the sign test has two of them, and no way to be sure."""
    pairs = {f"seed {seed} (c={setting})": (1.0, True, 9.0, False) for seed in range(2) for setting in range(4)}
    found = times_to_target.order_paired(pairs, lambda block: block.partition(" (")[0])
    assert (found.n, found.wins, found.p) == (2, (2, 0), 0.5)


def test_who_never_got_there_comes_after_who_did():
    late = [(3.0, True, 10.0, False)] * 5 + [(7.0, True, 6.0, True)]
    found = times_to_target.order_paired(named(late))
    assert found.wins == (5, 1)
    assert found.mean is None
    assert found.p == pytest.approx(stats.binomtest(5, 6).pvalue)


def test_pairs_of_which_nothing_is_known_are_undecided():
    neither, cut_off_before = (10.0, False, 10.0, False), (4.0, False, 6.0, True)
    found = times_to_target.order_paired(named([neither, cut_off_before, (6.0, True, 6.0, False)]))
    assert found.wins == (1, 0)
    assert found.n == 3
    assert times_to_target.order_paired(named([neither])).p is None


def test_unpaired_times_are_ranked_by_the_log_rank_test():
    first = [(1.0, True), (2.0, True), (3.0, True), (4.0, True)]
    second = [(5.0, True), (9.0, False), (9.0, False), (9.0, False)]
    found = times_to_target.order_unpaired(first, second)
    assert found.wins == (1, 0)
    # The test by hand: observed minus expected events of the first, over the root of the hypergeometric variance.
    observed_minus_expected = variance = 0.0
    for time in (1, 2, 3, 4, 5):
        at_risk = [sum(t >= time for t, _ in group) for group in (first, second)]
        n, dead_first = sum(at_risk), time <= 4
        observed_minus_expected += dead_first - at_risk[0] / n
        variance += at_risk[0] * at_risk[1] / n**2
    z = observed_minus_expected / math.sqrt(variance)
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-6)


def test_the_median_needs_half_of_the_runs_to_get_there():
    assert times_to_target.middle([(1.0, True), (2.0, True), (9.0, False)]) == 2
    assert times_to_target.middle([(1.0, True), (9.0, False), (9.0, False)]) is None
