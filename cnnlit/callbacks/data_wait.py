"""How long the device that trains waited for data."""

import time
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer


class DataWait(Callback):
    """Measures the time from the end of one training step to the arrival of the next one's batch on the device.

    On a GPU by the GPU's own clock: it is idle only when all that was asked of it is done, which the processor, running
    ahead, does not see. Logged once per epoch as `seconds_waiting`, so far, those before a resume included.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._since: float | None = None
        self._pairs: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        self._idle: torch.cuda.Event | None = None

    @property
    def seconds(self) -> float:
        """Waited so far; on a GPU this waits for the steps that it was given."""
        for idle, busy in self._pairs:
            busy.synchronize()
            self._seconds += idle.elapsed_time(busy) / 1000
        self._pairs.clear()
        return self._seconds

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._waits(pl_module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self._idle is not None:
            self._pairs.append((self._idle, _now()))
        elif self._since is not None:
            self._seconds += time.perf_counter() - self._since
        self._idle, self._since = None, None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._waits(pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._idle, self._since = None, None  # validation, checkpoints and pictures are no waiting
        pl_module.log("seconds_waiting", self.seconds)

    def _waits(self, pl_module: LightningModule) -> None:
        if pl_module.device.type == "cuda":
            self._idle = _now()
        else:
            self._since = time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._seconds = state_dict["seconds"]


def _now() -> torch.cuda.Event:
    """This place in the work that the GPU was given."""
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record()
    return event
