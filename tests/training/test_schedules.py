"""Each schedule gives the rates that it is named for, batch by batch."""

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD

from cnnlit.training.schedules import Constant, Exponential, Passes, Plateau, Steps, WarmupCosine

RATES: Any = {"rates": [5e-4, 2e-4, 1e-4, 5e-5, 1e-5], "passes": [2, 3, 3, 4, 8]}


def rates(schedule: Any, steps: int, lr: float = 0.1, **options: Any) -> list[float]:
    """The rate of each step."""
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = schedule(optimizer, **options)
    used = []
    for _ in range(steps):
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return used


@pytest.mark.parametrize("lr", [5e-4, 1.0])
def test_passes_are_those_of_appendix_c(lr: float) -> None:
    used = rates(Passes, 22 * 3, lr=lr, steps_per_epoch=3, epochs=20, **RATES)
    per_pass = [5e-4] * 2 + [2e-4] * 3 + [1e-4] * 3 + [5e-5] * 4 + [1e-5] * 8
    assert len(per_pass) == 20
    assert used == pytest.approx([rate for rate in [*per_pass, 1e-5, 1e-5] for _ in range(3)])


def test_passes_refuse_rates_and_lengths_that_differ_in_number() -> None:
    with pytest.raises(ValueError, match=r"schedule\.rates has 2 rates and schedule\.passes 3 lengths"):
        rates(Passes, 1, steps_per_epoch=1, epochs=2, rates=[1e-3, 1e-4], passes=[1, 1, 1])


def test_warmup_cosine_rises_peaks_and_falls() -> None:
    used = rates(WarmupCosine, 51, steps_per_epoch=10, epochs=5, warmup_epochs=2, final_fraction=0.05)
    assert used[:20] == pytest.approx([0.1 * (step + 1) / 21 for step in range(20)])
    assert max(used) == used[20] == 0.1
    assert used[20:] == sorted(used[20:], reverse=True)
    halfway = used[35]
    assert halfway == pytest.approx(0.1 * (1 + 0.05) / 2)
    assert used[50] == pytest.approx(0.1 * 0.05)


@pytest.mark.parametrize("warmup_epochs", [0, 0.5, 1.0, 10.0])
def test_warmup_cosine_stays_at_its_end_and_above_zero_before(warmup_epochs: float) -> None:
    used = rates(WarmupCosine, 40, steps_per_epoch=4, epochs=3, warmup_epochs=warmup_epochs)
    assert all(rate > 0 for rate in used[:12])
    assert used[12:] == pytest.approx([0] * 28, abs=1e-12)
    assert max(used) == pytest.approx(0.1)


def test_warmup_cosine_is_half_a_cosine() -> None:
    used = rates(WarmupCosine, 20, steps_per_epoch=20, epochs=1, warmup_epochs=0)
    assert used == pytest.approx([0.05 * (1 + math.cos(math.pi * step / 20)) for step in range(20)])


def test_constant_is_constant() -> None:
    assert rates(Constant, 5, steps_per_epoch=2, epochs=3) == [0.1] * 5


def test_krizhevskys_rate_falls_to_a_tenth_at_epochs_25_51_and_79() -> None:
    used = rates(Steps, 90 * 2, lr=0.01, steps_per_epoch=2, epochs=90, at=[25, 51, 79])
    expected = [0.01] * 50 + [1e-3] * 52 + [1e-4] * 56 + [1e-5] * 22
    assert used == pytest.approx(expected)


def test_the_rate_of_110_layers_is_a_tenth_for_400_steps() -> None:
    used = rates(Steps, 352 * 3, lr=0.1, steps_per_epoch=352, epochs=3, at=[2], first_steps=400)
    assert used == pytest.approx([0.01] * 400 + [0.1] * 304 + [0.01] * 352)


def test_szegedys_rate_falls_by_four_percent_every_eight_epochs() -> None:
    used = rates(Exponential, 17 * 3, lr=0.01, steps_per_epoch=3, epochs=17, every_epochs=8, factor=0.96)
    assert used == pytest.approx([0.01] * 24 + [0.0096] * 24 + [0.009216] * 3)


def test_the_rate_falls_on_a_plateau_three_times_and_no_more() -> None:
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = Plateau(optimizer, steps_per_epoch=5, epochs=99, patience=1, times=3)
    used = []
    for error in [0.9, 0.8, 0.8, 0.8, 0.7, 0.7, 0.71, 0.7, 0.7, 0.7, 0.7]:
        optimizer.step()
        schedule.step(error)
        used.append(optimizer.param_groups[0]["lr"])
    assert used == pytest.approx([0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 1e-3, 1e-3, 1e-4, 1e-4, 1e-4])
