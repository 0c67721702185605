"""Functions run in several processes that talk over gloo, as devices do."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed, multiprocessing


def together(function: Callable[..., Any], folder: Path, *arguments: Any, num_processes: int = 2) -> list[Any]:
    """The results of `function(*arguments)` in each process, by rank; the function has to be importable."""
    multiprocessing.start_processes(
        _one, (num_processes, folder, function, arguments), nprocs=num_processes, start_method="spawn"
    )
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(num_processes)]


def _one(rank: int, num_processes: int, folder: Path, function: Callable[..., Any], arguments: Any) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meet",
        rank=rank,
        world_size=num_processes,
        timeout=timedelta(seconds=120),
    )
    torch.save(function(*arguments), folder / f"{rank}.pt")
    distributed.destroy_process_group()
