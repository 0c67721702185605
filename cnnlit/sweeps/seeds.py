"""Several seeds of one configuration: the configuration of each, or the sweep that trains them as processes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from cnnlit import config
from cnnlit.config import Node
from cnnlit.parallel.worlds import started_elsewhere
from cnnlit.runs.reading import read_config
from cnnlit.runs.stack import is_stack, read_configs
from cnnlit.runs.sweep_folder import is_sweep, read_command
from cnnlit.sweeps.command_line import job_command, sweep_dir
from cnnlit.sweeps.jobs import Job, print_table
from cnnlit.sweeps.process_pool import become
from cnnlit.sweeps.resources import most_at_once, visible_cores, visible_gpus

LAUNCHER = ("hydra.launcher", "hydra/launcher")


def configurations(function: Callable[..., Any], settings: Node, replicas: int, replicas_as: str) -> list[Node]:
    """The configurations that this process is to train, one per seed; if seeds are processes, it becomes their sweep.

    Args:
        function: the command.
        settings: of the first seed.
        replicas: how many seeds.
        replicas_as: `stack`, `processes`, or `auto`: a stack on a GPU, processes elsewhere.
    """
    if replicas == 1:
        return [settings]
    if replicas_as == "processes" or (replicas_as == "auto" and not _has_gpu(settings["trainer"])):
        train_as_processes(function, seed=settings["seed"], replicas=replicas, trainer=settings["trainer"])
    nodes = config.compose_seeds(function, range(settings["seed"], settings["seed"] + replicas))
    return [{key: node[key] for key in settings} for node in nodes]


def configurations_before(function: Callable[..., Any], settings: Node, folder: Path) -> list[Node]:
    """The configurations of what is resumed, a run or a stack of seeds; to resume a sweep, this process becomes it.

    Args:
        function: the command.
        settings: this command's, for keys that the version which made the run did not have.
        folder: of the run, the stack or the sweep.

    Raises:
        FileNotFoundError: if the folder holds none of them.
        ValueError: if the command line changes anything else, or this version no longer accepts the configuration.
    """
    alone = (folder / "run.json").exists()
    config.refuse_changes(config.overrides(), folder, alone=alone)
    if is_sweep(folder) and not alone:
        resume_sweep(function, folder)
    before = read_configs(folder) if is_stack(folder) else [read_config(folder)]
    before = [config.with_changes(each, settings, config.overrides()) for each in before]
    config.check({**before[0], "resume": str(folder)}, function)
    return [settings | each for each in before]


def report(folder: Path, configs: list[Node]) -> float:
    """Print a table of seeds that were trained as a stack; return their mean objective, or exit with 1 if one failed.

    Args:
        folder: of the stack.
        configs: of each seed.
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
    """Whether a run with this configuration would use a GPU; answered without loading torch."""
    return trainer["accelerator"] in ("gpu", "cuda") or (trainer["accelerator"] == "auto" and bool(visible_gpus()))


def train_as_processes(function: Callable[..., Any], *, seed: int, replicas: int, trainer: dict[str, Any]) -> NoReturn:
    """Become the sweep `-m seed=range(seed,seed+replicas)` in this run's folder, with as many jobs at once as fit.

    Args:
        function: the command.
        seed: the first.
        replicas: how many seeds.
        trainer: its configuration.

    Raises:
        ValueError: if something else started this process as one of several for the run.
    """
    if started_elsewhere():
        raise ValueError("replicas= starts its processes itself: leave out torchrun, or SLURM's further tasks")
    own = ("seed=", "replicas=", "replicas_as=")
    words = [word for word in config.overrides() if not word.startswith(own)]
    launcher = [word for word in HydraConfig.get().overrides.hydra if word.startswith(LAUNCHER)]
    if not any(word.startswith(("hydra.launcher.jobs=", "hydra/launcher=")) for word in launcher):
        at_once = min(replicas, most_at_once(trainer, visible_gpus(), visible_cores()))
        launcher.append(f"hydra.launcher.jobs={at_once}")
    # The experiment's file may hold a sweep of its own, which these replace.
    seeds = [f"seed=range({seed},{seed + replicas})", "replicas=1", "hydra.sweeper.params=null"]
    _sweep(function, [*words, *seeds, *launcher], config.run_folder())


def resume_sweep(function: Callable[..., Any], folder: Path) -> NoReturn:
    """Resume a sweep by its own command line.

    Args:
        function: the command.
        folder: of the sweep.
    """
    before = read_command(folder)
    _sweep(function, [*before.overrides, *before.hydra_overrides], folder)


def _sweep(function: Callable[..., Any], words: list[str], folder: Path) -> NoReturn:
    command = job_command(function, OmegaConf.create({"hydra": HydraConfig.get()}))
    become([*command, "-m", *words, sweep_dir(folder)])
