"""Work that threads of this process do ahead of its consumer."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from torch.utils.data import DataLoader, Sampler

from cnnlit.data.loading.batch_sampler import Presentations
from cnnlit.data.loading.datasets import DecodedImages, ImageBatch

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], num_threads: int, ahead: int
) -> Iterator[Result]:
    """Like `map`, by threads: results come in the order of the items.

    Args:
        function: should release the interpreter's lock most of the time.
        items: its arguments.
        num_threads: how many threads call it.
        ahead: how many calls are begun at most before the consumer takes their results.
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
    """Batches that threads of this process make ahead of training.

    Args:
        dataset: images that cost next to nothing to decode.
        batches: the sampler.
        num_threads: each of which works on up to two batches ahead.
        pin_memory: put batches into memory that a GPU can copy from by itself.
    """

    dataset: DecodedImages

    def __init__(
        self, dataset: DecodedImages, batches: Sampler[Presentations], *, num_threads: int, pin_memory: bool
    ) -> None:
        super().__init__(dataset, batch_size=None, sampler=batches)
        self._batches = batches
        self._num_threads = num_threads
        self._pins_memory = pin_memory

    def __iter__(self) -> Any:
        return in_order(self._make, self._batches, self._num_threads, ahead=2 * self._num_threads)

    def _make(self, presentations: Presentations) -> ImageBatch:
        batch = self.dataset.accept(self.dataset[presentations])
        if not self._pins_memory:
            return batch
        images, labels, draws = (part.pin_memory() for part in (batch.images, batch.labels, batch.draws))
        return ImageBatch(images, labels, draws, batch.unreadable)
