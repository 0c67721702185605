"""Work that threads of this process do ahead of its consumer."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from queue import SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from cnnlit.data.loading.batch_sampler import Presentations
from cnnlit.data.loading.datasets import DecodedImages, ImageBatch
from cnnlit.data.loading.multi_view import DecodedViews, ViewBatch
from cnnlit.data.workers.watched import WorkerError, late

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    num_threads: int,
    ahead: int,
    timeout_seconds: float | None = None,
) -> Iterator[Result]:
    """Like `map`, by threads: results come in the order of the items.

    Args:
        function: should release the interpreter's lock most of the time.
        items: its arguments.
        num_threads: how many threads call it.
        ahead: how many calls are begun at most before the consumer takes their results.
        timeout_seconds: how long the consumer waits for a result; None for as long as it takes.

    Raises:
        WorkerError: if a result is late; its thread is given up, for nothing can end it.
    """
    waiting: deque[Future[Result]] = deque()
    threads = _Threads(function, num_threads)
    patience = timeout_seconds
    try:
        for item in items:
            waiting.append(threads.submit(item))
            if len(waiting) > ahead:
                yield _result(waiting.popleft(), timeout_seconds)
        while waiting:
            yield _result(waiting.popleft(), timeout_seconds)
    except WorkerError:
        patience = 0
        raise
    finally:
        for call in waiting:
            call.cancel()
        threads.end(patience)


def _result(call: Future[Result], seconds: float | None) -> Result:
    if not wait([call], seconds).done:
        raise late(seconds or 0, "a thread waits, perhaps for a disk that does not answer")
    return call.result()


class _Threads(Generic[Item, Result]):
    """Threads that call a function. Python does not wait for them when it ends, as for those of a ThreadPoolExecutor.

    Args:
        function: that they call.
        number: of threads.
    """

    def __init__(self, function: Callable[[Item], Result], number: int) -> None:
        self._function = function
        self._calls: SimpleQueue[tuple[Future[Result], Item] | None] = SimpleQueue()
        self._threads = [Thread(target=self._work, daemon=True) for _ in range(number)]
        for thread in self._threads:
            thread.start()

    def submit(self, item: Item) -> Future[Result]:
        """The result of a call, once a thread has made it."""
        call: Future[Result] = Future()
        self._calls.put((call, item))
        return call

    def end(self, patience: float | None) -> None:
        """Let the threads end, and wait no longer than so for the calls that are under way."""
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads:
            thread.join(patience)

    def _work(self) -> None:
        for call, item in iter(self._calls.get, None):
            if not call.set_running_or_notify_cancel():
                continue
            try:
                call.set_result(self._function(item))
            except BaseException as error:  # the consumer's
                call.set_exception(error)


class ThreadLoader(DataLoader[Any]):
    """Batches that threads of this process make.

    Args:
        dataset: images that cost next to nothing to decode.
        batches: the sampler.
        num_threads: each of which works on up to two batches ahead; 0 for one that works while training waits.
        pin_memory: put batches into memory that a GPU can copy from by itself.
        timeout_seconds: how long training waits for a batch.
    """

    dataset: DecodedImages | DecodedViews

    def __init__(
        self,
        dataset: DecodedImages | DecodedViews,
        batches: Sampler[Presentations],
        *,
        num_threads: int,
        pin_memory: bool,
        timeout_seconds: float | None = None,
    ) -> None:
        super().__init__(dataset, batch_size=None, sampler=batches)
        self._batches = batches
        self._num_threads = num_threads
        self._pins_memory = pin_memory
        self._timeout_seconds = timeout_seconds

    def __iter__(self) -> Any:
        threads, ahead = max(1, self._num_threads), 2 * self._num_threads
        return in_order(self._make, self._batches, threads, ahead, self._timeout_seconds)

    def _make(self, presentations: Presentations) -> ImageBatch | ViewBatch:
        batch: ImageBatch | ViewBatch = self.dataset.accept(self.dataset[presentations])  # type: ignore[arg-type]
        if self._pins_memory:
            batch = apply_to_collection(batch, Tensor, Tensor.pin_memory)
        return batch
