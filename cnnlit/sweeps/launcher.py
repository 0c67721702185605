"""How Hydra's sweeps run: each job is a command of its own, in a fresh process tree, whatever starts it.

Of Lightning's processes each would run the whole sweep again, and what one job leaves behind in its process (W&B's
run, memory, a thread that failed) would be the next one's.
"""

import atexit
import inspect
import itertools
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict
from rich.console import Console
from rich.text import Text

from cnnlit.config.command import SeparateJobs, begin, refusing
from cnnlit.config.schema import check
from cnnlit.files import Lock, write_json
from cnnlit.runs.reading import JOBS, quoted, read_jobs
from cnnlit.sweeps.jobs import Job, JobFailed, begun, print_table
from cnnlit.sweeps.process_pool import ProcessPool, end_with_parent
from cnnlit.sweeps.resources import Resources, visible_cores, visible_gpus


class ProcessLauncher(Launcher, Callback):
    """Runs the jobs of a sweep as processes on this machine, and goes on with a sweep that was cut off.

    Args:
        jobs: that may run at once; each has its own GPUs and cores as far as there are enough.
        on_error: whether the others go on when a job fails.
    """

    def __init__(self, *, jobs: Annotated[int, Ge(1)] = 1, on_error: Literal["stop", "continue"] = "continue") -> None:
        self._at_once = jobs
        self._on_error = on_error
        self._jobs: list[Job] = []
        self._known: dict[str, dict[str, Any]] = {}  # what jobs.json has, by folder
        self._runner: ProcessPool | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._loader = hydra_context.config_loader
        self._config = config
        self._function: Callable[..., Any] = inspect.unwrap(task_function)
        self._folder = Path(str(config.hydra.sweep.dir))
        self._optimises = not str(config.hydra.sweeper._target_).endswith(".BasicSweeper")
        _check_node(config)
        hydra_context.callbacks.callbacks.append(self)  # to be told when the sweep is over
        atexit.register(self._leave_nothing_of_nothing)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a batch of jobs, each to its end; what has failed has no return value."""
        begin()
        with refusing():
            jobs = self._composed(job_overrides, initial_job_idx)
            if self._runner is None:
                self._begin(jobs)
            assert self._runner
            self._jobs += jobs
            self._runner.run(jobs)
        if self._runner.stopped:
            self._report()
            received = self._runner.received
            raise SystemExit(1 if received is None else 128 + received)
        return [JobReturn(job.overrides, status=JobStatus.COMPLETED, _return_value=job.objective) for job in jobs]

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Say what the sweep came to; exit code 1 if a job has failed."""
        if self._runner is None or self._runner.stopped:  # it never began, or said so when it was stopped
            return
        self._report()
        self._lock.give_back()
        if any(job.state == "failed" for job in self._jobs) and sys.exc_info()[0] is None:
            raise SystemExit(1)

    def _composed(self, batch: Sequence[Sequence[str]], first: int) -> list[Job]:
        """The jobs of a batch, as each will be configured."""
        if not batch:
            raise ValueError("there is nothing to sweep: a list of values is empty")
        before = HydraConfig.instance().cfg  # the sweep's own in Hydra 1.4, none in 1.3
        jobs = [self._compose(number, overrides) for number, overrides in enumerate(batch, first)]
        if not self._optimises:  # whose trials may be equal, and are told apart by their numbers
            numbers = self._numbers(jobs)
            jobs = [
                job if job.number == number else self._compose(number, overrides)
                for job, number, overrides in zip(jobs, numbers, batch, strict=True)
            ]
        HydraConfig.instance().cfg = before
        shared = set.intersection(*(set(job.overrides) for job in jobs)) if len(jobs) > 1 else set()
        for job in jobs:
            apart = " ".join(override for override in job.overrides if override not in shared)
            job.label = apart or "everything as configured"
        return jobs

    def _compose(self, number: int, overrides: Sequence[str]) -> Job:
        sweep_config = self._loader.load_sweep_config(self._config, list(overrides))
        with open_dict(sweep_config):
            sweep_config.hydra.job.id = str(number)
            sweep_config.hydra.job.num = number
        HydraConfig.instance().set_config(sweep_config)  # what ${hydra:...} reads
        folder = self._folder / str(OmegaConf.select(sweep_config, "hydra.sweep.subdir"))
        keys = [str(key) for key in sweep_config if key != "hydra"]
        settings: Any = OmegaConf.to_container(OmegaConf.masked_copy(sweep_config, keys), resolve=True)
        return Job(number, list(sweep_config.hydra.overrides.task), "", folder, settings)

    def _numbers(self, jobs: list[Job]) -> list[int]:
        """Hydra's numbers; but in the folder of a sweep that is given more seeds, or arms, each job keeps its own.

        A sweep that has no job in common with the folder is another one, which is refused by its numbers.
        """
        held = begun(self._folder)
        if not held:
            return [job.number for job in jobs]
        same = [held.pop(job.key, None) for job in jobs]
        if not self._jobs and not any(number is not None for number in same):
            return [job.number for job in jobs]
        taken = {*held.values(), *same, *(job.number for job in self._jobs)}
        free = (number for number in itertools.count() if number not in taken)
        return [next(free) if number is None else number for number in same]

    def _begin(self, jobs: list[Job]) -> None:
        """Before the first job: refuse what cannot be right, and take the folder."""
        _refuse_twins(jobs, equal_allowed=self._optimises)
        with ProcessPoolExecutor(1) as apart:  # the check imports what it checks, which this process is not to hold
            apart.submit(_check, self._function, [job.settings for job in jobs]).result()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = Lock(self._folder)
        if not self._lock.take():
            raise ValueError(f"hydra.sweep.dir={self._folder}: another process runs this sweep")
        for job in jobs:
            job.arguments()
        # What an earlier command asked for and never began, this one may have left out on purpose.
        known = [job for job in read_jobs(self._folder) if job["state"] != "not started"]
        self._known = {job["folder"]: job for job in known}
        together = f", {self._at_once} at once" if self._at_once > 1 else ""
        _tell(f"sweep of {len(jobs)} job{'s' * (len(jobs) > 1)}{together}: {self._folder}")
        self._runner = ProcessPool(
            command_line(self._function, self._config),
            at_once=self._at_once,
            on_error=self._on_error,
            shown=self._at_once == 1 and sys.stderr.isatty(),
            shares=Resources(self._at_once, visible_gpus(), visible_cores()) if self._at_once > 1 else None,
            environment={"WANDB_RUN_GROUP": "/".join(self._folder.parts[-2:])},
            tell=self._keep_and_tell,
        )

    def _keep_and_tell(self, line: str) -> None:
        """Keep in jobs.json how the jobs stand, those without a record of their own too; and say what is new."""
        _tell(line)
        keys = ("number", "overrides", "state", "reason", "val_error", "test_error", "seconds")
        for job in self._jobs:
            folder = str(job.folder.relative_to(self._folder))
            self._known[folder] = {"folder": folder, **{key: getattr(job, key) for key in keys}}
        write_json(self._folder / JOBS, {"jobs": sorted(self._known.values(), key=lambda job: job["number"])})

    def _report(self) -> None:
        """A table of all jobs on stdout, and how to go on where some are not finished."""
        print_table(self._jobs)
        if self._optimises and (finished := [job for job in self._jobs if job.objective is not None]):
            best = min(finished, key=lambda job: job.objective or 0.0)
            Console(soft_wrap=True).print(Text(f"best: job {best.number}, {best.label}"))
        if any(job.state != "finished" for job in self._jobs):
            words = [word for word in sys.argv[1:] if not word.startswith("hydra.sweep.dir=")]
            again = ["python", "-m", f"cnnlit.{self._function.__name__}", *words]
            _tell(
                f"to go on with what is not finished: {shlex.join([*again, f'hydra.sweep.dir={quoted(self._folder)}'])}"
            )

    def _leave_nothing_of_nothing(self) -> None:
        """Remove the folder that Hydra made for a sweep of which no job began."""
        if self._runner is None:
            with suppress(OSError):
                if [path.name for path in self._folder.iterdir()] == ["multirun.yaml"]:
                    (self._folder / "multirun.yaml").unlink()
                    os.removedirs(self._folder)


