"""Which devices this machine has, and how its memory is used."""

import ctypes
import os
import re
from collections.abc import Mapping
from contextlib import suppress

import torch

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""What glibc's malloc.h calls them."""

PROCESSES_PER_CORE = 4
"""More than one, so that what needs several devices can be tried out on a small machine."""


def num_devices(accelerator: str, devices: int | str | list[int]) -> int:
    """How many devices of this machine are asked for; more than there are is refused before anything starts.

    Args:
        accelerator: as lightning.Trainer takes it.
        devices: likewise: a number, a list of indices, "auto" or -1.

    Returns:
        Their number; for an accelerator that is not known here, the number that was said.

    Raises:
        ValueError: one line that says how many there are.
    """
    gpus = torch.cuda.device_count()
    on_gpu = accelerator in ("gpu", "cuda") or (accelerator == "auto" and gpus > 0)
    cores = os.cpu_count() or 1
    processes = PROCESSES_PER_CORE * cores
    if devices in ("auto", -1, "-1"):
        return max(1, gpus) if on_gpu else 1
    if isinstance(devices, int):
        count = highest = devices
    elif isinstance(devices, str) and re.fullmatch(r"\d+", devices):
        count = highest = int(devices)
    elif isinstance(devices, list):
        count, highest = len(devices), max(devices, default=-1) + 1
    else:
        raise ValueError(f"trainer.devices={devices}: must be a number, a list of indices, or auto")
    if accelerator not in ("auto", "cpu", "gpu", "cuda"):
        return count
    if on_gpu and gpus == 0:
        raise ValueError(f"trainer.accelerator={accelerator}: this machine has no GPU; use cpu or auto")
    found = f"{gpus} GPUs" if on_gpu else f"{cores} processor cores, for {processes} processes at most"
    if not 1 <= highest <= (gpus if on_gpu else processes):
        raise ValueError(f"trainer.devices={devices}: this machine has {found}")
    return count


def emulates_bfloat16() -> bool:
    """Whether this machine's processor is known to have no instructions for bfloat16, which then costs several times
    what float32 does; where torch does not tell, it is not."""
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # of newer torch
    return bool(capabilities) and not any(there for name, there in capabilities.items() if "bf16" in name)


def keep_freed_memory() -> None:
    """Let the processor's memory that one training step frees serve the next one.

    The C library returns freed memory to the system and is given it back page by page, each page cleared: a tenth of
    a step of AlexNet, a twentieth of one of LeNet-5. Does nothing where the C library is not glibc.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(M_TRIM_THRESHOLD, 1 << 30)
        mallopt(M_MMAP_MAX, 0)
