"""Threads work ahead of whoever takes their results, by so much and no more, and results come in order."""

from collections.abc import Iterator
from threading import Barrier, Event
from typing import Any

import pytest
import torch

from cnnlit.data.loading.batch_sampler import BatchSampler, Presentations
from cnnlit.data.loading.datasets import ImageBatch
from cnnlit.data.loading.threads import ThreadLoader, in_order
from cnnlit.data.workers.watched import WorkerError

PATIENCE_SECONDS = 20
"""How long a test waits for what must happen before it fails; it happens at once."""


class Calls:
    """A function of numbers, and which of them it has been called with."""

    def __init__(self, count: int) -> None:
        self.begun = [Event() for _ in range(count)]
        self.taken = 0

    def items(self) -> Iterator[int]:
        for number in range(len(self.begun)):
            self.taken += 1
            yield number

    def __call__(self, number: int) -> int:
        self.begun[number].set()
        return number**2


class Numbers:
    """A data set whose labels are the presentations, and which of these it has been asked for."""

    def __init__(self, count: int) -> None:
        self.begun = [Event() for _ in range(count)]

    def __getitem__(self, batch: Presentations) -> ImageBatch:
        _, presentations = batch
        self.begun[int(presentations[0])].set()
        return ImageBatch(torch.zeros(1), presentations, torch.zeros(1), {})

    def accept(self, batch: ImageBatch) -> ImageBatch:
        return batch


@pytest.mark.parametrize("num_threads", [1, 3])
def test_results_come_in_the_order_of_the_items(num_threads: int) -> None:
    calls = Calls(40)
    assert list(in_order(calls, calls.items(), num_threads, ahead=5)) == [number**2 for number in range(40)]


@pytest.mark.parametrize("num_threads", [1, 2])
def test_calls_are_begun_before_their_results_are_asked_for(num_threads: int) -> None:
    calls = Calls(10)
    results = in_order(calls, calls.items(), num_threads, ahead=4)
    for asked_for in range(3):
        next(results)
        assert all(event.wait(PATIENCE_SECONDS) for event in calls.begun[: asked_for + 5])
        assert calls.taken == asked_for + 5, "no more than that lie in memory"


def test_threads_work_at_the_same_time() -> None:
    both = Barrier(2, timeout=PATIENCE_SECONDS)
    assert len(list(in_order(lambda _: both.wait(), range(4), num_threads=2, ahead=2))) == 4


def test_an_error_reaches_the_consumer_in_its_place() -> None:
    results = in_order(lambda number: 1 / (number - 2), range(5), num_threads=2, ahead=4)
    assert [next(results), next(results)] == [-0.5, -1.0]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_what_is_not_taken_is_not_begun_once_the_consumer_leaves() -> None:
    calls = Calls(100)
    results = in_order(calls, calls.items(), 1, ahead=2)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert calls.taken == 3


def test_a_loader_makes_two_batches_for_each_thread_ahead_of_training() -> None:
    images: Any = Numbers(8)
    loader = ThreadLoader(images, BatchSampler(8, 1, order="sequential"), num_threads=2, pin_memory=False)
    batches = iter(loader)
    assert next(batches).labels.tolist() == [0]
    assert all(event.wait(PATIENCE_SECONDS) for event in images.begun[:5])
    assert [made.labels.item() for made in batches] == [1, 2, 3, 4, 5, 6, 7]


def test_without_threads_of_its_own_a_loader_makes_a_batch_when_it_is_asked_for() -> None:
    images: Any = Numbers(8)
    loader = ThreadLoader(images, BatchSampler(8, 1, order="sequential"), num_threads=0, pin_memory=False)
    batches = iter(loader)
    assert next(batches).labels.tolist() == [0]
    assert not images.begun[1].wait(0.2)
    assert [made.labels.item() for made in batches] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("ahead", [0, 2])
def test_a_result_is_waited_for_no_longer_than_so(ahead: int) -> None:
    answer = Event()
    results = in_order(lambda _: answer.wait(), range(3), num_threads=1, ahead=ahead, timeout_seconds=0.2)
    with pytest.raises(WorkerError, match=r"no batch has come for 0\.2 s \(timeout_seconds\): a thread waits"):
        next(results)
    answer.set()


def test_a_disk_that_is_late_itself_is_no_late_thread() -> None:
    def asked(_: int) -> None:
        raise TimeoutError("the disk's own")

    with pytest.raises(TimeoutError, match="the disk's own"):
        next(in_order(asked, range(1), num_threads=1, ahead=0, timeout_seconds=PATIENCE_SECONDS))