def run_apart(function: Callable[..., Any], settings: dict[str, Any]) -> float | None:
    """Run the job that another launcher (joblib, submitit, Ray) has called this process for, in a process tree of it.

    Args:
        function: the command.
        settings: its whole configuration, plain containers.

    Returns:
        The objective.

    Raises:
        JobFailed: if it failed.
    """
    tasks = int(os.environ.get("SLURM_NTASKS", "1"))
    if tasks > 1:
        raise JobFailed(f"SLURM started {tasks} tasks for one job: with one, trainer.devices={tasks} starts the rest")
    hydra = HydraConfig.get()
    overrides = list(hydra.overrides.task)
    job = Job(hydra.job.num, overrides, " ".join(overrides), Path(hydra.runtime.output_dir), settings)
    runner = ProcessPool(command_line(function, OmegaConf.create({"hydra": hydra})), tell=_tell)
    try:
        runner.run([job])
    except ValueError as error:
        raise JobFailed(str(error)) from None
    if runner.received is not None:
        raise SystemExit(128 + runner.received)
    if job.state != "finished":
        raise JobFailed(f"job {job.number} {job.state}: {job.reason}; {job.label}; log: {job.log}")
    return job.objective


def command_line(function: Callable[..., Any], composed: DictConfig) -> list[str]:
    """How a job is run, before its own arguments; configuration is looked for where the sweep found it."""
    command = [sys.executable, "-m", f"cnnlit.{function.__name__}"]
    for source in composed.hydra.runtime.config_sources:
        if source.provider == "command-line":
            command += ["--config-dir", source.path]
    return command + [each for each in composed.hydra.overrides.hydra if each.startswith("hydra.searchpath=")]


