"""What a machine is, as a table and sentences for people."""

from typing import Any

from cnnlit.files import in_bytes
from cnnlit.reports.tables import Page, Table


def machine_page(machine: dict[str, Any]) -> Page:
    """The page of a machine.

    Args:
        machine: plain containers, as `doctor format=json` prints them without data.
    """
    gpus = [f"{gpu['name']}, {in_bytes(gpu['memory_bytes'])}" for gpu in machine["gpus"]]
    rows = [
        ("system", machine["system"]),
        ("Python", machine["python"]),
        ("PyTorch", f"{machine['torch']}, built for {machine['torch_build']}"),
        *([("GPU", each) for each in gpus] or [("GPU", "Apple's, as mps" if machine["mps"] else "none")]),
        ("cores", f"{machine['cores']} for this process"),
        ("free disk", f"{in_bytes(machine['free_bytes'])} in {machine['folder']}"),
        ("W&B", machine["wandb"]),
    ]
    return [Table.of("This machine", ("what", "found"), rows), *_packages(machine["packages"]), *machine["notes"]]


def _packages(packages: list[dict[str, Any]]) -> Page:
    """Those that do not fit; one sentence if all do."""
    if not packages:
        return ["cnnlit is not installed, only found on the path: which versions it needs is not known."]
    wrong = [each for each in packages if not each["fits"]]
    if not wrong:
        return [f"Packages: all {len(packages)} that cnnlit and its extras name are of versions that fit."]
    rows = [(each["name"], each["version"] or "missing", each["allowed"]) for each in wrong]
    names = " ".join(f'"{each["name"]}{each["allowed"]}"' for each in wrong)
    return [Table.of("Packages that do not fit", ("package", "installed", "needed"), rows), f"pip install {names}"]
