"""Signals that end a run."""

import signal
import threading
from types import FrameType
from typing import Any, Self


class StopSignals:
    """While entered, SIGTERM and SLURM's early warning SIGUSR1 end the run with exit code 128 + the signal's number.

    During training a signal is only noted in `received`, so that Checkpoints can save first; before and after, it ends
    the run at once. Lightning's handlers save nothing, exit with 0, and with several processes often hang. The Trainer
    installs them at the start of every fit and test and restores the former ones at the end, so `install` has to be
    called again once a fit or test has begun.

    Does nothing outside the main thread, where Python allows no handlers.

    Attributes:
        received: the number of the last signal; None before there was one.
        training: whether the network is being trained.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.training = False
        self._former: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._former = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
        self.install()
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler or signal.SIG_DFL)
        self._former = {}

    def install(self) -> None:
        """Put these handlers in place of whatever others were installed since the block was entered."""
        for number in self._former:
            signal.signal(number, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        if not self.training:
            raise SystemExit(128 + number)
