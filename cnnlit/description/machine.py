"""What a machine is: PyTorch's build, devices, disk, and whether what is installed is what cnnlit needs."""

import platform
import shutil
import warnings
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement

PACKAGE = "cnnlit"


class Installed(NamedTuple):
    """A package that cnnlit needs, or that one of its extras needs and that is there."""

    name: str
    version: str | None
    """None if it is missing."""
    allowed: str
    """The bounds in cnnlit's metadata: `>=2.6,<2.7`."""
    fits: bool


def describe_machine(*, cores: int, folder: Path, login: str) -> dict[str, Any]:
    """What this machine is, in plain containers.

    Args:
        cores: of the CPU that this process may use.
        folder: whose disk is looked at.
        login: what is known of W&B, in words.
    """
    import torch

    with warnings.catch_warnings(record=True) as said:  # such as of a driver that is too old
        warnings.simplefilter("always")
        gpus = [{"name": gpu.name, "memory_bytes": gpu.total_memory} for gpu in _gpus()]
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torch_build": _build(),
        "gpus": gpus,
        "mps": torch.backends.mps.is_available(),
        "cores": cores,
        "folder": str(folder),
        "free_bytes": shutil.disk_usage(folder).free,
        "wandb": login,
        "packages": [each._asdict() for each in installed()],
        "notes": [*([] if gpus else _why_no_gpu()), *(" ".join(str(each.message).split()) for each in said)],
    }


def installed() -> list[Installed]:
    """The packages that cnnlit's metadata names, sorted; empty if cnnlit itself is not installed, only on the path."""
    try:
        requirements = [Requirement(line) for line in metadata.requires(PACKAGE) or []]
        extras = metadata.metadata(PACKAGE).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return []
    found = {}
    for each in requirements:
        needed = _applies(each, [""])
        version = _version(each.name)
        if needed or (version and each.name != PACKAGE and _applies(each, extras)):
            fits = version is not None and each.specifier.contains(version, prereleases=True)
            found[each.name, str(each.specifier)] = Installed(each.name, version, str(each.specifier), fits)
    return sorted(found.values())


def _applies(requirement: Requirement, extras: list[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _gpus() -> Iterator[Any]:
    import torch

    if torch.cuda.is_available():
        yield from map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))


def _build() -> str:
    """What PyTorch was built for: `CUDA 12.8`, `ROCm 6.4`, `CPU`."""
    import torch

    if torch.version.cuda:
        return f"CUDA {torch.version.cuda}"
    return f"ROCm {torch.version.hip}" if torch.version.hip else "CPU"


def _why_no_gpu() -> list[str]:
    """A sentence where PyTorch was built for a GPU and sees none."""
    build = _build()
    return [] if build == "CPU" else [f"PyTorch is built for {build} and sees no GPU: training is on the CPU."]
