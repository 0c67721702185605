"""DataLoaders whose workers may be killed, stopped, or short of memory: it is told in one line, and nothing hangs."""

import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from weakref import WeakSet

from torch import Tensor
from torch.utils.data import DataLoader, default_convert, get_worker_info

from cnnlit.data.workers.workers_internals import kill_workers, workers_of

SHARED_MEMORY = "/dev/shm"
FEWER = "data.num_workers=0 makes batches without it, data.num_workers=1 in a thread where images are decoded"
STATES = {
    "T": "is stopped (SIGSTOP, or a debugger)",
    "D": "waits for a disk that does not answer",
    "S": "waits, perhaps for a disk that does not answer",
    "R": "computes",
}
"""What /proc says of a process."""

_iterators: "WeakSet[Any]" = WeakSet()


class WorkerError(ValueError):
    """The processes or threads that make batches are gone or stuck; the message is one line."""


def late(seconds: float, why: str) -> WorkerError:
    """That a batch has not come in time.

    Args:
        seconds: how long it was waited for.
        why: what is known of who makes it.
    """
    return WorkerError(f"no batch has come for {seconds:g} s (timeout_seconds): {why}")


class WatchedLoader(DataLoader[Any]):
    """A DataLoader that ends with one line where its workers cannot go on. Its arguments are those of `in_workers`."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        iterator = super().__iter__()
        if self.num_workers:
            _iterators.add(iterator)
        return _batches(iterator, self.timeout) if self.num_workers else iterator


class _NoRoom:
    """What a worker sends in place of a batch that it cannot hand over."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def in_workers(number: int, timeout_seconds: float, collate: Callable[[Any], Any] = default_convert) -> dict[str, Any]:
    """Arguments of a DataLoader for this many workers, none of which is waited for longer than so.

    Args:
        number: of processes.
        timeout_seconds: that a batch may take.
        collate: makes a batch of what the data set returns.
    """
    if not number:
        return {"num_workers": 0, "collate_fn": collate}
    return {"num_workers": number, "collate_fn": partial(_shared, collate), "timeout": timeout_seconds}


def check_room(needed: int, workers: int) -> None:
    """Refuse workers whose first batches do not fit into the memory through which they hand them over.

    Args:
        needed: bytes of a batch.
        workers: of all processes on this machine together.

    Raises:
        WorkerError: one line with both sizes.
    """
    if Path(SHARED_MEMORY).is_dir() and shutil.disk_usage(SHARED_MEMORY).total < workers * needed:
        raise WorkerError(_no_room(needed, workers))


def _shared(collate: Callable[[Any], Any], items: Any) -> Any:
    """A batch in memory that processes share; torch would move it there in a thread whose errors nobody hears."""
    batch = collate(items)
    info = get_worker_info()
    if info is None:
        return batch
    try:
        for tensor in _tensors(batch):
            tensor.share_memory_()  # type: ignore[no-untyped-call]
    except (RuntimeError, OSError) as error:
        return _NoRoom(_no_room(sum(tensor.nbytes for tensor in _tensors(batch)), info.num_workers, error))
    return batch


def _tensors(batch: Any) -> Iterator[Tensor]:
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, list | tuple | dict):
        for part in batch.values() if isinstance(batch, dict) else batch:
            yield from _tensors(part)


def _no_room(needed: int, workers: int, error: Exception | None = None) -> str:
    size = "is too small"
    if Path(SHARED_MEMORY).is_dir():
        usage = shutil.disk_usage(SHARED_MEMORY)
        size = f"has {usage.total / 1e6:.1f} MB, {usage.free / 1e6:.1f} MB of them free"
        if error is not None and usage.free > needed:
            return f"a batch cannot be handed over: {' '.join(str(error).split())[:200]}; {FEWER}"
    wants = f"a batch needs {needed / 1e6:.1f} MB, and each of {workers} workers makes two ahead; " if needed else ""
    return f"{SHARED_MEMORY}, through which workers hand over batches, {size}; {wants}{FEWER}"


def _batches(iterator: Iterator[Any], timeout_seconds: float) -> Iterator[Any]:
    with telling_of_workers(timeout_seconds):
        for batch in iterator:
            if isinstance(batch, _NoRoom):
                kill_workers(iterator)
                raise WorkerError(batch.reason)
            yield batch


@contextmanager
def telling_of_workers(timeout_seconds: float) -> Iterator[None]:
    """Within this block, the loss of a worker ends all of them, and is told in one line.

    torch raises such errors wherever the main thread happens to be.

    Args:
        timeout_seconds: how long a batch may take.

    Raises:
        WorkerError: in place of torch's error.
    """
    try:
        yield
    except RuntimeError as error:
        reason = _reason(str(error), timeout_seconds)
        if reason is None:
            raise
        for iterator in list(_iterators):
            kill_workers(iterator)
        raise WorkerError(reason) from error


def _reason(said: str, timeout_seconds: float) -> str | None:
    """What has become of a worker, by torch's words; None if they are of something else."""
    if said.startswith("DataLoader timed out"):
        return str(late(timeout_seconds, _whereabouts()))
    found = re.match(r"DataLoader worker \(pid(?:\(s\))? (\d+)", said)
    if found is None:
        return None
    pid = int(found[1])
    if "Bus error" in said:
        return f"data worker {pid} was killed by SIGBUS: {_no_room(0, 0)}"
    return f"data worker {pid} {_ended(pid)}"


def _ended(pid: int) -> str:
    code = next((worker.exitcode for worker in _workers() if worker.pid == pid), None)
    if code is None or code >= 0:
        return f"ended with exit code {code}" if code else "ended without a word"
    how = f"was killed by {signal.Signals(-code).name}"
    if code == -signal.SIGKILL:
        how += "; most likely the machine ran out of memory: fewer data.num_workers need less of it"
    return how


def _workers() -> Iterator[BaseProcess]:
    for iterator in list(_iterators):
        yield from workers_of(iterator)


def _whereabouts() -> str:
    """What the workers are doing, those that are stopped first."""
    states = {worker.pid: _state(worker.pid) for worker in _workers() if worker.is_alive()}
    stuck = [pid for state in "TDSR" for pid, its in states.items() if its == state]
    return f"data worker {stuck[0]} {STATES[states[stuck[0]]]}" if stuck else "its worker does not answer"


def _state(pid: int | None) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
