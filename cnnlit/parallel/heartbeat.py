"""Whether the other machines of a run are still there, where a collective would wait for them."""

import itertools
import threading
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any

BEAT_SECONDS, SILENCE_SECONDS = 2.0, 30.0
"""How often a machine says that it is there, and how long another one believes so."""


class Heartbeat(threading.Thread):
    """Tells the other machines that this one is there, and hears of them.

    Args:
        node: the number of this machine.
        num_nodes: of machines.
        connect: gives a connection of its own to what the processes of a run share, None before there is one.
        ended: ends the thread.
    """

    def __init__(self, node: int, num_nodes: int, connect: Any, ended: threading.Event) -> None:
        super().__init__(daemon=True, name="heartbeat")
        self.node = node
        self.others = [other for other in range(num_nodes) if other != node]
        self._connect = connect
        self._ended = ended
        self._heard: dict[int, float] = {}

    def silence(self) -> str | None:
        """Which other machine has not been heard of for long."""
        for node, last in self._heard.items():
            if (silent := time.monotonic() - last) > SILENCE_SECONDS:
                return f"the connection to machine {node} is lost: it has been silent for {silent:.0f} s"
        return None

    def run(self) -> None:
        while (store := self._connect()) is None:
            if self._ended.wait(BEAT_SECONDS):
                return
        store.set_timeout(timedelta(seconds=BEAT_SECONDS))
        beats = dict.fromkeys(self.others, b"")
        self._heard = dict.fromkeys(self.others, time.monotonic())
        for beat in itertools.count():
            with suppress(RuntimeError):
                store.set(f"cnnlit/beat/{self.node}", str(beat))
                for other in self.others:
                    if (latest := store.get(f"cnnlit/beat/{other}")) != beats[other]:
                        self._heard[other], beats[other] = time.monotonic(), latest
            if self._ended.wait(BEAT_SECONDS):
                return
