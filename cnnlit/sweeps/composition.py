"""The jobs of a sweep, composed by Hydra: each as it will be configured, with a number and a folder of its own."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from cnnlit.config.compose import container
from cnnlit.sweeps.jobs import Job, numbers_by_key


class Composer:
    """Composes the jobs of one sweep, batch after batch.

    Args:
        loader: Hydra's.
        config: of the sweep.

    Attributes:
        folder: the sweep's.
        is_search: whether a sweeper other than Hydra's own asks for the jobs, one batch after another's results. Its
            jobs may be equal, and only their numbers tell them apart.
    """

    def __init__(self, loader: ConfigLoader, config: DictConfig) -> None:
        self._loader = loader
        self._config = config
        self._taken: set[int] = set()
        self.folder = Path(str(config.hydra.sweep.dir))
        self.is_search = not str(config.hydra.sweeper._target_).endswith(".BasicSweeper")

    def jobs(self, batch: Sequence[Sequence[str]], first: int) -> list[Job]:
        """The jobs of a batch.

        Args:
            batch: the overrides of each job.
            first: Hydra's number for the first of them.

        Raises:
            ValueError: if the batch is empty, or jobs cannot be told apart.
        """
        if not batch:
            raise ValueError("there is nothing to sweep: a list of values is empty")
        before = HydraConfig.instance().cfg  # Hydra 1.4 keeps the sweep's own there, 1.3 nothing
        jobs = [self._compose(number, overrides) for number, overrides in enumerate(batch, first)]
        if not self.is_search:
            numbers = self._numbers(jobs)
            jobs = [
                job if job.number == number else self._compose(number, overrides)
                for job, number, overrides in zip(jobs, numbers, batch, strict=True)
            ]
        HydraConfig.instance().cfg = before
        self._taken |= {job.number for job in jobs}
        _label(jobs)
        return jobs

    def _compose(self, number: int, overrides: Sequence[str]) -> Job:
        sweep_config = self._loader.load_sweep_config(self._config, list(overrides))
        with open_dict(sweep_config):
            sweep_config.hydra.job.id = str(number)
            sweep_config.hydra.job.num = number
        HydraConfig.instance().set_config(sweep_config)  # ${hydra:...} reads from it
        folder = self.folder / str(OmegaConf.select(sweep_config, "hydra.sweep.subdir"))
        keys = [str(key) for key in sweep_config if key != "hydra"]
        words = list(sweep_config.hydra.overrides.task)
        settings = container(OmegaConf.masked_copy(sweep_config, keys), words)
        return Job(number, words, "", folder, settings)

    def _numbers(self, jobs: list[Job]) -> list[int]:
        """Hydra's numbers, unless the folder holds the same sweep with fewer seeds or arms: then jobs keep theirs.

        A sweep that shares no job with the folder is a different one; with Hydra's numbers it is refused later.
        """
        held = numbers_by_key(self.folder)
        same = [held.pop(job.key, None) for job in jobs]
        if not self._taken and not any(number is not None for number in same):
            return [job.number for job in jobs]
        taken = {*held.values(), *same, *self._taken}
        free = (number for number in itertools.count() if number not in taken)
        return [next(free) if number is None else number for number in same]


def refuse_twins(jobs: Sequence[Job], *, equal_allowed: bool) -> None:
    """Refuse jobs that would write into each other's folders, or train the same run twice.

    Args:
        jobs: of a sweep.
        equal_allowed: whether two jobs may have the same configuration, as trials of a search may.

    Raises:
        ValueError: in one line that names the two jobs.
    """
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


def _label(jobs: list[Job]) -> None:
    shared = set.intersection(*(set(job.overrides) for job in jobs)) if len(jobs) > 1 else set()
    for job in jobs:
        own = " ".join(override for override in job.overrides if override not in shared)
        job.label = own or "everything as configured"


def _share_a_run(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two jobs, each of `replicas` seeds from `seed` on, train the same configuration with the same seed."""
    seeds = [range(job.get("seed", 0), job.get("seed", 0) + job.get("replicas", 1)) for job in (one, other)]
    disjoint = min(each.stop for each in seeds) <= max(each.start for each in seeds)
    return not disjoint and _without_seeds(one) == _without_seeds(other)


def _without_seeds(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    return {key: _without_seeds(value) for key, value in node.items() if key not in ("seed", "replicas")}
