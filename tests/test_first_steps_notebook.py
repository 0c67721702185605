"""docs/first_steps.ipynb runs from its first cell to its last in a kernel, as its reader runs it."""

from pathlib import Path

import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "first_steps.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(NOTEBOOK.parents[1]))
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def cell_of(notebook, beginning):
    (found,) = (cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.startswith(beginning))
    return found


def test_every_cell_runs_and_warns_of_nothing(executed):
    cells = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert len(cells) >= 6
    for cell in cells:
        texts = [output.get("text", "") for output in cell.outputs if output.output_type == "stream"]
        assert not any("arning" in text or "Error" in text for text in texts), texts


def test_progress_is_one_output_that_ends_with_a_line_for_each_epoch(executed):
    shown = [
        output["data"]["text/plain"]
        for output in cell_of(executed, "result = cnnlit.fit").outputs
        if output.output_type == "display_data" and "epoch 1/3" in output["data"]["text/plain"]
    ]
    (lines,) = (text.splitlines() for text in shown)
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]
    assert all("val error" in line for line in lines)


def test_a_result_shows_its_test(executed):
    for beginning in ("result = cnnlit.fit", "from torch import nn"):
        outputs = cell_of(executed, beginning).outputs
        (result,) = (output for output in outputs if output.output_type == "execute_result")
        assert result["data"]["text/plain"].startswith("test error ")


def test_the_answers_are_drawn(executed):
    kinds = {kind for output in cell_of(executed, "import matplotlib").outputs for kind in output.get("data", {})}
    assert "image/png" in kinds


def test_the_notebook_is_kept_without_outputs():
    assert all(not cell.get("outputs") for cell in nbformat.read(NOTEBOOK, as_version=4).cells)
