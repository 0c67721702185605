"""Lays out a package with a network, data, an experiment and a test, which run as they are."""

import keyword
import sys
from pathlib import Path
from string import Template

from cnnlit.files import write_whole

FILES = {
    "README.md": "readme.md",
    "pyproject.toml": "pyproject.toml",
    "{name}/__init__.py": "package.txt",
    "{name}/networks.py": "networks.txt",
    "{name}/photographs.py": "photographs.txt",
    "conf/model/small.yaml": "model.yaml",
    "conf/data/photographs.yaml": "data.yaml",
    "conf/experiment/activations.yaml": "experiment.yaml",
    "tests/test_project.py": "test.txt",
}
"""Path in the project -> its template."""


def lay_out(name: str, folder: Path) -> list[Path]:
    """Write a new project.

    Args:
        name: of its package.
        folder: to create.

    Returns:
        The files.

    Raises:
        ValueError: for a name that no package can have, or that another one has; and where the folder exists.
    """
    check_name(name)
    if folder.exists():
        raise ValueError(f"{folder}: is there already; name another project, or remove it")
    templates = Path(__file__).with_name("template")
    written = []
    for place, template in FILES.items():
        text = Template((templates / template).read_text(encoding="utf-8")).substitute(name=name)
        path = folder / place.format(name=name)
        write_whole(path, text)
        written.append(path)
    return written


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a new package.

    Raises:
        ValueError: one line that says why.
    """
    if not name.isidentifier() or keyword.iskeyword(name) or not name.isascii() or name != name.lower():
        raise ValueError(f"{name}: a package is named by lower-case letters, digits and _, as in my_project")
    if name in sys.stdlib_module_names or name in ("cnnlit", "torch", "lightning", "hydra", "tests", "conf"):
        raise ValueError(f"{name}: is the name of another package; a project's own hides it")
