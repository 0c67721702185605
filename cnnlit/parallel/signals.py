"""Signals that end a run."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector


class StopSignals(_SignalConnector):
    """SIGTERM, and SLURM's early warning SIGUSR1, end a run with exit code 128 and the signal's number.

    While the network trains they are noted in `received`, for Checkpoints to save the state first; before and after
    that they end the run at once. Lightning's own handlers, whose place these take, save nothing and exit with 0, and
    with several processes they often hang.
    """

    received: int | None = None
    training = False

    def register_signal_handlers(self) -> None:
        """Lightning's own are left out, and what they have the processes of a run tell one another at each step."""
        self.trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Within the block."""
        numbers = (signal.SIGTERM, signal.SIGUSR1) if threading.current_thread() is threading.main_thread() else ()
        before = {number: signal.signal(number, self._receive) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        if not self.training:
            raise SystemExit(128 + number)
