"""Random numbers that depend only on their key, whichever process draws them."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor


def uniform(presentations: Tensor, columns: int, *key: int) -> Tensor:
    """Numbers that depend only on `key` and the presentation: not on the batch, the worker or the device.

    Presentation p gets numbers p * columns, p * columns + 1 … of the SplitMix64 stream that the key selects. A table
    for a million presentations would have to be drawn and held in memory in each epoch by each process.

    Args:
        presentations: int64 [N], not negative, on the CPU.
        columns: how many numbers each presentation gets.
        key: non-negative integers.

    Returns:
        float64 [N, columns] on the CPU, uniform in 0 (included) to 1 (excluded).

    Source: G. Steele, D. Lea, C. Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014.
    """
    (start,) = np.random.SeedSequence(key).generate_state(1, np.uint64)
    numbers = presentations.numpy().astype(np.uint64)[:, None] * np.uint64(columns) + np.arange(
        columns, dtype=np.uint64
    )
    bits = start + (numbers + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    return torch.from_numpy((bits >> np.uint64(11)) * 2.0**-53)


def generator(*key: int) -> torch.Generator:
    """A random generator on the CPU that depends only on the non-negative integers in `key`."""
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


@contextmanager
def drawing(*place: int, cuda: bool = False) -> Iterator[Callable[[int], None]]:
    """Within this block torch's, NumPy's and Python's global random numbers are a function of a place.

    Args:
        place: numbers, such as a seed and an epoch.
        cuda: whether those of the current GPU are too.

    Yields:
        A function that moves on to another place below this one.
    """

    def seed(number: int) -> None:
        (state,) = np.random.SeedSequence([*place, number]).generate_state(1, np.uint64).tolist()
        torch.default_generator.manual_seed(state)  # torch.manual_seed takes milliseconds where CUDA is not in use
        np.random.seed(state % 2**32)  # noqa: NPY002  the global generator is the one that transforms draw from
        random.seed(state)
        if cuda:
            torch.cuda.manual_seed(state)

    with isolate_rng(include_cuda=cuda):
        seed(0)
        yield seed
