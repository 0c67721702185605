"""The order of presentation is a pure function of seed and epoch."""

from itertools import chain, product
from typing import Any

import pytest
import torch
from torch import Tensor

from cnnlit.data.order import Batches, generator


def batches_of(batches: Batches, epoch: int = 0) -> list[list[int]]:
    batches.set_epoch(epoch)
    yielded = list(batches)
    assert all(number == epoch for number, _ in yielded)
    return [presentations.tolist() for _, presentations in yielded]


def shown(batches: Batches, *epochs: int) -> list[int]:
    return [presentation for epoch in epochs for batch in batches_of(batches, epoch) for presentation in batch]


@pytest.mark.parametrize("order", ["fresh", "constant", "sequential"])
def test_an_epoch_shows_each_image_once(order: Any) -> None:
    batches = Batches(100, 7, order=order)
    for epoch in range(3):
        assert sorted(shown(batches, epoch)) == list(range(100))


@pytest.mark.parametrize(("versions", "passes_per_epoch", "epochs"), [(10, 1, 10), (3, 2, 3), (2, 3, 2), (5, 5, 1)])
@pytest.mark.parametrize("order", ["fresh", "constant"])
def test_each_sweep_is_a_permutation(order: Any, versions: int, passes_per_epoch: int, epochs: int) -> None:
    batches = Batches(20, 6, order=order, versions=versions, passes_per_epoch=passes_per_epoch)
    everything = shown(batches, *range(2 * epochs))
    length = 20 * versions
    assert len(everything) == 2 * epochs * 20 * passes_per_epoch
    for start in range(0, len(everything), length):
        assert sorted(everything[start : start + length]) == list(range(length))


def test_a_fresh_order_is_new_each_epoch_and_for_each_seed() -> None:
    orders = [shown(Batches(50, 8, order="fresh", seed=seed), epoch) for seed, epoch in product(range(3), range(4))]
    assert len({tuple(order) for order in orders}) == 12


def test_a_fresh_order_is_new_each_sweep_of_several_epochs() -> None:
    batches = Batches(20, 8, order="fresh", versions=2)
    assert shown(batches, 0, 1) != shown(batches, 2, 3)


def test_a_constant_order_is_constant_and_random() -> None:
    batches = Batches(50, 8, order="constant")
    first = shown(batches, 0)
    assert first != sorted(first)
    assert all(shown(batches, epoch) == first for epoch in (1, 2, 17))
    assert shown(Batches(50, 8, order="constant", seed=1), 0) != first


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    # Not on what was shown before, on torch's own randomness, or on how the epoch is cut into batches.
    batches = Batches(50, 8, order="fresh", seed=3)
    for epoch in range(4):
        last = shown(batches, epoch)
    torch.manual_seed(99)
    assert shown(Batches(50, 13, order="fresh", seed=3), 3) == last


def test_skip_drops_the_first_batches_once_and_only_once() -> None:
    batches = Batches(50, 8, order="fresh")
    whole = batches_of(batches)
    batches.skip(3)
    assert len(batches) == 7
    assert batches_of(batches) == whole[3:]
    assert batches_of(batches) == whole
    batches.skip(7)
    assert batches_of(batches) == []
    assert batches_of(batches) == whole


@pytest.mark.parametrize(("num_replicas", "batch_size", "skipped"), [(2, 8, 0), (3, 8, 0), (4, 4, 2)])
def test_replicas_partition_each_batch(num_replicas: int, batch_size: int, skipped: int) -> None:
    whole = batches_of(Batches(52, batch_size, order="fresh"))[skipped:]
    shares = []
    for rank in range(num_replicas):
        batches = Batches(52, batch_size, order="fresh", rank=rank, num_replicas=num_replicas)
        batches.skip(skipped)
        shares.append(batches_of(batches))
    for batch, *parts in zip(whole, *shares, strict=True):
        assert sorted(chain(*parts)) == sorted(batch)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(
    ("num_images", "batch_size", "passes_per_epoch", "lengths"),
    [(10, 4, 1, [4, 4, 2]), (8, 4, 1, [4, 4]), (3, 4, 1, [3]), (5, 4, 3, [4, 4, 4, 3]), (3, 1, 1, [1, 1, 1])],
)
def test_the_last_batch_holds_what_is_left(
    num_images: int, batch_size: int, passes_per_epoch: int, lengths: list[int]
) -> None:
    batches = Batches(
        num_images, batch_size, order="fresh", versions=passes_per_epoch, passes_per_epoch=passes_per_epoch
    )
    assert [len(batch) for batch in batches_of(batches)] == lengths
    assert len(batches) == len(lengths)


@pytest.mark.parametrize("versions", [1, 5])
def test_passes_per_epoch_show_each_image_that_often(versions: int) -> None:
    shown_images = torch.tensor(shown(Batches(12, 7, order="fresh", versions=versions, passes_per_epoch=5), 0)) % 12
    assert torch.bincount(shown_images).tolist() == [5] * 12


def test_generators_of_different_keys_differ() -> None:
    # The keys in use: (seed, sweep) for the order, (seed, epoch, 1) and (seed, epoch, 2) for what is drawn beside it.
    def draw(*key: int) -> Tensor:
        return torch.rand(4, generator=generator(*key))

    keys = [key for seed, epoch in product(range(5), range(5)) for key in [(seed, epoch), (seed, epoch, 1)]]
    keys += [(seed, epoch, 2) for seed, epoch in product(range(5), range(5))]
    assert len({tuple(draw(*key).tolist()) for key in keys}) == 75
    assert torch.equal(draw(1, 2, 1), draw(1, 2, 1))
