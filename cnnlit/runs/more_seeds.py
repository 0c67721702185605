"""More seeds for a sweep that is there."""

import os
import shlex
from pathlib import Path

from cnnlit.runs.reading import quoted, read_jobs
from cnnlit.runs.records import Runs
from cnnlit.runs.sweep_folder import read_grid

OWN_WORDS = ("hydra.mode=", "hydra.sweep.dir=")
"""What Hydra notes of a sweep's command line that another one says in its own way."""


def command_for_more(found: Runs, seeds: int) -> str:
    """The command that gives a sweep more seeds, in its folder.

    Args:
        found: the runs.
        seeds: that it shall have then, from its first on.

    Returns:
        The command; empty where the runs are not one sweep over seeds.
    """
    known = {record.seed for record in found.records}
    note = read_grid(found.folder)
    alone = all(Path(record.place).parent == found.folder for record in found.records)
    # Without jobs.json it is of another launcher, which would not know its jobs again.
    if not note or not alone or None in known or not read_jobs(found.folder):
        return ""
    told = [*note["overrides"]["task"], *note["overrides"].get("hydra", [])]
    words = [word for word in told if not word.startswith(("seed=", *OWN_WORDS))]
    first = min(seed for seed in known if seed is not None)
    place = quoted(Path(os.path.relpath(found.folder)))
    more = [f"seed=range({first},{first + seeds})", f"hydra.sweep.dir={place}"]
    return shlex.join(["python", "-m", "cnnlit.train", "-m", *words, *more])
