"""How long the training device waited for data."""

import time
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer


class DataWait(Callback):
    """Measures the time from the end of a training step until the next batch has arrived on the device.

    On a GPU this is measured by the GPU's own clock: the GPU is idle only once it has done all that was queued, which
    the CPU, running ahead, cannot see. Logged once per epoch as `seconds_waiting`, the total so far, including the time
    before a resume. Validation and what happens between epochs do not count.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._since: Any = None
        self._pairs: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    @property
    def seconds(self) -> float:
        """Seconds waited so far; on a GPU, reading this waits for the steps that are queued."""
        for idle, busy in self._pairs:
            busy.synchronize()
            self._seconds += idle.elapsed_time(busy) / 1000
        self._pairs.clear()
        return self._seconds

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = _now(pl_module.device)  # a run that is resumed within an epoch does not start that epoch again

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = _now(pl_module.device)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        now = _now(pl_module.device)
        if isinstance(now, float):
            self._seconds += now - self._since
        else:
            self._pairs.append((self._since, now))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._since = _now(pl_module.device)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = _now(pl_module.device)  # of a validation within the epoch

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.log("seconds_waiting", self.seconds)

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._seconds = state_dict["seconds"]


def _now(device: torch.device) -> float | torch.cuda.Event:
    """Seconds on the CPU's clock; on a GPU, the current place in the work that is queued."""
    if device.type != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record()
    return event
