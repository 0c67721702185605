"""Run the notebooks of docs/notebooks, each in an empty folder, and keep what their cells show.

python docs/notebooks.py                 # all
python docs/notebooks.py ablation        # one
"""

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).with_name("notebooks")
KEPT = ("kernelspec", "language_info")
"""Metadata of a notebook that are kept; others tell of the machine that ran it."""


def executed(path: Path, folder: Path, timeout: int = 900) -> nbformat.NotebookNode:
    """A notebook with what its cells show when they are run one after the other.

    Args:
        path: of the notebook.
        folder: in which they run.
        timeout: seconds for a cell.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=timeout, resources={"metadata": {"path": str(folder)}}).execute()
    notebook.metadata = {key: value for key, value in notebook.metadata.items() if key in KEPT}
    for cell in notebook.cells:
        cell.metadata = {}
    return notebook


def main() -> None:
    """Run those that are named, or all, and write them where they were."""
    names = sys.argv[1:] or sorted(path.stem for path in FOLDER.glob("*.ipynb"))
    for name in names:
        path = FOLDER / f"{name}.ipynb"
        with tempfile.TemporaryDirectory(prefix="notebook-") as folder:
            nbformat.write(executed(path, Path(folder)), path)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")  # noqa: T201


if __name__ == "__main__":
    main()
