"""A job of a sweep that another launcher runs: joblib, submitit, Ray."""

import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from cnnlit.files import Lock
from cnnlit.runs.sweep_folder import next_look, read_command, write_jobs
from cnnlit.sweeps.command_line import job_command
from cnnlit.sweeps.jobs import Job, JobFailed, print_line
from cnnlit.sweeps.process_pool import ProcessPool


def run_apart(function: Callable[..., Any], settings: dict[str, Any]) -> float | None:
    """Run the job that another launcher started this process for, in a process tree of its own.

    Each such process also keeps the sweep's jobs.json up to date, for itself and for the jobs that have not started.

    Args:
        function: the command.
        settings: the job's whole configuration, plain containers.

    Returns:
        The objective.

    Raises:
        JobFailed: if the job failed.
    """
    tasks = int(os.environ.get("SLURM_NTASKS", "1"))
    if tasks > 1:
        raise JobFailed(f"SLURM started {tasks} tasks for one job: with one, trainer.devices={tasks} starts the rest")
    hydra = HydraConfig.get()
    overrides = list(hydra.overrides.task)
    job = Job(hydra.job.num, overrides, " ".join(overrides), Path(hydra.runtime.output_dir), settings)
    sweep = Path(os.path.abspath(Path(hydra.runtime.cwd) / hydra.sweep.dir))
    others = _other_jobs(sweep, job)

    def keep_and_tell(line: str) -> None:
        keep_jobs(sweep, [*others, job])
        print_line(line)

    pool = ProcessPool(job_command(function, OmegaConf.create({"hydra": hydra})), tell=keep_and_tell)
    try:
        pool.run([job])
    except ValueError as error:
        raise JobFailed(str(error)) from None
    if pool.received is not None:
        raise SystemExit(128 + pool.received)
    if job.state != "finished":
        raise JobFailed(f"job {job.number} {job.state}: {job.reason}; {job.label}; log: {job.log}")
    return job.objective


def keep_jobs(sweep: Path, jobs: Sequence[Job]) -> None:
    """Update jobs.json, which the processes of other jobs, here and on other machines, write at the same time.

    Args:
        sweep: the sweep's folder.
        jobs: of the sweep.
    """
    lock = Lock(sweep)
    lock.take(wait=True)
    try:
        write_jobs(sweep, [job.entry(sweep) for job in jobs], next_look(sweep))
    finally:
        lock.give_back()


def _other_jobs(sweep: Path, own: Job) -> list[Job]:
    """The other jobs of the sweep, as not started; none if the sweep is not a grid in numbered folders."""
    try:
        command = read_command(sweep)
    except (OSError, ValueError):
        return []
    file = [f"{key}={values}" for key, values in command.params.items()]
    grid = _grid([*file, *command.overrides])
    # A search leaves no grid, and an older sweep in this folder may have left another one.
    if own.number >= len(grid) or grid[own.number] != own.overrides or own.folder != sweep / str(own.number):
        return []
    return [
        Job(number, overrides, "", sweep / str(number), {})
        for number, overrides in enumerate(grid)
        if number != own.number
    ]


def _grid(words: list[str]) -> list[list[str]]:
    """The overrides of every job of a grid, in Hydra's order; empty if the words describe no grid."""
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    # The last word on a key counts.
    overrides = {each.get_key_element(): each for each in parser.parse_overrides(words)}
    if any(_is_unpredictable(each) for each in overrides.values()):
        return []
    choices = [[f"{key}={value}" for value in _values(each)] for key, each in overrides.items()]
    return [list(job) for job in itertools.product(*choices)]


def _is_unpredictable(override: Override) -> bool:
    """Whether an override takes values that cannot be known beforehand: from an interval, or a shuffled list."""
    shuffled = getattr(override.value(), "shuffle", False)
    return override.is_sweep_override() and (shuffled or not override.is_discrete_sweep())


def _values(override: Override) -> list[str]:
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [override.get_value_element_as_str()]
