"""The random numbers of a presentation depend on nothing else."""

import numpy as np
import torch
from scipy import stats

from cnnlit.data.transforms.random_numbers import uniform

MASK = 2**64 - 1


def splitmix64(state: int) -> int:
    """The generator's output after `state`, as published."""
    z = (state + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def test_splitmix64_is_the_published_one() -> None:
    # Known answers for the seed 1234567, from the generator's reference implementation.
    state, outputs = 1234567, []
    for _ in range(2):
        outputs.append(splitmix64(state))
        state = (state + 0x9E3779B97F4A7C15) & MASK
    assert outputs == [6457827717110365317, 3203168211198807973]


def test_numbers_are_those_of_the_stream_that_the_key_selects() -> None:
    start = int(np.random.SeedSequence((5, 7)).generate_state(1, np.uint64)[0])
    drawn = uniform(torch.tensor([4, 0]), 3, 5, 7)
    for row, presentation in zip(drawn.tolist(), (4, 0), strict=True):
        for column, number in enumerate(row):
            state = (start + (3 * presentation + column) * 0x9E3779B97F4A7C15) & MASK
            assert number == (splitmix64(state) >> 11) / 2**53


def test_numbers_do_not_depend_on_the_batch() -> None:
    everything = uniform(torch.arange(1000), 4, 0, 3, 1)
    chosen = torch.tensor([999, 3, 3, 500])
    assert torch.equal(uniform(chosen, 4, 0, 3, 1), everything[chosen])


def test_numbers_differ_by_each_part_of_the_key() -> None:
    keys = [(seed, epoch, 3, place) for seed in range(4) for epoch in range(4) for place in range(4)]
    assert len({tuple(uniform(torch.arange(3), 2, *key).flatten().tolist()) for key in keys}) == 64


def test_numbers_are_uniform_and_independent() -> None:
    drawn = uniform(torch.arange(100_000), 4, 1, 0)
    assert drawn.min() >= 0
    assert drawn.max() < 1
    for column in drawn.unbind(1):
        assert stats.kstest(column.numpy(), "uniform").pvalue > 1e-3
    # Between columns, between neighbours, and between epochs: correlations within four standard errors.
    other = uniform(torch.arange(100_000), 4, 1, 1)
    together = torch.cat([drawn[:-1], drawn[1:], other[:-1]], dim=1).T
    correlations = torch.corrcoef(together) - torch.eye(12)
    assert correlations.abs().max() < 4 / 100_000**0.5


def test_no_numbers_are_no_columns() -> None:
    assert uniform(torch.arange(5), 0, 1).shape == (5, 0)
