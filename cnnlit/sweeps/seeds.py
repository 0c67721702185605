"""Several seeds of one configuration: what each is configured as, and as processes the sweep that they are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from cnnlit import config
from cnnlit.config import Node
from cnnlit.parallel.processes import started_elsewhere
from cnnlit.runs.reading import quoted, read_config
from cnnlit.runs.stack import is_stack, read_configs
from cnnlit.sweeps.jobs import Job, print_table
from cnnlit.sweeps.launcher import command_line
from cnnlit.sweeps.process_pool import become
from cnnlit.sweeps.resources import most_at_once, visible_cores, visible_gpus

LAUNCHER = ("hydra.launcher", "hydra/launcher")
HARDWARE = ("accelerator", "devices", "num_nodes", "strategy")
"""What may be another when a run is resumed: keys of the trainer that its result does not depend on."""


def configurations(function: Callable[..., Any], settings: Node, replicas: int, replicas_as: str) -> list[Node]:
    """The configurations that this process is to train, one for each replica; where it is to be processes, they begin.

    Args:
        function: the command.
        settings: of the first replica.
        replicas: how many seeds.
        replicas_as: `stack`, `processes`, or for a stack on a GPU alone `auto`.
    """
    if replicas == 1:
        return [settings]
    if replicas_as == "processes" or (replicas_as == "auto" and not _has_gpu(settings["trainer"])):
        train_as_processes(function, seed=settings["seed"], replicas=replicas, trainer=settings["trainer"])
    nodes = config.compose_seeds(function, range(settings["seed"], settings["seed"] + replicas))
    return [{key: node[key] for key in settings} for node in nodes]


def configurations_before(function: Callable[..., Any], settings: Node, folder: Path) -> list[Node]:
    """The configurations of a run or of replicas that are resumed; a sweep that is resumed goes on.

    Args:
        function: the command.
        settings: what a run of older code did not know is as it is here.
        folder: of what is resumed.

    Raises:
        FileNotFoundError: if the folder holds none of these.
        ValueError: if the command line says more, or the code has moved on and no longer takes the configuration.
    """
    said = {word.partition("=")[0]: word for word in config.overrides()}
    alone = (folder / "run.json").exists()
    may_change = [f"trainer.{key}" for key in HARDWARE] if alone else []
    if others := [word for key, word in said.items() if key not in ("resume", *may_change)]:
        but = f", but for {', '.join(may_change)}" if alone else ""
        raise ValueError(f"resume={folder}: a run goes on as it was configured{but}; leave out {' '.join(others)}")
    if (folder / "multirun.yaml").is_file() and not alone:
        resume_sweep(function, folder)
    before = read_configs(folder) if is_stack(folder) else [read_config(folder)]
    hardware = {key: settings["trainer"][key] for key in HARDWARE if f"trainer.{key}" in said}
    before = [{**each, "trainer": each["trainer"] | hardware} for each in before]
    config.check({**before[0], "resume": str(folder)}, function)
    return [settings | each for each in before]


def report(folder: Path, configs: list[Node]) -> float:
    """Print a table of replicas that were trained; their mean objective, or exit code 1 if one has failed.

    Args:
        folder: of all.
        configs: of each.
    """
    jobs = []
    for number, settings in enumerate(configs):
        word = f"seed={settings['seed']}"
        job = Job(number, [word], word, folder / str(number), settings)
        if not job.read():
            job.state, job.reason = "failed", job.failure() or ""
        jobs.append(job)
    print_table(jobs)
    objectives = [job.objective for job in jobs if job.objective is not None]
    if len(objectives) < len(jobs):
        raise SystemExit(1)
    return sum(objectives) / len(objectives)


def _has_gpu(trainer: dict[str, Any]) -> bool:
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
    launcher = [word for word in HydraConfig.get().overrides.hydra if word.startswith(LAUNCHER)]
    if not any(word.startswith(("hydra.launcher.jobs=", "hydra/launcher=")) for word in launcher):
        at_once = min(replicas, most_at_once(trainer, visible_gpus(), visible_cores()))
        launcher.append(f"hydra.launcher.jobs={at_once}")
    # In place of the sweep that an experiment's file may hold.
    seeds = [f"seed=range({seed},{seed + replicas})", "replicas=1", "hydra.sweeper.params=null"]
    _sweep(function, [*words, *seeds, *launcher], config.run_folder())


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