def _refuse_twins(jobs: list[Job], *, equal_allowed: bool) -> None:
    for number, job in enumerate(jobs):
        if job.settings.get("resume"):
            raise ValueError("resume= goes on with one run; a sweep goes on with -m and hydra.sweep.dir=<its folder>")
        for other in jobs[:number]:
            if job.folder == other.folder:
                raise ValueError(
                    f"jobs {other.number} and {job.number} would share {job.folder}: see hydra.sweep.subdir"
                )
            if _share_a_run(job.settings, other.settings) and not equal_allowed:
                raise ValueError(f"jobs {other.number} and {job.number} are the same run: {' '.join(job.overrides)}")


def _share_a_run(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two jobs, each of `replicas` seeds from `seed` on, train the same configuration with the same seed."""
    seeds = [range(job.get("seed", 0), job.get("seed", 0) + job.get("replicas", 1)) for job in (one, other)]
    apart = min(each.stop for each in seeds) <= max(each.start for each in seeds)
    return not apart and _without_seeds(one) == _without_seeds(other)


def _without_seeds(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    return {key: _without_seeds(value) for key, value in node.items() if key not in ("seed", "replicas")}


def _check(function: Callable[..., Any], nodes: list[dict[str, Any]]) -> None:
    for node in nodes:
        check(node, function)


def _check_node(composed: DictConfig) -> None:
    node: Any = OmegaConf.to_container(composed.hydra.launcher, resolve=True)
    check(node, ProcessLauncher, "hydra.launcher")


def _tell(line: str) -> None:
    Console(stderr=True).print(line, markup=False, highlight=False, soft_wrap=True)


SEPARATE_JOBS = SeparateJobs(begin=end_with_parent, run=run_apart)
"""What a command is given whose sweeps run so."""
