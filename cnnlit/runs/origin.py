"""How a run was made: its command, commit, package versions and device."""

import functools
import platform
import re
import secrets
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cnnlit

if TYPE_CHECKING:  # runs are read back without torch
    import torch


PACKAGES = ("torch", "torchvision", "lightning", "torchmetrics", "hydra-core", "wandb", "numpy")


def origin(command: str | None = None) -> dict[str, Any]:
    """How a new run is made, for run.json.

    Args:
        command: that makes it; None for the command line of this process.
    """
    return {
        "id": secrets.token_hex(4),
        "command": command or command_line(sys.argv[1:]),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "versions": dict(_versions()),
    }


def resumption(before: dict[str, Any], now: dict[str, Any], device: "torch.device") -> dict[str, Any]:
    """How a run goes on, for run.json: when, with which versions, on what, and what has changed in its configuration.

    Args:
        before: its configuration so far.
        now: the one that it goes on with.
        device: the one that this process trains on.
    """
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": dict(_versions()),
        "device": describe_device(device),
        "changed": changes(before, {key: now[key] for key in before.keys() & now.keys()}),
    }


def changes(before: dict[str, Any], now: dict[str, Any], above: str = "") -> dict[str, list[Any]]:
    """The keys of a configuration that have other values now: `{"trainer.devices": [1, 2]}`."""
    found: dict[str, list[Any]] = {}
    for key in sorted(before.keys() | now.keys()):
        one, other = before.get(key), now.get(key)
        if isinstance(one, dict) and isinstance(other, dict) and one and other:
            found |= changes(one, other, f"{above}{key}.")
        elif one != other:
            found[f"{above}{key}"] = [one, other]
    return found


def command_line(words: Sequence[str]) -> str:
    """The command that trains with these words, for a shell."""
    return shlex.join(["python", "-m", "cnnlit.train", *words])


def describe_device(device: "torch.device") -> str:
    """The device's name, for a person to read."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file() and (model := re.search(r"model name\s*: (.*)", cpuinfo.read_text())):
        name = model[1]
    threads = torch.get_num_threads()
    return f"{device.type}: {name}, {threads} thread{'s' if threads > 1 else ''}"


@functools.cache  # a process may make many runs
def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "cnnlit": cnnlit.__version__}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


@functools.cache
def _commit() -> str | None:
    """The commit of this code, with `-dirty` if files have changed since; None outside a repository."""
    source = Path(__file__).parent
    git = ["git", "-C", str(source), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    tracked = ["git", "-C", str(source), "ls-files", "--error-unmatch", "origin.py"]
    try:
        subprocess.run(tracked, check=True, capture_output=True, timeout=10)
        return subprocess.run(git, check=True, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
