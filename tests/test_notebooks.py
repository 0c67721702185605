"""The notebooks of docs/notebooks run from their first cell to their last in a kernel, as their readers run them."""

import base64
import importlib.util
import io
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location("docs_notebooks", ROOT / "docs" / "notebooks.py")
notebooks = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(notebooks)
NAMES = sorted(path.stem for path in notebooks.FOLDER.glob("*.ipynb"))
MOST_BYTES = 300_000


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A notebook with what its cells show; each runs once, in a folder of its own."""
    known = {}

    def executed(name):
        if name not in known:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("PYTHONPATH", str(ROOT))
                known[name] = notebooks.executed(notebooks.FOLDER / f"{name}.ipynb", tmp_path_factory.mktemp(name))
        return known[name]

    return executed


def cell_of(notebook, beginning):
    (found,) = (cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.startswith(beginning))
    return found


def shown(cell):
    """The text that a cell shows."""
    return "".join(output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in cell.outputs)


def test_there_are_those_that_the_guides_name():
    assert NAMES == ["ablation", "fine_tuning", "first_steps", "lenet5_by_hand"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_cell_runs_and_warns_of_nothing(run, name):
    cells = [cell for cell in run(name).cells if cell.cell_type == "code"]
    assert len(cells) >= 4
    for cell in cells:
        texts = [output.get("text", "") for output in cell.outputs if output.output_type == "stream"]
        told = [text for text in texts if re.search(r"arning|Error|^cnnlit: (?!test error)", text, re.MULTILINE)]
        assert not told


@pytest.mark.slow
def test_progress_is_one_output_that_ends_with_a_line_for_each_epoch(run):
    cell = cell_of(run("first_steps"), "result = cnnlit.fit")
    texts = [output["data"]["text/plain"] for output in cell.outputs if output.output_type == "display_data"]
    (lines,) = (text.splitlines() for text in texts if "epoch 1/3" in text)
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]
    assert all("val error" in line for line in lines)


@pytest.mark.slow
def test_a_result_shows_its_test(run):
    for beginning in ("result = cnnlit.fit", "from torch import nn"):
        outputs = cell_of(run("first_steps"), beginning).outputs
        (result,) = (output for output in outputs if output.output_type == "execute_result")
        assert result["data"]["text/plain"].startswith("test error ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        ("first_steps", "import matplotlib"),
        ("lenet5_by_hand", "import matplotlib"),
        ("fine_tuning", "import matplotlib"),
        ("fine_tuning", "from IPython"),
    ],
)
def test_what_is_to_be_seen_is_drawn(run, name, beginning):
    kinds = {kind for output in cell_of(run(name), beginning).outputs for kind in output.get("data", {})}
    assert "image/png" in kinds


@pytest.mark.slow
def test_lenet5_by_hand_has_the_numbers_of_cnnlit(run):
    notebook = run("lenet5_by_hand")
    differences = re.findall(r"\d\.\de[+-]\d\d", shown(cell_of(notebook, "from cnnlit.models.lenet5 import LeNet5")))
    assert len(differences) == 2
    assert all(float(each) < 1e-3 for each in differences)
    assert shown(cell_of(notebook, "from cnnlit.models.lenet5 import digit_codes")).strip() == "60000"
    errors = re.findall(r"test error (\S+)%", shown(cell_of(notebook, "import cnnlit")))
    assert len(errors) == 2
    assert abs(float(errors[0]) - float(errors[1])) < 3  # of rounding, which training enlarges


@pytest.mark.slow
def test_the_ablation_ends_with_a_verdict(run):
    notebook = run("ablation")
    printed = shown(cell_of(notebook, "!python -m cnnlit.report"))
    assert re.search(r"max.*average", printed)
    assert "95 % interval" in printed
    assert "'max', 3, " in shown(cell_of(notebook, "import json"))
    assert " taken for " in shown(cell_of(notebook, "for arm in report"))


@pytest.mark.slow
def test_fine_tuning_tests_both_networks_on_the_photographs(run):
    printed = shown(cell_of(run("fine_tuning"), "own = "))
    assert re.findall(r"(fine-tuned|from nothing): test error [\d.]+% of 12 photographs$", printed, re.MULTILINE) == [
        "fine-tuned",
        "from nothing",
    ]


def test_pictures_are_kept_with_fewer_pixels_and_colours_unless_that_makes_them_larger():
    noise = np.random.default_rng(0).integers(0, 256, (300, 1200, 3), dtype=np.uint8)
    large, small = (encoded(image) for image in (Image.fromarray(noise), Image.new("L", (5, 5))))
    kept = Image.open(io.BytesIO(base64.b64decode(notebooks.smaller(large))))
    assert kept.size == (960, 240)
    assert len(kept.convert("RGB").getcolors(10**6)) <= notebooks.COLOURS
    assert notebooks.smaller(small) == small


def encoded(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_kept_small_with_what_it_shows_and_without_who_ran_it(name):
    path = notebooks.FOLDER / f"{name}.ipynb"
    assert path.stat().st_size < MOST_BYTES
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert set(notebook.metadata) <= set(notebooks.KEPT)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert "/root" not in path.read_text()
    assert "/home" not in path.read_text()
    assert not [output for cell in code for output in cell.outputs if output.output_type == "error"]
