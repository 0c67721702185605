"""What a process of a run hears from the others without waiting for them, as a collective would."""

import itertools
import threading
import time
from contextlib import suppress
from typing import Any

from cnnlit.parallel import distributed_internals

POLL_SECONDS = 0.5
BEAT_SECONDS, SILENCE_SECONDS = 2.0, 30.0
"""How often a machine says that it is alive, and after what silence the others give it up."""

FAILURE, BEAT = "cnnlit/failure", "cnnlit/beat"


class Heartbeat(threading.Thread):
    """Tells the other machines that this one is alive and why a process of it failed, and hears the same from them.

    Every call that waits for the network, which is forever once a cable is pulled, is made in this thread; its methods
    never wait.

    Args:
        node: the rank of this machine.
        num_nodes: the number of machines.
        ended: ends the thread once set.

    Attributes:
        said: rank and reason of the first failure of any process, separated by a space; None while there is none.
        broken: whether the first process, which keeps the store, is gone.
    """

    def __init__(self, node: int, num_nodes: int, ended: threading.Event) -> None:
        super().__init__(daemon=True, name="heartbeat")
        self.said: str | None = None
        self.broken = False
        self._node = node
        self._others = [other for other in range(num_nodes) if other != node]
        self._ended = ended
        self._heard: dict[int, float] = {}
        self._beats: dict[int, bytes] = {}
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
        self._connected = True
        self._heard = dict.fromkeys(self._others, time.monotonic())
        for turn in itertools.count():
            try:
                if self._to_say:
                    self.said = store.compare_set(FAILURE, "", self._to_say).decode()
                elif store.check([FAILURE]):
                    self.said = store.get(FAILURE).decode()
            except RuntimeError:
                self.broken = True
            if turn % round(BEAT_SECONDS / POLL_SECONDS) == 0:
                self._beat(store, turn)
            if self._ended.wait(POLL_SECONDS):
                return

    def _beat(self, store: Any, turn: int) -> None:
        with suppress(RuntimeError):  # the first process is gone
            store.set(f"{BEAT}/{self._node}", str(turn))
            for other in self._others:
                key = f"{BEAT}/{other}"
                if store.check([key]) and (latest := store.get(key)) != self._beats.get(other):
                    self._heard[other], self._beats[other] = time.monotonic(), latest
