"""The order of presentation is a pure function of seed and epoch."""

from itertools import chain, product
from typing import Any

import pytest
import torch
from torch import Tensor

from cnnlit.data.loading.batch_sampler import MIXED_BLOCKS, BatchSampler
from cnnlit.data.transforms.random_numbers import generator


def batches_of(batches: BatchSampler, epoch: int = 0) -> list[list[int]]:
    batches.set_epoch(epoch)
    yielded = list(batches)
    assert all(number == epoch for number, _ in yielded)
    return [presentations.tolist() for _, presentations in yielded]


def shown(batches: BatchSampler, *epochs: int) -> list[int]:
    return [presentation for epoch in epochs for batch in batches_of(batches, epoch) for presentation in batch]


@pytest.mark.parametrize("order", ["fresh", "constant", "sequential"])
def test_an_epoch_shows_each_image_once(order: Any) -> None:
    batches = BatchSampler(100, 7, order=order)
    for epoch in range(3):
        assert sorted(shown(batches, epoch)) == list(range(100))


@pytest.mark.parametrize(("versions", "passes_per_epoch", "epochs"), [(10, 1, 10), (3, 2, 3), (2, 3, 2), (5, 5, 1)])
@pytest.mark.parametrize("order", ["fresh", "constant"])
def test_each_sweep_is_a_permutation(order: Any, versions: int, passes_per_epoch: int, epochs: int) -> None:
    batches = BatchSampler(20, 6, order=order, versions=versions, passes_per_epoch=passes_per_epoch)
    everything = shown(batches, *range(2 * epochs))
    length = 20 * versions
    assert len(everything) == 2 * epochs * 20 * passes_per_epoch
    for start in range(0, len(everything), length):
        assert sorted(everything[start : start + length]) == list(range(length))


def test_a_fresh_order_is_new_each_epoch_and_for_each_seed() -> None:
    orders = [
        shown(BatchSampler(50, 8, order="fresh", seed=seed), epoch) for seed, epoch in product(range(3), range(4))
    ]
    assert len({tuple(order) for order in orders}) == 12


def test_a_fresh_order_is_new_each_sweep_of_several_epochs() -> None:
    batches = BatchSampler(20, 8, order="fresh", versions=2)
    assert shown(batches, 0, 1) != shown(batches, 2, 3)


def test_a_constant_order_is_constant_and_random() -> None:
    batches = BatchSampler(50, 8, order="constant")
    first = shown(batches, 0)
    assert first != sorted(first)
    assert all(shown(batches, epoch) == first for epoch in (1, 2, 17))
    assert shown(BatchSampler(50, 8, order="constant", seed=1), 0) != first


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    # Not on what was shown before, on torch's own randomness, or on how the epoch is cut into batches.
    batches = BatchSampler(50, 8, order="fresh", seed=3)
    for epoch in range(4):
        last = shown(batches, epoch)
    torch.manual_seed(99)
    assert shown(BatchSampler(50, 13, order="fresh", seed=3), 3) == last


def test_skip_drops_the_first_batches_once_and_only_once() -> None:
    batches = BatchSampler(50, 8, order="fresh")
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
    whole = batches_of(BatchSampler(52, batch_size, order="fresh"))[skipped:]
    shares = []
    for rank in range(num_replicas):
        batches = BatchSampler(52, batch_size, order="fresh", rank=rank, num_replicas=num_replicas)
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
    batches = BatchSampler(
        num_images, batch_size, order="fresh", versions=passes_per_epoch, passes_per_epoch=passes_per_epoch
    )
    assert [len(batch) for batch in batches_of(batches)] == lengths
    assert len(batches) == len(lengths)


@pytest.mark.parametrize("versions", [1, 5])
def test_passes_per_epoch_show_each_image_that_often(versions: int) -> None:
    shown_images = (
        torch.tensor(shown(BatchSampler(12, 7, order="fresh", versions=versions, passes_per_epoch=5), 0)) % 12
    )
    assert torch.bincount(shown_images).tolist() == [5] * 12


