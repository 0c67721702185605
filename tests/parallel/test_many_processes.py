"""What cannot be started here: a run of two to 1,024 processes, each of which is asked what it would do.

The process group is torch's fake one, whose collectives return at once, and the store counts what it is asked.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel
from torch.testing._internal.distributed.fake_pg import FakeStore

from cnnlit.data.loading.batch_sampler import BatchSampler
from cnnlit.models.lenet5 import LeNet5
from cnnlit.parallel import heartbeat
from cnnlit.parallel.communication import gradient_bytes
from cnnlit.parallel.heartbeat import Heartbeat
from cnnlit.parallel.strategies import averaged_one_by_one

SIZES = (2, 8, 64, 1024)
"""Processes of a run."""
PER_MACHINE = 8
BATCH, IMAGES = 2048, 5000
"""The last batch of an epoch has 904 images, fewer than there may be processes."""


@pytest.mark.parametrize("world", SIZES)
def test_all_processes_together_present_the_order_of_one(world: int) -> None:
    alone = BatchSampler(IMAGES, BATCH, order="fresh", seed=3)
    alone.set_epoch(5)
    shares: list[list[Tensor]] = []
    for rank in range(world):
        one = BatchSampler(IMAGES, BATCH, order="fresh", seed=3, rank=rank, num_replicas=world)
        one.set_epoch(5)
        # One that has no image of a batch is shown another's, for it takes part in the collectives, and counts none.
        shares.append([batch[: one.share(number)[0]] for number, (_, batch) in enumerate(one)])
    for number, (_, batch) in enumerate(alone):
        together = torch.full_like(batch, -1)
        for rank, its in enumerate(shares):
            together[rank::world] = its[number]
        assert torch.equal(together, batch)


@pytest.mark.parametrize("world", SIZES)
def test_every_image_of_a_test_is_counted_once(world: int) -> None:
    counted: Counter[int] = Counter()
    for rank in range(world):
        batches = BatchSampler(IMAGES, BATCH, order="sequential", rank=rank, num_replicas=world)
        for number, (_, shown) in enumerate(batches):
            positions = batches.positions(number)
            assert len(positions) == batches.share(number)[0]
            assert torch.equal(shown[: len(positions)], positions)
            counted.update(positions.tolist())
    assert counted == Counter(range(IMAGES))


@contextmanager
def processes(world: int) -> Iterator[None]:
    """This process is the first of so many; the others do not exist."""
    distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=world)
    try:
        yield
    finally:
        distributed.destroy_process_group()


@pytest.mark.parametrize("world", SIZES)
def test_a_step_averages_each_gradient_once(world: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network, reduced = LeNet5(), []
    reduce = distributed.all_reduce

    def counting(gradient: Tensor, *args: Any, **kwargs: Any) -> Any:
        reduced.append(gradient.nbytes)
        return reduce(gradient, *args, **kwargs)

    with processes(world):
        replica = DistributedDataParallel(network)
        replica.register_comm_hook(None, averaged_one_by_one)
        monkeypatch.setattr(distributed, "all_reduce", counting)
        replica(torch.rand(2, 1, 32, 32)).sum().backward()
    assert sum(reduced) == 4 * sum(each.numel() for each in network.parameters())
    assert gradient_bytes(network, world) == 2 * (world - 1) * sum(reduced) // world


class CountingStore:
    """A store that knows nothing of failures, and counts what it is asked."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.kept: dict[str, Any] = {}

    def check(self, keys: list[str]) -> bool:
        self.asked["check"] += 1
        return all(key in self.kept for key in keys)

    def get(self, key: str) -> bytes:
        self.asked["get"] += 1
        return str(self.kept[key]).encode()

    def set(self, key: str, value: str) -> None:
        self.asked["set"] += 1
        self.kept[key] = value

    def add(self, key: str, amount: int) -> int:
        self.asked["add"] += 1
        self.kept[key] = self.kept.get(key, 0) + amount
        return int(self.kept[key])


@pytest.mark.parametrize("world", SIZES)
def test_signs_of_life_take_less_than_a_question_a_second_for_each_process_of_many(
    world: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Their neighbours are on other machines, for all that this one can see.
    monkeypatch.setattr(heartbeat.portable, "namespace", iter(range(10 * world)).__next__)
    machines, store, ended = max(1, world // PER_MACHINE), CountingStore(), threading.Event()
    all_of_them = [Heartbeat(rank, min(world, PER_MACHINE), machines, ended) for rank in range(world)]
    for one in all_of_them:
        one.begin(store)
    for one in all_of_them:
        one.turn(store, 0)  # finds its neighbour
    store.asked.clear()
    seconds = 20
    for turn in range(1, 1 + round(seconds / heartbeat.POLL_SECONDS)):
        for one in all_of_them:
            one.turn(store, turn)
    a_second = store.asked.total() / seconds
    assert a_second <= (world if machines > 1 else 2 * world)
    # Each of the other machines has said that it is alive, and the first has asked for it, once in two seconds.
    assert store.asked["add"] == pytest.approx(2 * (machines - 1) * seconds / heartbeat.BEAT_SECONDS)
    assert not any(one.broken or one.silence() for one in all_of_them)


def test_a_failure_is_told_at_once_by_one_that_asks_seldom() -> None:
    store: Any = distributed.HashStore()
    one = Heartbeat(1, PER_MACHINE, 2, threading.Event())
    one.begin(store)
    one.say(1, "process 1: first")
    one.turn(store, 1)
    assert store.get(heartbeat.FAILURE) == b"1 process 1: first"
    assert one.heard() == (1, "process 1: first")
