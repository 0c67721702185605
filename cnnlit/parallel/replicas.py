"""Replicas as processes: the seeds of one configuration are a sweep over the seed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from cnnlit import config
from cnnlit.parallel.jobs import quoted
from cnnlit.parallel.launcher import command_line
from cnnlit.parallel.processes import started_elsewhere
from cnnlit.parallel.runner import become
from cnnlit.parallel.shares import most_at_once, visible_cores, visible_gpus

LAUNCHER = ("hydra.launcher", "hydra/launcher")


def has_gpu(trainer: dict[str, Any]) -> bool:
    """Whether a run so configured would find a GPU; answered without loading torch."""
    return trainer["accelerator"] in ("gpu", "cuda") or (trainer["accelerator"] == "auto" and bool(visible_gpus()))


def train_as_processes(function: Callable[..., Any], *, seed: int, replicas: int, trainer: dict[str, Any]) -> NoReturn:
    """Go on as the sweep `-m seed=range(seed,seed+replicas)` in this run's folder; it runs as many jobs as fit.

    Args:
        function: the command.
        seed: the first one.
        replicas: how many seeds.
        trainer: the configuration of the trainer.

    Raises:
        ValueError: in one of several processes that something else has started for this run.
    """
    if started_elsewhere():
        raise ValueError("replicas= starts its processes itself: leave out torchrun, or SLURM's further tasks")
    own = ("seed=", "replicas=", "replicas_as=")
    words = [word for word in config.overrides() if not word.startswith(own)]
    launcher = [
        word for word in HydraConfig.get().overrides.hydra if word.startswith(("hydra.launcher", "hydra/launcher"))
    ]
    if not any(word.startswith(("hydra.launcher.jobs=", "hydra/launcher=")) for word in launcher):
        at_once = min(replicas, most_at_once(trainer, visible_gpus(), visible_cores()))
        launcher.append(f"hydra.launcher.jobs={at_once}")
    # In place of the sweep that an experiment's file may hold.
    seeds = [f"seed=range({seed},{seed + replicas})", "replicas=1", "hydra.sweeper.params=null"]
    _sweep(function, [*words, *seeds, *launcher], config.run_folder())


def is_sweep(folder: Path) -> bool:
    """Whether a folder is a sweep's, and not a run's."""
    return (folder / "multirun.yaml").is_file() and not (folder / "run.json").exists()


def resume_sweep(function: Callable[..., Any], folder: Path) -> NoReturn:
    """Go on with a sweep by its own command line.

    Args:
        function: the command.
        folder: of the sweep.
    """
    before = yaml.safe_load((folder / "multirun.yaml").read_text())["hydra"]["overrides"]
    hydra = [word for word in before["hydra"] if not word.startswith(("hydra.mode=", "hydra.sweep.dir="))]
    _sweep(function, [*before["task"], *hydra], folder)


def _sweep(function: Callable[..., Any], words: list[str], folder: Path) -> NoReturn:
    command = command_line(function, OmegaConf.create({"hydra": HydraConfig.get()}))
    become([*command, "-m", *words, f"hydra.sweep.dir={quoted(folder)}"])
