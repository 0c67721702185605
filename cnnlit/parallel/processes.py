"""The processes of one run: what they agree on before training, and how all end when one of them fails."""

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from cnnlit.parallel.heartbeat import POLL_SECONDS, Heartbeat, ending
from cnnlit.parallel.signals import StopSignals
from cnnlit.runs.folder import RunError

LAUNCHER = "CNNLIT_LAUNCHER"
"""The environment variable that tells a process which one started it."""
PR_SET_PDEATHSIG = 1
"""What Linux's prctl.h calls it."""

GRACE_SECONDS = 10.0
"""How long a process may take to notice by itself that another one has failed."""


class OtherProcessError(RunError):
    """Another process of this run failed; the message is that process's error."""


def end_with_launcher() -> None:
    """Make this process end when the one that started it for its run does, however that one ends."""
    launcher = os.environ.get(LAUNCHER)
    if launcher is None or os.environ.get("LOCAL_RANK", "0") == "0":
        return
    with suppress(OSError, AttributeError):  # where this is not Linux, the broken connection ends it
        ctypes.CDLL("libc.so.6").prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(launcher):  # it died before
        os._exit(1)


def of_all(values: Iterable[str]) -> list[str]:
    """The values of all the run's processes together, sorted, each once; every process has to call this."""
    from torch import distributed

    own = list(values)
    gathered: list[Any] = [own]
    if distributed.is_initialized():
        gathered = [None] * distributed.get_world_size()
        distributed.all_gather_object(gathered, own)
    return sorted(set().union(*gathered))


@contextmanager
def failing_together(strategy: Any, record: Callable[[str], None], signals: StopSignals) -> Iterator[None]:
    """Within this block the first error of any process is the error of all, and ends all of them within seconds.

    The process that failed shows its error. The first process raises it as OtherProcessError; the others exit quietly.
    One that is stuck in a collective is ended by force, after `record` was called. Likewise all are told to stop when
    one of them is.

    Args:
        strategy: Lightning's; its launcher knows the processes that this one started.
        record: writes down, in the first process, what ended the run.
        signals: that tell this process to stop.
    """
    if getattr(strategy, "num_processes", 1) * getattr(strategy, "num_nodes", 1) == 1:
        yield
        return
    watch = _Watch(strategy, record, signals)
    watch.start()
    try:
        yield
    except (Exception, SystemExit) as error:
        signals.leave()  # whoever has started the processes tells all to stop once one is gone
        reason = watch.first_failure(error)
        if reason is None:
            raise
        if number := _told_to_stop(reason):
            raise SystemExit(128 + number) from None
        if strategy.global_rank:
            print(f"cnnlit: process {strategy.global_rank} ends: {reason}", file=sys.stderr)  # noqa: T201
            raise SystemExit(1) from None
        raise OtherProcessError(reason) from None
    finally:
        watch.end()


def _told_to_stop(reason: str) -> int | None:
    """The signal that told a process to stop, if that is why it ended."""
    told = re.search(r" was told to stop by (SIG\w+)", reason)
    return signal.Signals[told[1]] if told else None


class _Watch(threading.Thread):
    """Watches the other processes while this one computes or waits."""

    def __init__(self, strategy: Any, record: Callable[[str], None], signals: StopSignals) -> None:
        super().__init__(daemon=True, name="watch")
        self.strategy = strategy
        self.record = record
        self.signals = signals
        self.ended = threading.Event()
        self.heartbeat = Heartbeat(strategy.global_rank, strategy.num_processes, strategy.num_nodes, self.ended)

    def run(self) -> None:
        self.heartbeat.start()
        while not self.ended.wait(POLL_SECONDS):
            if (reason := self._others_failure() or self._unanswered()) and not self.ended.wait(GRACE_SECONDS):
                self._end_by_force(reason)

    def _unanswered(self) -> str | None:
        """The signal that tells this process to stop, where nothing is to be saved first; None if there is none."""
        number = None if self.signals.training else self.signals.arrived()
        return ending(self.strategy.global_rank, 128 + number) if number else None

    def end(self) -> None:
        """Stop watching. A thread that is still in a call of torch's when Python exits takes the process down."""
        self.ended.set()
        for thread in (self, self.heartbeat):
            if thread.ident is not None:  # it was started
                thread.join(POLL_SECONDS)

    def first_failure(self, error: BaseException) -> str | None:
        """Why another process failed before this one did; None if this one was first, which it then reports."""
        lost = _lost_connection(error)
        # A killed process may take seconds to disappear on a busy machine; the others hear of it from the one that
        # started it.
        if reason := self._await_others_failure(GRACE_SECONDS if lost else 1.0):
            return reason
        rank = self.strategy.global_rank
        own = f"process {rank}: {type(error).__name__}: {error}"
        if isinstance(error, SystemExit):
            own = ending(rank, error.code if isinstance(error.code, int) else 1)
        self.heartbeat.say(rank, lost or own)
        return self._await_others_failure(2.0) or lost

    def _await_others_failure(self, seconds: float) -> str | None:
        """Why another process failed, once that is known; None if it is not in time, or if this process was first."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if reason := self._others_failure():
                return reason
            if (heard := self.heartbeat.heard()) and heard[0] == self.strategy.global_rank:
                return None
            time.sleep(POLL_SECONDS / 10)
        return None

    def _others_failure(self) -> str | None:
        if killed := self.heartbeat.killed():
            return killed
        if silence := self.heartbeat.silence():
            return silence
        if heard := self.heartbeat.heard():
            first, reason = heard
            return None if first == self.strategy.global_rank else reason
        if self.heartbeat.broken:
            return "process 0 is gone"
        for rank, process in enumerate(self._children(), self.strategy.global_rank + 1):
            if process.poll():
                # Had it been able to report an error of its own, it would have done so before it ended.
                self.heartbeat.say(rank, ending(rank, process.returncode))
        return None

    def _children(self) -> list[subprocess.Popen[bytes]]:
        return list(getattr(self.strategy.launcher, "procs", []))

    def _end_by_force(self, reason: str) -> None:
        number = _told_to_stop(reason)
        if self.strategy.global_rank == 0 and not number:  # a process that is gone was interrupted
            with suppress(OSError):  # the disk may be full
                self.record(reason)
        print(f"cnnlit: process {self.strategy.global_rank} ends: {reason}", file=sys.stderr, flush=True)  # noqa: T201
        for process in self._children():
            process.kill()
        if number:
            self.signals.queue_again_after(number)
        os._exit(128 + number if number else 1)


def _lost_connection(error: BaseException) -> str | None:
    """How to report that a collective found another process gone; None for an error of this process's own."""
    from torch import distributed

    text = str(error)
    of_the_store = isinstance(error, distributed.DistNetworkError | distributed.DistStoreError)
    if "gloo/transport" not in text and not of_the_store:
        return None
    detail = re.sub(r"^\[\S*\] ", "", text).partition(". ")[0].partition("\n")[0]
    return f"the connection to another process of this run is lost ({detail})"
