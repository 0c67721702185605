"""How numbers get to the device that trains without the CPU's waiting for it."""

from typing import Any

import torch
from torch import Tensor


def sent(numbers: Tensor, device: torch.device) -> Tensor:
    """Numbers of a batch, from the CPU to a device; a GPU fetches them when it comes to it, from pinned memory."""
    if device.type != "cuda" or numbers.device.type != "cpu":
        return numbers.to(device)
    return numbers.pin_memory().to(device, non_blocking=True)


class Kept:
    """A constant that goes to a device once, not once a step.

    Args:
        value: on the CPU.
    """

    def __init__(self, value: Tensor) -> None:
        self.value = value
        self._there: Tensor | None = None

    def on(self, device: torch.device) -> Tensor:
        """The constant on a device."""
        if self._there is None or self._there.device != device:
            self._there = self.value.to(device)
        return self._there

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_there": None}  # worker processes do not have the device
