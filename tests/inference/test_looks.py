"""What looks may spend, and what sweeps of equal arms come to whose owner follows the report's advice."""

import pytest

from benchmarks.verdicts import MOST_DECIDED, Images, decided
from cnnlit.inference import looks


def test_all_looks_together_spend_six_percent_at_most():
    assert looks.chance_at(1) == 0.05
    assert sum(looks.chance_at(look) for look in range(1, 60)) <= 0.06


def test_a_p_value_is_corrected_by_what_its_look_may_spend():
    assert looks.corrected_for(0.04, 1) == 0.04
    assert looks.corrected_for(0.004, 2) == pytest.approx(0.04)
    assert looks.corrected_for(0.02, 3) == pytest.approx(0.4)
    assert looks.corrected_for(0.2, 3) == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("images", [Images(0), Images(120)], ids=["seeds alone", "seeds and images"])
def test_equal_arms_are_seldom_told_apart_by_who_follows_the_advice(images):
    """In full: python -m benchmarks.verdicts. Of 300 sweeps with 6 %, 26 or more are decided once in 50 times."""
    assert decided(300, 5, images) <= MOST_DECIDED + 0.027
