"""The command that gives more seeds to a sweep that was run before."""

import os
from pathlib import Path

from cnnlit.runs.records import Runs
from cnnlit.runs.sweep_folder import read_command
from cnnlit.sweeps.command_line import sweep_line


def command_for_more(found: Runs, seeds: int) -> str:
    """The command that gives a sweep more seeds, in its own folder.

    Args:
        found: the runs of the sweep.
        seeds: how many it is to have afterwards, counted from its first.

    Returns:
        The command; empty if the runs are not those of one sweep over seeds.
    """
    known = {record.seed for record in found.records}
    try:
        command = read_command(found.folder)
    except (OSError, ValueError):
        return ""
    together = all(Path(record.place).parent == found.folder for record in found.records)
    # A search would search the seeds, and other launchers know jobs by number alone, which more seeds would shift.
    extensible = command.sweeper == "BasicSweeper" and command.launcher == "ProcessLauncher"
    if not extensible or not together or None in known:
        return ""
    overrides = [*command.overrides, *command.hydra_overrides]
    first = min(seed for seed in known if seed is not None)
    kept = [override for override in overrides if not override.startswith("seed=")]
    return sweep_line([*kept, f"seed=range({first},{first + seeds})"], Path(os.path.relpath(found.folder)))
