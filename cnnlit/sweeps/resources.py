"""What each of several jobs on one machine is given of it: GPUs and processor cores."""

import itertools
import os
import subprocess
from collections import Counter
from typing import Any


def visible_gpus() -> list[str]:
    """The names that CUDA_VISIBLE_DEVICES has for the GPUs that may be used; found without loading CUDA."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip()]
    try:
        query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        return subprocess.run(query, check=True, capture_output=True, text=True, timeout=20).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return []


def visible_cores() -> list[int]:
    """The processor cores that may be used, by number."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


class Resources:
    """Deals a machine to jobs that run at once.

    A job has as many GPUs as it is configured for, the least used ones: its own as long as there are enough. Each
    has the same number of cores, its own unless there are more jobs than cores.

    Args:
        jobs: that may run at once.
        gpus: by the names that CUDA_VISIBLE_DEVICES takes.
        cores: by number.
    """

    def __init__(self, jobs: int, gpus: list[str], cores: list[int]) -> None:
        self._users: Counter[str] = Counter(dict.fromkeys(gpus, 0))
        ends = [number * len(cores) // jobs for number in range(jobs + 1)]
        shares = [cores[start:end] for start, end in itertools.pairwise(ends)]
        self._cores = [share or [cores[number % len(cores)]] for number, share in enumerate(shares)]
        self._free = list(range(jobs))
        self._dealt: dict[int, tuple[int, list[str]]] = {}

    def deal(self, job: int, trainer: dict[str, Any]) -> tuple[list[str] | None, list[int]]:
        """A share for a job that starts.

        Args:
            job: its number.
            trainer: its configuration of the trainer: `accelerator` and `devices` say what it needs.

        Returns:
            Its GPUs, None if it is to see them all, as one that names its own or takes all there are; its cores.
        """
        place = self._free.pop(0)
        count = _gpus_wanted(trainer, len(self._users))
        gpus = None if count is None else sorted(self._users, key=self._users.__getitem__)[:count]
        self._users.update(gpus or ())
        self._dealt[job] = place, gpus or []
        return gpus, self._cores[place]

    def take_back(self, job: int) -> None:
        """What a job had, once it has ended."""
        place, gpus = self._dealt.pop(job)
        self._free.append(place)
        self._users.subtract(gpus)


def most_at_once(trainer: dict[str, Any], gpus: list[str], cores: list[int]) -> int:
    """How many jobs of one configuration fit onto a machine at once, each with devices of its own; at least one."""
    on_gpu = gpus and trainer.get("accelerator") in ("auto", "gpu", "cuda")
    devices = trainer.get("devices")
    each = devices if isinstance(devices, int) and devices > 0 else 1
    return max(1, len(gpus if on_gpu else cores) // each)


def _gpus_wanted(trainer: dict[str, Any], available: int) -> int | None:
    """How many GPUs are to be dealt to a job; None for none in particular."""
    if trainer.get("accelerator") not in ("auto", "gpu", "cuda"):
        return None
    devices = trainer.get("devices")
    count = int(devices) if isinstance(devices, int) or (isinstance(devices, str) and devices.isdigit()) else -1
    return count if 1 <= count <= available else None
