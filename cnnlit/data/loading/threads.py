"""Work that threads of this process do ahead of whoever takes its results."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from torch.utils.data import DataLoader

from cnnlit.data.loading.batch_sampler import BatchSampler
from cnnlit.data.loading.datasets import DecodedImages, ImageBatch

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], num_threads: int, ahead: int
) -> Iterator[Result]:
    """As `map`, by threads, in the items' order.

    Args:
        function: releases the interpreter's lock for most of its time.
        items: to call it with.
        num_threads: that call it.
        ahead: how many calls are begun at most before their results are taken.
    """
    waiting: deque[Future[Result]] = deque()
    threads = ThreadPoolExecutor(num_threads)
    try:
        for item in items:
            waiting.append(threads.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        threads.shutdown(cancel_futures=True)


class ThreadLoader(DataLoader[Any]):
    """BatchSampler that threads of this process make ahead.

    Args:
        dataset: of what costs next to nothing to decode.
        batches: which, in order.
        num_threads: that make them, two each ahead.
        pin_memory: put batches where a GPU can fetch them by itself.
    """

    def __init__(self, dataset: DecodedImages, batches: BatchSampler, *, num_threads: int, pin_memory: bool) -> None:
        super().__init__(dataset, batch_size=None, sampler=batches)
        self._photographs = dataset
        self._batches = batches
        self._num_threads = num_threads
        self._pins_memory = pin_memory

    def __iter__(self) -> Any:
        return in_order(self._make, self._batches, self._num_threads, ahead=2 * self._num_threads)

    def _make(self, batch: Any) -> ImageBatch:
        shown = self._photographs.noted(self._photographs[batch])
        if not self._pins_memory:
            return shown
        images, labels, draws = (part.pin_memory() for part in (shown.images, shown.labels, shown.draws))
        return ImageBatch(images, labels, draws, shown.unreadable)
