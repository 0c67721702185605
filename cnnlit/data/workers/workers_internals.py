"""What torch does not say of the processes of a DataLoader."""

from contextlib import suppress
from multiprocessing import process
from multiprocessing.process import BaseProcess
from typing import Any

from torch._C import _remove_worker_pids


def workers_of(iterator: Any) -> list[BaseProcess]:
    """The processes that make the batches of a DataLoader's iterator; none if it makes them itself."""
    return list(getattr(iterator, "_workers", ()))


def kill_workers(iterator: Any) -> None:
    """End the processes of an iterator, which may answer nothing; neither torch nor Python then waits for them."""
    if getattr(iterator, "_worker_pids_set", False):
        _remove_worker_pids(id(iterator))  # or torch raises an error at the end of each
        iterator._worker_pids_set = False
    for worker in workers_of(iterator):
        with suppress(ValueError):  # it is closed
            worker.kill()
        process._children.discard(worker)  # type: ignore[attr-defined]
