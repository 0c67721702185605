"""Which devices this machine has, and how its memory is used."""

import ctypes
import os
import re
from contextlib import suppress

import torch

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""What glibc's malloc.h calls them."""


def check_devices(accelerator: str, devices: int | str | list[int]) -> None:
    """Refuse more devices than there are, before anything starts.

    Args:
        accelerator: as lightning.Trainer takes it.
        devices: likewise: a number, a list of indices, "auto" or -1.

    Raises:
        ValueError: one line that says how many there are.
    """
    gpus = torch.cuda.device_count()
    on_gpu = accelerator in ("gpu", "cuda") or (accelerator == "auto" and gpus > 0)
    available, kind = (gpus, "GPUs") if on_gpu else (os.cpu_count() or 1, "processor cores")
    if accelerator not in ("auto", "cpu", "gpu", "cuda") or devices in ("auto", -1, "-1"):
        return
    if isinstance(devices, int):
        count = devices
    elif isinstance(devices, str) and re.fullmatch(r"\d+", devices):
        count = int(devices)
    elif isinstance(devices, list):
        count = max(devices, default=-1) + 1
    else:
        raise ValueError(f"trainer.devices={devices}: must be a number, a list of indices, or auto")
    if on_gpu and gpus == 0:
        raise ValueError(f"trainer.accelerator={accelerator}: this machine has no GPU; use cpu or auto")
    if not 1 <= count <= available:
        raise ValueError(f"trainer.devices={devices}: this machine has {available} {kind}")


def keep_freed_memory() -> None:
    """Let the processor's memory that one training step frees serve the next one.

    The C library returns freed memory to the system and is given it back page by page, each page cleared: a tenth of
    a step of AlexNet, a twentieth of one of LeNet-5. Does nothing where the C library is not glibc.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(M_TRIM_THRESHOLD, 1 << 30)
        mallopt(M_MMAP_MAX, 0)
