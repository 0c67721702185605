"""What a process of a run hears from the others without waiting for them, as a collective would."""

import itertools
import os
import select
import signal
import threading
import time
from contextlib import suppress
from typing import Any

from cnnlit.parallel import distributed_internals
from cnnlit.parallel.signals import TO_STOP
from cnnlit.systems import portable
from cnnlit.systems.others import Other

POLL_SECONDS = 0.5
BEAT_SECONDS, SILENCE_SECONDS = 2.0, 30.0
"""How often a machine says that it is alive, and after what silence the others give it up."""
BEAT_TURNS = round(BEAT_SECONDS / POLL_SECONDS)

FAILURE, BEAT, PROCESS, LEFT = (f"cnnlit/{name}" for name in ("failure", "beat", "process", "left"))


def ending(rank: int, code: int | None) -> str:
    """How a process ended, in words.

    Args:
        rank: of the process.
        code: its exit code as subprocess counts, where a signal is negative; None if it is not known.
    """
    if code is None:
        return f"process {rank} was killed or ended without a word; the run needs it to go on"
    number = code - 128 if code > 128 else -code
    if number in TO_STOP:
        return f"process {rank} was told to stop by {signal.Signals(number).name}"
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return f"process {rank} {how}; without it the run cannot go on"


class Heartbeat(threading.Thread):
    """Tells the other processes why this one failed, hears the same from them, and notices who dies or falls silent.

    The first process of each machine says that the machine is alive. The first machine, which keeps the store, listens
    to all of them, and every process to the first machine, by whether the store answers. Of the processes on a machine
    the first watches the others, and each of these the first; Linux tells them. So the first process of a machine
    asks the store twice a second, and of several machines the others once in two seconds: 1,024 processes on 128
    machines ask 830 times a second.

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
        self._seldom = local > 0 and num_nodes > 1
        self._others = list(range(1, num_nodes)) if self._leads and self._node == 0 else []
        self._listens = self._node > 0
        first = self._node * processes
        self._to_find = [first] if local else list(range(first + 1, first + processes))
        self._watched: dict[int, Other] = {}
        self._exit_codes: dict[int, int | None] = {}
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

    def killed(self) -> str | None:
        """How a process on this machine ended that was killed; None if none was.

        Whoever has started the processes may have told the others to stop since.
        """
        self._note_ends()
        ends = (ending(rank, code) for rank, code in list(self._exit_codes.items()) if code and code < 0)
        return next((end for end in ends if "was killed by" in end), None)

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
            self._await_an_end()
            if self._ended.is_set():
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
            self._watch_others(store)
            if self._seldom and not self._to_say and turn % BEAT_TURNS:
                return
            if self._to_say:
                self.said = store.compare_set(FAILURE, "", self._to_say).decode()
            elif store.check([FAILURE]):
                self.said = store.get(FAILURE).decode()
            if self._listens:
                self._heard[0] = time.monotonic()
            if turn % BEAT_TURNS == 0:
                self._beat(store)
        except RuntimeError:
            self.broken = True

    def _beat(self, store: Any) -> None:
        if self._leads and self._node:
            store.add(f"{BEAT}/{self._node}", 1)
        for other in self._others:
            if (latest := store.add(f"{BEAT}/{other}", 0)) != self._beats.get(other):
                self._heard[other], self._beats[other] = time.monotonic(), latest

    def _watch_others(self, store: Any) -> None:
        """See whether processes on this machine are gone, without having left as processes do."""
        for rank in [rank for rank in self._to_find if store.check([f"{PROCESS}/{rank}"])]:
            self._to_find.remove(rank)
            self._find(store, rank)
        for rank in [rank for rank in self._watched if rank in self._exit_codes]:
            del self._watched[rank]
            if not store.check([f"{LEFT}/{rank}"]):
                self.say(rank, ending(rank, self._exit_codes[rank]))

    def _find(self, store: Any, rank: int) -> None:
        pid, _, namespace = store.get(f"{PROCESS}/{rank}").decode().partition(" ")
        # In a container of its own, or not on Linux:
        if namespace != portable.namespace() or not hasattr(os, "pidfd_open"):
            return
        try:
            self._watched[rank] = Other(int(pid))
        except OSError:  # it is gone already
            self.say(rank, ending(rank, None))

    def _await_an_end(self) -> None:
        """Wait for a turn's time, or until a process ends: how it did may be known until its parent has asked."""
        until = time.monotonic() + POLL_SECONDS
        while time.monotonic() < until and not self._ended.is_set():
            if not self._watched:
                self._ended.wait(POLL_SECONDS)
            elif select.select([each.descriptor for each in self._watched.values()], [], [], POLL_SECONDS / 10)[0]:
                self._note_ends()
                return

    def _note_ends(self) -> None:
        for rank, other in list(self._watched.items()):
            if rank not in self._exit_codes and other.has_ended():
                self._exit_codes[rank] = other.exit_code()
