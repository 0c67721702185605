"""How a job and a sweep are written as command lines."""

import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig


def job_command(function: Callable[..., Any], composed: "DictConfig") -> list[str]:
    """The start of a job's command line, before its overrides; it finds configuration files where the sweep did.

    Args:
        function: the command.
        composed: the sweep's configuration, with Hydra's own node.
    """
    command = [sys.executable, "-m", f"cnnlit.{function.__name__}"]
    for source in composed.hydra.runtime.config_sources:
        if source.provider == "command-line":
            command += ["--config-dir", source.path]
    return command + [each for each in composed.hydra.overrides.hydra if each.startswith("hydra.searchpath=")]


def sweep_line(words: Sequence[str], folder: Path | None = None, *, command: str = "train") -> str:
    """A sweep as a user types it into a shell.

    Args:
        words: overrides, and options of Hydra.
        folder: the sweep's; None for a new one.
        command: name of the command.
    """
    place = [] if folder is None else [sweep_dir(folder)]
    return shlex.join(["python", "-m", f"cnnlit.{command}", "-m", *words, *place])


def sweep_dir(folder: Path) -> str:
    """The override that says which folder a sweep goes into."""
    return f"hydra.sweep.dir={quoted(folder)}"


def quoted(path: Path) -> str:
    """A path as a value on Hydra's command line, whatever characters it contains."""
    text = str(path)
    return text if re.fullmatch(r"[\w./-]+", text) else '"{}"'.format(text.replace('"', '\\"'))
