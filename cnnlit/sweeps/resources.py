"""The machine's GPUs and CPU cores, and how they are divided among jobs that run at once."""

import itertools
import os
import subprocess
from collections import Counter
from typing import Any


def visible_gpus() -> list[str]:
    """The GPUs that may be used, by the names that CUDA_VISIBLE_DEVICES takes; found without loading CUDA."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip()]
    try:
        query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        return subprocess.run(query, check=True, capture_output=True, text=True, timeout=20).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return []


def visible_cores() -> list[int]:
    """The CPU cores that may be used, by number."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


class Resources:
    """Divides GPUs and CPU cores among jobs that run at once.

    A job gets as many GPUs as its configuration asks for, the least used ones, so none is shared while there are
    enough. Every job gets the same number of cores, also of its own unless there are more jobs than cores.

    Args:
        jobs: how many may run at once.
        gpus: by the names that CUDA_VISIBLE_DEVICES takes.
        cores: by number.
    """

    def __init__(self, jobs: int, gpus: list[str], cores: list[int]) -> None:
        self._users: Counter[str] = Counter(dict.fromkeys(gpus, 0))
        ends = [number * len(cores) // jobs for number in range(jobs + 1)]
        parts = [cores[start:end] for start, end in itertools.pairwise(ends)]
        self._cores = [part or [cores[number % len(cores)]] for number, part in enumerate(parts)]
        self._free_slots = list(range(jobs))
        self._allocated: dict[int, tuple[int, list[str]]] = {}

    def allocate(self, job: int, trainer: dict[str, Any]) -> tuple[list[str] | None, list[int]]:
        """GPUs and cores for a job that starts.

        Args:
            job: its number.
            trainer: its configuration of the trainer, of which `accelerator` and `devices` matter.

        Returns:
            Its GPUs, or None if it is to see them all because it names its own or takes all there are; its cores.
        """
        slot = self._free_slots.pop(0)
        count = _gpus_wanted(trainer, len(self._users))
        gpus = None if count is None else sorted(self._users, key=self._users.__getitem__)[:count]
        self._users.update(gpus or ())
        self._allocated[job] = slot, gpus or []
        return gpus, self._cores[slot]

    def release(self, job: int) -> None:
        """Free what a job had, once it has ended."""
        slot, gpus = self._allocated.pop(job)
        self._free_slots.append(slot)
        self._users.subtract(gpus)


def most_at_once(trainer: dict[str, Any], gpus: list[str], cores: list[int]) -> int:
    """How many jobs of one configuration fit on a machine at once, each with devices of its own; at least one."""
    on_gpu = gpus and trainer.get("accelerator") in ("auto", "gpu", "cuda")
    devices = trainer.get("devices")
    each = devices if isinstance(devices, int) and devices > 0 else 1
    return max(1, len(gpus if on_gpu else cores) // each)


def _gpus_wanted(trainer: dict[str, Any], available: int) -> int | None:
    """How many GPUs to allocate to a job; None if it is to see them all."""
    if trainer.get("accelerator") not in ("auto", "gpu", "cuda"):
        return None
    devices = trainer.get("devices")
    count = int(devices) if isinstance(devices, int) or (isinstance(devices, str) and devices.isdigit()) else -1
    return count if 1 <= count <= available else None
