"""Intervals over seeds and images, against tables worked out by other means, and in simulation."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.verdicts import Images, covered
from cnnlit.inference import crossed


def drawn(seeds=6, images=50, of_seed=0.3, of_image=0.5, seed=0):
    random = np.random.default_rng(seed)
    return (
        random.normal(0, of_seed, (seeds, 1))
        + random.normal(0, of_image, images)
        + random.normal(0, 1, (seeds, images))
    )


def test_the_variance_is_that_of_a_two_way_table():
    """The parts by least squares: what is left after the means of rows and columns were taken out."""
    table = drawn()
    seeds, images = table.shape
    rest = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    of_both = (rest**2).sum() / ((seeds - 1) * (images - 1))
    of_seeds = table.mean(1).var(ddof=1) - of_both / images
    of_images = table.mean(0).var(ddof=1) - of_both / seeds
    found = crossed.estimate(table)
    assert found.mean == pytest.approx(table.mean())
    assert found.error**2 == pytest.approx(of_seeds / seeds + of_images / images + of_both / (seeds * images))
    assert found.of_images == pytest.approx(of_images / images)


def test_without_differences_between_images_it_is_students_interval():
    table = np.random.default_rng(0).normal(0, 1, (5, 1)) + np.zeros((5, 100))
    found = crossed.estimate(table)
    assert found.error == pytest.approx(stats.sem(table[:, 0]))
    assert found.freedom == pytest.approx(4)


def test_seeds_that_agree_leave_the_images():
    """Ten copies of one network: as sure as its images make it, not ten times as sure."""
    wrong = np.random.default_rng(0).random(400) < 0.2
    found = crossed.estimate(np.tile(wrong.astype(float), (10, 1)))
    assert found.error == pytest.approx(stats.sem(wrong))
    ends = crossed.interval_of_error(found)
    wilson = stats.binomtest(int(wrong.sum()), 400).proportion_ci(method="wilson")
    assert ends == pytest.approx((wilson.low, wilson.high), abs=5e-4)


def test_arms_without_common_seeds_are_further_apart():
    one, other = drawn(seed=1), drawn(seed=2)
    assert crossed.difference(one, other, in_pairs=False).mean == pytest.approx(one.mean() - other.mean())
    same = one + drawn(of_seed=0, of_image=0, seed=3)
    assert crossed.difference(one, same, in_pairs=True).error < crossed.difference(one, same, in_pairs=False).error


def test_mcnemar_counts_what_only_one_of_two_networks_got_wrong():
    first, second = np.zeros(40, bool), np.zeros(40, bool)
    first[:12], second[10:13] = True, True
    assert crossed.mcnemar(first, second) == (10, 1, pytest.approx(stats.binomtest(1, 11).pvalue))
    assert crossed.mcnemar(first, first).p == 1.0


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_intervals_cover_the_truth_in_95_of_100_sweeps(seeds):
    """In full, with 10,000 images too: python -m benchmarks.verdicts."""
    for rate in covered(400, seeds, Images(360)):
        assert 0.95 - 0.032 < rate < 0.95 + 0.035
