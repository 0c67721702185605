"""The store that processes share, devices that do not exist, and all else in torch.distributed that is private."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # torch is imported where it is needed, for --help comes this way
    from torch.distributed.device_mesh import DeviceMesh


MEETING_SECONDS = 300.0
"""How long the other processes may take to come."""


def connect_to_store() -> Any:
    """A connection of its own to the store that the processes of a run share; None before there is a process group.

    On torch's own connection a blocking call of one thread would keep the others waiting.
    """
    from torch import distributed

    return distributed.distributed_c10d._get_default_store().clone() if distributed.is_initialized() else None


def word_of_this_start(store: Any, rank: int, processes: int) -> str:
    """A word that all processes agree on, and that none knew which used the store before them.

    Args:
        store: which may outlive them.
        rank: of this process.
        processes: all of which have to call this.

    Raises:
        DistStoreError: if the others do not come.
    """
    return _hear_word(store, rank) if rank else _give_word(store, processes)


def _give_word(store: Any, processes: int) -> str:
    """A word that no earlier start knows, once all others have heard it; each is answered with what it asked."""
    word = secrets.token_hex(8)
    missing = list(range(1, processes))
    for _ in _waiting_for("the other processes"):
        missing = [rank for rank in missing if _said(store, f"heard/{rank}") != word]
        if not missing:
            break
        for rank in missing:
            store.set(f"cnnlit/answer/{rank}", f"{_said(store, f'question/{rank}')} {word}")
    return word


def _hear_word(store: Any, rank: int) -> str:
    """The word of the first process, which is in its answer to this process's question, and to no earlier one."""
    question, word = secrets.token_hex(8), ""
    store.set(f"cnnlit/question/{rank}", question)
    for _ in _waiting_for("process 0"):
        answered, _, word = _said(store, f"answer/{rank}").partition(" ")
        if answered == question:
            break
    store.set(f"cnnlit/heard/{rank}", word)
    return word


def _said(store: Any, name: str) -> str:
    """What a process has said in the store, or nothing."""
    key = f"cnnlit/{name}"
    return str(store.get(key).decode()) if store.check([key]) else ""


def _waiting_for(whom: str) -> Iterator[None]:
    """Turns, some a second, until the time is up."""
    from torch.distributed import DistStoreError

    until = time.monotonic() + MEETING_SECONDS
    while time.monotonic() < until:
        yield
        time.sleep(0.05)
    raise DistStoreError(f"{whom} did not come within {MEETING_SECONDS:.0f} s")


@contextmanager
def fake_devices(count: int) -> Iterator["DeviceMesh"]:
    """A mesh of `count` devices of which this process is the first and the others do not exist.

    Tensors within the block have shapes but no values, and collectives return at once.
    """
    from torch import distributed
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed.device_mesh import init_device_mesh
    from torch.testing._internal.distributed.fake_pg import FakeStore

    distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=count)
    try:
        mesh = init_device_mesh("cpu", (count,))
        with FakeTensorMode(allow_non_fake_inputs=True):
            yield mesh
    finally:
        distributed.destroy_process_group()
