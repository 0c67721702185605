"""Signals that end a run, from the first line of the program to its last; imports nothing that takes time."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, Self

from cnnlit.parallel.worlds import is_first_process
from cnnlit.systems.portable import EARLY_WARNING

NAMES: dict[int, str] = {
    signal.SIGTERM: "SIGTERM",
    **({EARLY_WARNING: "SIGUSR1"} if EARLY_WARNING else {}),
    signal.SIGINT: "Ctrl-C",
}
"""What ends a run, as it is told; SIGUSR1 is SLURM's early warning."""

TO_STOP = tuple(NAMES)

YES = re.compile(r"(--)?requeue=(true|yes|on|1)", re.IGNORECASE)

_queued_again = threading.Event()


def listen() -> None:
    """From here on a signal to stop ends the process at once: there is nothing to save yet.

    To be called in the first line of a program. Python's own answer to SIGUSR1 is to die without a word.
    """
    for number in TO_STOP:
        signal.signal(number, _leave_at_once)


def ignore() -> None:
    """From here on signals to stop are too late: all is done. Leaves them alone where `listen` was not called."""
    for number in TO_STOP:
        if signal.getsignal(number) is _leave_at_once:
            signal.signal(number, signal.SIG_IGN)


def _leave_at_once(number: int, frame: FrameType | None) -> None:
    if number == EARLY_WARNING and _is_asked_for(sys.argv[1:]):
        queue_again()
    elif is_first_process():
        print(f"cnnlit: {NAMES[number]}, before there was anything to save", file=sys.stderr)  # noqa: T201
    sys.stderr.flush()
    os._exit(128 + number)  # an exception may be caught, in the middle of an import


def _is_asked_for(words: list[str]) -> bool:
    """Whether a command line asks to be queued again, itself or by the run that it resumes."""
    if any(word.lstrip("-").startswith("requeue=") for word in words):
        return any(YES.fullmatch(word) for word in words)
    for word in words:
        if word.startswith("resume="):
            with suppress(OSError):
                text = (Path(word.partition("=")[2]) / "config.yaml").read_text()
                return re.search(r"^requeue: true$", text, re.MULTILINE) is not None
    return False


def queue_again() -> None:
    """Ask SLURM, once, to queue this job again, so that it goes on with the run; warns if SLURM refuses."""
    if _queued_again.is_set() or not is_first_process():
        return
    _queued_again.set()
    job = os.environ.get("SLURM_JOB_ID", "")
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    if not re.fullmatch(r"\d+(_\d+)?", job):
        warnings.warn("requeue=true: this is not a SLURM job: there is no SLURM_JOB_ID", stacklevel=2)
        return
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", None) or error
        warnings.warn(f"scontrol requeue {job} failed: {str(reason).strip()}", stacklevel=2)
        return
    print(f"cnnlit: SIGUSR1: SLURM queues job {job} again", file=sys.stderr, flush=True)  # noqa: T201


@contextmanager
def without_warning() -> Iterator[None]:
    """Processes that are started within this block do not get SIGUSR1, which would end them before the run."""
    if EARLY_WARNING is None:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [EARLY_WARNING])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class StopSignals:
    """While entered, SIGTERM, Ctrl-C and SLURM's SIGUSR1 end the run with exit code 128 + the signal's number.

    During training a signal is only noted in `received`, so that Checkpoints can save first; before and after, it ends
    the run at once. Lightning's handlers save nothing, exit with 0, and with several processes often hang. The Trainer
    installs them at the start of every fit and test and restores the former ones at the end, so `install` has to be
    called again once a fit or test has begun. Processes that this one forks, such as data workers, are not the run.

    Does nothing outside the main thread, where Python allows no handlers.

    Args:
        requeue: on SIGUSR1, when the run has recorded how it ended, ask SLURM to start the job again.

    Attributes:
        received: the number of the last signal; None before there was one.
        training: whether the network is being trained.
        ends_process: whether Ctrl-C again ends it without waiting for what is being saved; a notebook must live on.
    """

    def __init__(self, *, requeue: bool = False) -> None:
        self.received: int | None = None
        self.training = False
        self.ends_process = True
        self.requeue = requeue
        self._former: dict[int, Any] = {}
        self._owner = os.getpid()
        self._leaving = False
        self._wakes: tuple[socket.socket, socket.socket] | None = None
        self._woken_before = -1

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._former = {number: signal.getsignal(number) for number in TO_STOP}
            self._wakes = socket.socketpair()
            for end in self._wakes:
                end.setblocking(False)
            self._woken_before = signal.set_wakeup_fd(self._wakes[1].fileno(), warn_on_full_buffer=False)
        self.install()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, SystemExit) and isinstance(error.code, int):
            self.queue_again_after(error.code - 128)
        for number, handler in self._former.items():
            signal.signal(number, handler or signal.SIG_DFL)
        self._former = {}
        if error is not None:
            ignore()
        if self._wakes is not None:
            signal.set_wakeup_fd(self._woken_before)
            for end in self._wakes:
                end.close()
            self._wakes = None

    def install(self) -> None:
        """Put these handlers in place of whatever others were installed since the block was entered."""
        for number in self._former:
            signal.signal(number, self._receive)

    def leave(self) -> None:
        """From here on signals are only noted: the run is ending already, and that is being recorded."""
        self._leaving = True

    def queue_again_after(self, number: int) -> None:
        """Ask SLURM to start the job again, if that was asked for and this is its warning."""
        if self.requeue and number == EARLY_WARNING:
            queue_again()

    def arrived(self) -> int | None:
        """The last signal, also one that Python has not answered yet, for its main thread waits outside Python."""
        if self._wakes is not None:
            with suppress(OSError):
                for number in self._wakes[0].recv(4096):
                    if number in TO_STOP:
                        self.received = number
        return self.received

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:
            self._receive_in_fork(number)
            return
        if number == signal.SIGINT and self.received == signal.SIGINT:
            if self.ends_process:
                os._exit(128 + number)  # whoever presses Ctrl-C again does not want to wait for what it saves
            raise KeyboardInterrupt
        self.received = number
        if not self.training and not self._leaving:  # a second one must not disturb what is being recorded
            self.leave()
            raise SystemExit(128 + number)

    @staticmethod
    def _receive_in_fork(number: int) -> None:
        if number == signal.SIGTERM:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
