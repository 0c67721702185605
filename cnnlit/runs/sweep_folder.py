"""A sweep's folder: its jobs, and what of it never began."""

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from cnnlit.runs.reading import read_jobs, run_folders


def job_overrides(folder: Path) -> dict[str, list[str]]:
    """The folder of each job of a sweep, by name, and its overrides; none if it is no sweep."""
    told = {job["folder"]: [word.lstrip("+") for word in job["overrides"]] for job in read_jobs(folder)}
    return told or {str(number): words for number, words in enumerate(_unfolded(folder))}


def _unfolded(folder: Path) -> list[list[str]]:
    """The overrides of each job of another launcher's sweep, in Hydra's order; none if it is not a plain grid."""
    sweep = read_grid(folder)
    if sweep is None:
        return []
    params = sweep["sweeper"].get("params") or {}
    words = {key: f"{key}={value}" for key, value in params.items()}
    words |= {word.partition("=")[0]: word for word in sweep["overrides"]["task"]}  # in place of the file's
    choices = [_choices(word) for word in words.values()]
    if any(choice is None for choice in choices):
        return []
    number = math.prod(len(choice or []) for choice in choices)
    if any(path.name.isdecimal() and int(path.name) >= number for path in folder.iterdir()):
        return []  # made in another way than this
    return [list(job) for job in itertools.product(*(choice or [] for choice in choices))]


def read_grid(folder: Path) -> dict[str, Any] | None:
    """What Hydra notes of a sweep over all combinations of values; None if it is another sweep, or none."""
    try:
        note: dict[str, Any] = yaml.safe_load((folder / "multirun.yaml").read_text())["hydra"]
        basic = note["sweeper"]["_target_"].endswith("BasicSweeper") and "task" in note["overrides"]
    except (OSError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return None
    return note if basic else None


def _choices(word: str) -> list[str] | None:
    """`key=a,b` is two; None for what only Hydra can unfold."""
    key, _, values = word.lstrip("+").partition("=")
    if span := re.fullmatch(r"range\((?:(\d+),\s*)?(\d+)\)", values):
        return [f"{key}={value}" for value in range(int(span[1] or 0), int(span[2]))]
    if re.match(r"\w+\(", values):
        return None
    # Commas inside brackets or quotation marks do not separate.
    parts = re.findall(r"""(?:\[[^\]]*\]|\{[^}]*\}|'[^']*'|"[^"]*"|[^,\[\{'"])+""", values)
    return [f"{key}={part.strip()}" for part in parts or [""]]


def never_started(folder: Path, jobs: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for name, words in jobs.items():
        if next(run_folders(folder / name), None) is None:
            yield f"job {name} of {folder.name}: {' '.join(words)}"