def test_generators_of_different_keys_differ() -> None:
    # The keys in use: (seed, sweep) for the order, (seed, epoch, 1) and (seed, epoch, 2) for what is drawn beside it.
    def draw(*key: int) -> Tensor:
        return torch.rand(4, generator=generator(*key))

    keys = [key for seed, epoch in product(range(5), range(5)) for key in [(seed, epoch), (seed, epoch, 1)]]
    keys += [(seed, epoch, 2) for seed, epoch in product(range(5), range(5))]
    assert len({tuple(draw(*key).tolist()) for key in keys}) == 75
    assert torch.equal(draw(1, 2, 1), draw(1, 2, 1))


def test_blocks_are_read_in_long_strides_and_mixed() -> None:
    count, block = 40_000, 100
    places = torch.randperm(count, generator=generator(5))
    batches = BatchSampler(count, 64, order="fresh", block_images=block, places=places, seed=1)
    order = batches.presentations(3)
    assert torch.equal(order.sort().values, torch.arange(count))
    assert torch.equal(
        order, BatchSampler(count, 64, order="fresh", block_images=block, places=places, seed=1).presentations(3)
    )
    assert not torch.equal(order, batches.presentations(4))
    window = block * MIXED_BLOCKS
    for part in torch.split(places[order], window):
        assert len(torch.unique(part // block)) == MIXED_BLOCKS  # and nothing of any other block
        for batch in torch.split(part, 64)[:-1]:
            assert len(torch.unique(batch // block)) > MIXED_BLOCKS / 2


def test_batches_of_blocks_are_as_mixed_as_random_ones_where_neighbours_are() -> None:
    count, classes = 40_000, 10
    labels = torch.arange(count) * classes // count  # as they were listed, class by class
    places = torch.randperm(count, generator=generator(5))  # as they were stored

    def spread(**blocks: Any) -> float:
        """Of the numbers of a class in a batch, their variance over that of random ones."""
        batches = torch.split(BatchSampler(count, 64, order="fresh", **blocks).presentations(0), 64)
        counts = torch.stack([labels[batch].bincount(minlength=classes) for batch in batches]).double()
        return float(counts.var(dim=0).mean() / (64 * 0.1 * 0.9))

    assert 0.9 < spread() < 1.1
    assert 0.9 < spread(block_images=500, places=places) < 1.1
    assert spread(block_images=500) > 2  # class by class on the disk


def test_blocks_keep_the_versions_of_an_image_together() -> None:
    sweep = BatchSampler(4000, 8, order="fresh", versions=3, passes_per_epoch=3, block_images=30).presentations(0)
    assert torch.equal(sweep.sort().values, torch.arange(12_000))
    assert len(torch.unique(sweep[: 30 * MIXED_BLOCKS] % 4000)) <= (10 + 1) * MIXED_BLOCKS


@pytest.mark.parametrize("num_replicas", [2, 3, 4])
def test_replicas_share_every_batch_and_count_every_presentation_once(num_replicas: int) -> None:
    whole = BatchSampler(22, 5, order="fresh", seed=3)  # the last batch holds two
    replicas = [
        BatchSampler(22, 5, order="fresh", seed=3, rank=rank, num_replicas=num_replicas) for rank in range(num_replicas)
    ]
    shares = [[presentations for _, presentations in replica] for replica in replicas]
    for number, (_, batch) in enumerate(whole):
        counted = torch.empty(22, dtype=torch.int64)
        seen = []
        for replica, given in zip(replicas, shares, strict=True):
            own, everyone = replica.share(number)
            assert everyone == len(batch)
            assert len(given[number]) == max(1, own), "a replica without a share is given one that does not count"
            assert len(replica.positions(number)) == own
            counted[replica.positions(number)] = given[number][:own]
            seen += replica.positions(number).tolist()
        assert sorted(seen) == list(range(5 * number, 5 * number + len(batch)))
        assert torch.equal(counted[5 * number : 5 * number + len(batch)], batch)
