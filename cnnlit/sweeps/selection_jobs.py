"""Jobs that choose a value for each arm before the others compare the arms, on other seeds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from cnnlit.sweeps.jobs import Job, print_line


@dataclass(frozen=True)
class Select:
    """What is chosen, and how.

    Attributes:
        key: whose value is chosen, one of those that are swept over: recipe.optimizer.lr.
        seeds: that choose, and are not compared.
        by: a curve and a bound, for the fewest epochs to it (train/error<=0.25), or a curve, for its last value.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    key: str
    seeds: list[int]
    by: str


def chooses(job: Job, select: Select | None) -> dict[str, Any]:
    """What jobs.json says of a job that only chooses."""
    chosen = select is not None and job.settings["seed"] in select.seeds
    return {"chooses": [select.key, select.by]} if select and chosen else {}


def in_two_parts(jobs: Sequence[Job], select: Select, sweep: Path) -> Iterator[list[Job]]:
    """The jobs that choose and, once these have been run, the others with the values that were chosen.

    Args:
        jobs: of the sweep.
        select: what is chosen.
        sweep: its folder.

    Raises:
        ValueError: if the sweep has no jobs of either kind, or does not sweep over the key.
    """
    from cnnlit.analysis.selection import arm_of, choices, measure_by
    from cnnlit.runs import records

    key = select.key
    measure_by(select.by)
    first = [job for job in jobs if job.settings["seed"] in select.seeds]
    rest = [job for job in jobs if job.settings["seed"] not in select.seeds]
    if not first or not rest:
        raise ValueError(f"hydra.launcher.select.seeds={select.seeds}: must be some of the sweep's seeds, not all")
    if any(_value(job, key) is None for job in jobs):
        raise ValueError(f"hydra.launcher.select.key={key}: the sweep does not go over it")
    yield first
    there = [run for run in records.find([str(sweep)]).records if run.seed in select.seeds]
    best = {choice.arm: choice.best for choice in choices(there, key, select.by)}
    for arm, value in best.items():
        print_line(f"chosen for {' '.join(arm)}: {key}={value}")
    yield [job for job in rest if best.get(arm_of(job.overrides, key)) == _value(job, key)]


def _value(job: Job, key: str) -> str | None:
    return next((word.partition("=")[2] for word in job.overrides if word.startswith(f"{key}=")), None)
