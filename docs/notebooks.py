"""Run the notebooks of docs/notebooks, each in an empty folder, and keep what their cells show.

python docs/notebooks.py                 # all
python docs/notebooks.py ablation        # one
"""

import base64
import io
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).with_name("notebooks")
WIDEST, COLOURS = 960, 64
"""Pixels of a picture, and colours, that are kept."""

KEPT = ("kernelspec", "language_info")
"""Metadata of a notebook that are kept; others tell of the machine that ran it."""


def executed(path: Path, folder: Path, timeout: int = 1800) -> nbformat.NotebookNode:
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
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = smaller(output.data["image/png"])
    return notebook


def smaller(picture: str) -> str:
    """A picture in base 64 with no more pixels and colours than a page needs, if that is shorter."""
    with Image.open(io.BytesIO(base64.b64decode(picture))) as opened:
        image = opened.convert("RGB")
    image.thumbnail((WIDEST, 10 * WIDEST))
    content = io.BytesIO()
    image.quantize(COLOURS).save(content, "PNG", optimize=True)
    return min(picture, base64.b64encode(content.getvalue()).decode(), key=len)


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
