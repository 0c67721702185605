"""Workers that are killed, stopped, or have no room for their batches: one line, soon, and none is left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cnnlit.data.workers import watched
from cnnlit.data.workers.watched import WatchedLoader, WorkerError, in_workers
from cnnlit.data.workers.workers_internals import workers_of

SOON_SECONDS = 60
"""In which anything in here ends, on a machine that is busy."""


class Numbers(Dataset[Tensor]):
    """Batches, of which worker 1 does something to itself before it makes one.

    Args:
        deed: the signal that it sends itself; None for none.
    """

    def __init__(self, deed: signal.Signals | None = None) -> None:
        self.deed = deed

    def __len__(self) -> int:
        return 8

    def __getitem__(self, number: int) -> Tensor:
        if self.deed and number == 3:
            os.kill(os.getpid(), self.deed)
        return torch.full((4, 1000), float(number))


def loader(dataset: Dataset[Tensor], timeout_seconds: float = SOON_SECONDS, **options: bool) -> WatchedLoader:
    return WatchedLoader(dataset, batch_size=None, **in_workers(2, timeout_seconds), **options)


@pytest.fixture
def own_child() -> "subprocess.Popen[bytes]":
    """A process of the user's that runs beside."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield child  # type: ignore[misc]
    child.kill()
    child.wait()


def children() -> set[int]:
    return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))


def await_none_but(before: set[int]) -> None:
    until = time.monotonic() + SOON_SECONDS
    while children() - before:
        assert time.monotonic() < until, children() - before
        for worker in children() - before:
            os.waitpid(worker, os.WNOHANG)
        time.sleep(0.05)


@pytest.mark.parametrize("persistent_workers", [False, True])
def test_batches_come_as_they_are(persistent_workers: bool) -> None:
    batches = list(loader(Numbers(), persistent_workers=persistent_workers))
    assert [float(batch[0, 0]) for batch in batches] == list(range(8))


def test_a_killed_worker_is_named_with_its_signal(own_child: "subprocess.Popen[bytes]") -> None:
    before = children()
    with pytest.raises(WorkerError, match=r"data worker \d+ was killed by SIGKILL; most likely .* memory"):
        list(loader(Numbers(signal.SIGKILL)))
    await_none_but(before)
    assert own_child.poll() is None


def test_a_stopped_worker_is_waited_for_no_longer_than_so(own_child: "subprocess.Popen[bytes]") -> None:
    before = children()
    with pytest.raises(WorkerError, match=r"no batch has come for 2 s .* data worker \d+ is stopped"):
        list(loader(Numbers(signal.SIGSTOP), timeout_seconds=2))
    await_none_but(before)
    assert own_child.poll() is None


def test_no_room_to_hand_over_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Tensor) -> Tensor:
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)")

    monkeypatch.setattr(Tensor, "share_memory_", full)  # workers are forked
    monkeypatch.setattr(watched, "SHARED_MEMORY", "/proc")  # a file system without room
    with pytest.raises(
        WorkerError, match=r"/proc, through .* 0.0 MB of them free; a batch needs 0.0 MB.* data.num_workers=0"
    ):
        list(loader(Numbers()))


def test_an_error_of_the_data_set_is_no_loss_of_a_worker() -> None:
    with pytest.raises(TypeError):
        list(WatchedLoader(Numbers("no signal"), batch_size=None, **in_workers(1, 5)))  # type: ignore[arg-type]


def test_workers_end_with_their_loader() -> None:
    before = children()
    iterator = iter(loader(Numbers()))
    next(iterator)
    assert any(workers_of(each) for each in watched._iterators)
    del iterator
    await_none_but(before)
