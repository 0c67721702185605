"""The launcher of Hydra's sweeps: each job runs as a command of its own, in a fresh process tree.

In one process, each of Lightning's processes would run the whole sweep again, and whatever a job leaves behind (W&B's
run, memory, a thread that failed) would be passed on to the next.
"""

import atexit
import inspect
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from typing import Annotated, Any, Literal

from annotated_types import Ge
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from cnnlit.config.command import SeparateJobs, begin, refusing
from cnnlit.config.schema import check
from cnnlit.files import Lock, make_folder, shown
from cnnlit.runs.sweep_folder import MULTIRUN, next_look, write_jobs
from cnnlit.sweeps.command_line import job_command, sweep_line
from cnnlit.sweeps.composition import Composer, refuse_twins
from cnnlit.sweeps.jobs import Job, print_line, print_table
from cnnlit.sweeps.other_launchers import run_apart
from cnnlit.sweeps.process_pool import ProcessPool, end_with_parent
from cnnlit.sweeps.resources import Resources, visible_cores, visible_gpus
from cnnlit.sweeps.selection_jobs import Select, chooses, in_two_parts


class ProcessLauncher(Launcher, Callback):
    """Runs the jobs of a sweep as processes on this machine; resumes a sweep that was interrupted.

    Args:
        jobs: how many may run at once; each has its own GPUs and cores as far as there are enough.
        on_error: whether the other jobs go on when one fails.
        select: chooses the value of a key, such as the learning rate, for each arm, on seeds that are not compared:
            jobs with these seeds run first, and the others with the value that was best in their arm.
    """

    def __init__(
        self,
        *,
        jobs: Annotated[int, Ge(1)] = 1,
        on_error: Literal["stop", "continue"] = "continue",
        select: Select | None = None,
    ) -> None:
        self._at_once = jobs
        self._on_error = on_error
        # Hydra hands over its own containers; what is wrong in them is told when the launcher is set up.
        self._chosen_by = select
        self._select: Select | None = None
        self._jobs: list[Job] = []
        self._pool: ProcessPool | None = None
        self._look = 1

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._config = config
        self._function: Callable[..., Any] = inspect.unwrap(task_function)
        self._composer = Composer(hydra_context.config_loader, config)
        self._folder = self._composer.folder
        self._lock = Lock(self._folder)
        _check_own_node(config)
        if self._chosen_by:
            node: Any = OmegaConf.to_container(config.hydra.launcher.select, resolve=True)
            self._select = Select(**node)
        hydra_context.callbacks.callbacks.append(self)  # for on_multirun_end
        atexit.register(self._remove_unused_folder)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a batch of jobs to their ends; a job that failed returns None."""
        begin()
        with refusing():
            jobs = self._composer.jobs(job_overrides, initial_job_idx)
            if self._pool is None:
                self._begin(jobs)
            assert self._pool
            for part in [jobs] if self._select is None else in_two_parts(jobs, self._select, self._folder):
                self._jobs += part
                self._pool.run(part)
                if self._pool.stopped:
                    break
        if self._pool.stopped:
            self._report()
            received = self._pool.received
            raise SystemExit(1 if received is None else 128 + received)
        results = [JobReturn(job.overrides, status=JobStatus.COMPLETED) for job in jobs]
        for result, job in zip(results, jobs, strict=True):
            result.return_value = job.objective
        return results

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the results of the sweep; exit code 1 if a job failed."""
        if self._pool is None or self._pool.stopped:  # it never began, or reported when it was stopped
            return
        self._report()
        self._lock.give_back()
        if any(job.state == "failed" for job in self._jobs) and sys.exc_info()[0] is None:
            raise SystemExit(1)

    def _begin(self, jobs: list[Job]) -> None:
        """Before the first job: refuse what cannot work, and lock the folder."""
        refuse_twins(jobs, equal_allowed=self._composer.is_search)
        # In a process of its own: the check imports torch, which this process can do without.
        with ProcessPoolExecutor(1) as executor:
            executor.submit(_check_all, self._function, [job.settings for job in jobs]).result()
        make_folder(self._folder)
        if not self._lock.take():
            raise ValueError(f"hydra.sweep.dir={self._folder}: another process runs this sweep")
        self._look = next_look(self._folder)
        for job in jobs:
            job.arguments()
        together = f", {self._at_once} at once" if self._at_once > 1 else ""
        print_line(f"sweep of {len(jobs)} job{'s' * (len(jobs) > 1)}{together}: {self._folder}")
        self._pool = ProcessPool(
            job_command(self._function, self._config),
            at_once=self._at_once,
            on_error=self._on_error,
            shown=self._at_once == 1 and sys.stderr.isatty(),
            resources=Resources(self._at_once, visible_gpus(), visible_cores()) if self._at_once > 1 else None,
            environment={"WANDB_RUN_GROUP": "/".join(self._folder.parts[-2:])},
            tell=self._keep_and_tell,
        )

    def _keep_and_tell(self, line: str) -> None:
        """Print what is new, and write to jobs.json how all jobs stand, with or without a record of their own."""
        print_line(line)
        entries = [job.entry(self._folder) | chooses(job, self._select) for job in self._jobs]
        write_jobs(self._folder, entries, self._look)

    def _report(self) -> None:
        """A table of all jobs on stdout, and the command that resumes the sweep if some are not finished."""
        print_table(self._jobs)
        if self._composer.is_search and (finished := [job for job in self._jobs if job.objective is not None]):
            best = min(finished, key=lambda job: job.objective or 0.0)
            from rich.console import Console  # takes long to import, and every command comes by here
            from rich.text import Text

            Console(soft_wrap=True).print(Text(f"best: job {best.number}, {best.label}"))
        if any(job.state != "finished" for job in self._jobs):
            words = [word for word in sys.argv[1:] if word not in ("-m", "--multirun")]
            words = [word for word in words if not word.startswith("hydra.sweep.dir=")]
            again = sweep_line(words, self._folder, command=self._function.__name__)
            print_line(f"to go on with what is not finished: {again}")
        else:
            print_line(f"next: python -m cnnlit.report {shlex.quote(f'runs={shown(self._folder)}')} format=html")

    def _remove_unused_folder(self) -> None:
        """Remove the folder that Hydra made, if no job began in it."""
        if self._pool is None:
            with suppress(OSError):
                if [path.name for path in self._folder.iterdir()] == [MULTIRUN]:
                    (self._folder / MULTIRUN).unlink()
                    os.removedirs(self._folder)


def _check_all(function: Callable[..., Any], nodes: list[dict[str, Any]]) -> None:
    for node in nodes:
        check(node, function)


def _check_own_node(composed: DictConfig) -> None:
    node: Any = OmegaConf.to_container(composed.hydra.launcher, resolve=True)
    check(node, ProcessLauncher, "hydra.launcher")


SEPARATE_JOBS = SeparateJobs(begin=end_with_parent, run=run_apart)
"""Makes a command's sweeps run their jobs in separate process trees, whichever launcher starts them."""
