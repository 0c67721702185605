"""A sweep's folder: the command that Hydra notes in multirun.yaml, and how the jobs stand in jobs.json."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from cnnlit.files import write_json
from cnnlit.runs.reading import run_folders

MULTIRUN = "multirun.yaml"
JOBS = "jobs.json"

NOT_STARTED = "not started"

SET_BY_EACH_COMMAND = ("hydra.mode=", "hydra.sweep.dir=")
"""Hydra's overrides that a later command for the same sweep brings itself."""


class SweepCommand(NamedTuple):
    """The command that a sweep was last started with.

    Attributes:
        overrides: of the configuration, such as `seed=0,1,2`.
        hydra_overrides: of Hydra's own configuration, without the sweep's folder.
        params: values that the experiment's file sweeps over, by key.
        sweeper: name of the class.
        launcher: name of the class.
    """

    overrides: list[str]
    hydra_overrides: list[str]
    params: dict[str, Any]
    sweeper: str
    launcher: str


def is_sweep(folder: Path) -> bool:
    """Whether Hydra started a sweep in this folder."""
    return (folder / MULTIRUN).is_file()


def read_command(sweep: Path) -> SweepCommand:
    """The command of a sweep, from its multirun.yaml.

    Raises:
        FileNotFoundError: if there is no multirun.yaml.
        ValueError: if it cannot be read.
    """
    path = sweep / MULTIRUN
    try:
        note = yaml.safe_load(path.read_text())["hydra"]
        overrides = note["overrides"]
        return SweepCommand(
            overrides=list(overrides["task"]),
            hydra_overrides=[each for each in overrides.get("hydra", []) if not each.startswith(SET_BY_EACH_COMMAND)],
            params=dict(note["sweeper"].get("params") or {}),
            sweeper=_class_name(note["sweeper"]),
            launcher=_class_name(note.get("launcher") or {}),
        )
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is not there: no sweep, or one that never began") from None
    except (KeyError, TypeError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise ValueError(f"{path} cannot be read ({type(error).__name__})") from None


def _class_name(node: dict[str, Any]) -> str:
    return str(node.get("_target_", "")).rpartition(".")[2]


def read_jobs(sweep: Path) -> list[dict[str, Any]]:
    """The entries of a sweep's jobs.json, by number; none if there is no such file."""
    jobs: list[dict[str, Any]] = _read(sweep).get("jobs", [])
    return jobs


def _read(sweep: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads((sweep / JOBS).read_text())
    except (OSError, ValueError):
        return {}
    return content


class Place(NamedTuple):
    """When a job came into its sweep.

    Attributes:
        look: 1 for what the sweep's first command planned, 2 for what was added after that had begun, and so on.
        shortened: how often the plan of the sweep was cut short, before or after this job.
        chooses: for a job that only chooses a value: the key, and what it is chosen by.
    """

    look: int
    shortened: int
    chooses: tuple[str, str] | None = None


def places(sweep: Path) -> dict[str, Place]:
    """When each job of a sweep was planned, by the job's folder; none if there is no jobs.json."""
    shortened = _read(sweep).get("shortened", 0)
    return {
        job["folder"]: Place(job.get("look", 1), shortened, tuple(job["chooses"]) if job.get("chooses") else None)
        for job in read_jobs(sweep)
    }


def next_look(sweep: Path) -> int:
    """The number of the look that jobs are for which a command adds to a sweep."""
    started = [job for job in read_jobs(sweep) if job["state"] != NOT_STARTED]
    return 1 + max((job.get("look", 1) for job in started), default=0)


def write_jobs(sweep: Path, jobs: Iterable[dict[str, Any]], look: int = 1) -> None:
    """Update jobs.json; whoever calls this holds the lock on the sweep's folder.

    What earlier commands started stays. What they never started is dropped unless it is among `jobs`: the user may have
    left it out on purpose. Whoever does so has had the chance to look at what was there, which is noted.

    Args:
        sweep: its folder.
        jobs: entries for the jobs of the present command.
        look: see `next_look`; of those jobs that are new.
    """
    before = read_jobs(sweep)
    known = {job["folder"]: job.get("look", 1) for job in before}
    now = [{**job, "look": known.get(job["folder"], look)} for job in jobs]
    names = {job["folder"] for job in now}
    kept = [job for job in before if job["state"] != NOT_STARTED]
    waiting = [job for job in now if job["state"] == NOT_STARTED]
    started = [job for job in now if job["state"] != NOT_STARTED]
    entries = {job["folder"]: job for job in [*waiting, *kept, *started]}
    left_out = [job for job in before if job["state"] == NOT_STARTED and job["folder"] not in names]
    shortened = _read(sweep).get("shortened", 0) + bool(kept and left_out)
    content: dict[str, Any] = {"jobs": sorted(entries.values(), key=lambda job: job["number"])}
    write_json(sweep / JOBS, content | ({"shortened": shortened} if shortened else {}))


def job_overrides(folder: Path) -> dict[str, list[str]]:
    """The overrides of each job of a sweep, by the job's folder; none if there is no jobs.json."""
    return {job["folder"]: [override.lstrip("+") for override in job["overrides"]] for job in read_jobs(folder)}


def never_started(folder: Path, jobs: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """A line for each job of a sweep whose folder holds no run."""
    for name, overrides in jobs.items():
        if next(run_folders(folder / name), None) is None:
            yield f"job {name} of {folder.name}: {' '.join(overrides)}"
