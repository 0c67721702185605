"""What the processes of a run tell each other."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from parallel.processes import together
from torch import distributed

from cnnlit.parallel import distributed_internals, heartbeat
from cnnlit.parallel.heartbeat import Heartbeat
from cnnlit.parallel.processes import failing_together, of_all
from cnnlit.parallel.signals import StopSignals
from cnnlit.systems import portable


def gathered() -> list[str]:
    return of_all([["b", "a"], ["c", "a"]][distributed.get_rank()])


def test_of_all_gathers_what_each_process_has_without_repeats(tmp_path: Path) -> None:
    assert together(gathered, tmp_path) == [["a", "b", "c"]] * 2


def test_of_all_in_one_process_is_its_own_values() -> None:
    assert of_all({"b", "a"}) == ["a", "b"]


@pytest.fixture
def ended() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class PulledCable:
    """A store behind a network that swallows everything: whoever asks waits for as long as the test lasts."""

    def __init__(self, over: threading.Event) -> None:
        self.over = over

    def check(self, keys: list[str]) -> bool:
        return not self.over.wait()

    def set(self, key: str, value: str) -> None:
        self.over.wait()

    def add(self, key: str, amount: int) -> int:
        return int(self.over.wait())


def test_silence_is_noticed_though_the_network_never_answers(
    ended: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed_internals, "connect_to_store", lambda: PulledCable(ended))
    monkeypatch.setattr(heartbeat, "SILENCE_SECONDS", 0.1)
    one = Heartbeat(1, 1, 2, ended)
    one.start()
    wait_for(one.silence)
    assert "the connection to machine 0 is lost" in str(one.silence())


def test_the_first_failure_is_the_one_that_all_hear_of(ended: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    store = distributed.HashStore()
    monkeypatch.setattr(distributed_internals, "connect_to_store", lambda: store)
    one, other = Heartbeat(0, 1, 1, ended), Heartbeat(0, 1, 1, ended)
    one.start()
    other.start()
    wait_for(lambda: one._connected and other._connected)
    one.say(3, "process 3: first")
    wait_for(lambda: one.said)
    other.say(4, "process 4: second")
    wait_for(lambda: other.said)
    assert one.said == other.said == "3 process 3: first"


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this system does not tell of other processes' ends")
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("os.kill(os.getpid(), 9)", "process 1 was killed by SIGKILL; without it the run cannot go on"),
        ("os._exit(143)", "process 1 was told to stop by SIGTERM"),
    ],
)
def test_the_end_of_another_process_is_told_though_it_is_no_child(
    ended: threading.Event, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    store = distributed.HashStore()
    monkeypatch.setattr(distributed_internals, "connect_to_store", lambda: store)
    first = Heartbeat(0, 2, 1, ended)
    first.start()
    other = subprocess.Popen([sys.executable, "-c", f"import os; input(); {code}"], stdin=subprocess.PIPE)
    store.set(f"{heartbeat.PROCESS}/1", f"{other.pid} {portable.namespace()}")
    wait_for(lambda: first._watched)
    other.communicate(b"\n")
    wait_for(lambda: first.heard())
    assert first.heard() == (1, said)
    assert first.killed() == (said if "killed" in said else None)


def test_a_failure_before_there_is_a_connection_is_known_where_it_was_seen(ended: threading.Event) -> None:
    alone = Heartbeat(0, 1, 1, ended)
    alone.say(1, "process 1 ended with exit code 2")
    assert alone.said == "1 process 1 ended with exit code 2"
    alone.say(0, "the connection to another process of this run is lost")
    assert alone.heard() == (1, "process 1 ended with exit code 2")


def test_nothing_watches_once_the_block_is_over() -> None:
    before = set(threading.enumerate())  # other tests' threads may still be ending
    strategy = SimpleNamespace(num_processes=2, num_nodes=1, global_rank=0, launcher=SimpleNamespace(procs=[]))
    with failing_together(strategy, print, StopSignals()):
        watching = set(threading.enumerate()) - before
        assert {"watch", "heartbeat"} <= {thread.name for thread in watching}
    wait_for(lambda: not watching & set(threading.enumerate()))
