"""What a process of a run hears from the others without waiting for them, as a collective would."""

import itertools
import os
import select
import threading
import time
from contextlib import suppress
from typing import Any

from cnnlit.parallel import distributed_internals
from cnnlit.systems import portable

POLL_SECONDS = 0.5
BEAT_SECONDS, SILENCE_SECONDS = 2.0, 30.0
"""How often a machine says that it is alive, and after what silence the others give it up."""

ATTEMPT = f"cnnlit/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}"
"""The store of torchrun outlives the processes, and what was said in it is not said of those that it starts again."""

FAILURE, BEAT, PROCESS, LEFT = (f"{ATTEMPT}/{name}" for name in ("failure", "beat", "process", "left"))


class Heartbeat(threading.Thread):
    """Tells the other processes why this one failed, hears the same from them, and notices who dies or falls silent.

    The first process of each machine says that the machine is alive. The first machine, which keeps the store, listens
    to all of them, and every process to the first machine, by whether the store answers. Of the processes on a machine
    each watches the next. So a process asks the store twice a second, whatever the number of processes.

    Every call that waits for the network, which is forever once a cable is pulled, is made in this thread; its methods
    never wait.

    Args:
        rank: of this process; the ranks on a machine follow one another.
        processes: on each machine.
        num_nodes: the number of machines.
        ended: ends the thread once set.

    Attributes:
        said: rank and reason of the first failure of any process, separated by a space; None while there is none.
        broken: whether the first process, which keeps the store, is gone.
    """

    def __init__(self, rank: int, processes: int, num_nodes: int, ended: threading.Event) -> None:
        super().__init__(daemon=True, name="heartbeat")
        self.said: str | None = None
        self.broken = False
        self.rank = rank
        self._node, local = divmod(rank, processes)
        self._leads = local == 0 and num_nodes > 1
        self._others = list(range(1, num_nodes)) if self._leads and self._node == 0 else []
        self._listens = self._node > 0
        self._next = self._node * processes + (local + 1) % processes
        self._neighbour: int | None = None  # a file descriptor that tells of its end
        self._ended = ended
        self._heard: dict[int, float] = {}
        self._beats: dict[int, int] = {}
        self._to_say: str | None = None
        self._connected = False

    def say(self, rank: int, reason: str) -> None:
        """Tell everyone why a process failed, unless another failure was reported first; `said` is then that one."""
        self._to_say = self._to_say or f"{rank} {reason}"
        if not self._connected:
            self.said = self._to_say

    def heard(self) -> tuple[int, str] | None:
        """Rank and reason of the first failure of any process; None while there is none."""
        if self.said is None:
            return None
        rank, _, reason = self.said.partition(" ")
        return int(rank), reason

    def silence(self) -> str | None:
        """Which other machine has been silent for too long; None if none has."""
        for node, last in self._heard.items():
            if (silent := time.monotonic() - last) > SILENCE_SECONDS:
                return f"the connection to machine {node} is lost: it has been silent for {silent:.0f} s"
        return None

    def run(self) -> None:
        while (store := distributed_internals.connect_to_store()) is None:
            if self._ended.wait(POLL_SECONDS):
                return
        self.begin(store)
        for turn in itertools.count():
            self.turn(store, turn)
            if self._ended.wait(POLL_SECONDS):
                break
        with suppress(RuntimeError):
            store.set(f"{LEFT}/{self.rank}", "")

    def begin(self, store: Any) -> None:
        """Say where this process is, and begin to listen."""
        self._connected = True
        self._heard = dict.fromkeys([*self._others, *([0] if self._listens else [])], time.monotonic())
        with suppress(RuntimeError, OSError):
            store.set(f"{PROCESS}/{self.rank}", f"{os.getpid()} {portable.namespace()}")

    def turn(self, store: Any, turn: int) -> None:
        """What is done twice a second."""
        try:
            if self._to_say:
                self.said = store.compare_set(FAILURE, "", self._to_say).decode()
            elif store.check([FAILURE]):
                self.said = store.get(FAILURE).decode()
            if self._listens:
                self._heard[0] = time.monotonic()
            if turn % round(BEAT_SECONDS / POLL_SECONDS) == 0:
                self._beat(store)
            self._watch_neighbour(store)
        except RuntimeError:
            self.broken = True

    def _beat(self, store: Any) -> None:
        if self._leads and self._node:
            store.add(f"{BEAT}/{self._node}", 1)
        for other in self._others:
            if (latest := store.add(f"{BEAT}/{other}", 0)) != self._beats.get(other):
                self._heard[other], self._beats[other] = time.monotonic(), latest

    def _watch_neighbour(self, store: Any) -> None:
        """See whether the next process on this machine is gone, without having left as processes do."""
        if self._next == self.rank:
            return
        if self._neighbour is None:
            self._neighbour = self._find_neighbour(store)
        elif select.select([self._neighbour], [], [], 0)[0] and not store.check([f"{LEFT}/{self._next}"]):
            self.say(self._next, f"process {self._next} was killed or ended without a word; the run needs it to go on")

    def _find_neighbour(self, store: Any) -> int | None:
        key = f"{PROCESS}/{self._next}"
        if not store.check([key]):
            return None
        pid, _, namespace = store.get(key).decode().partition(" ")
        # In a container of its own, or not on Linux:
        if namespace != portable.namespace() or not hasattr(os, "pidfd_open"):
            self._next = self.rank
            return None
        try:
            return os.pidfd_open(int(pid))
        except OSError:  # it is gone already
            self.say(self._next, f"process {self._next} was killed or ended without a word; the run needs it to go on")
            return None
