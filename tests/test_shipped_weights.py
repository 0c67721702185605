"""The weights that come with cnnlit, asked as a user asks them, without data and without training."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from as_typed import ROOT, cnnlit, environment
from PIL import Image
from sklearn.datasets import load_digits

from cnnlit.experiment.initial_weights import SHIPPED, read
from cnnlit.experiment.trained_network import load

FILES = sorted(SHIPPED.glob("*.safetensors"))
ASKED = ("model=lenet5", "model.weights=MNIST", "to=null")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Handwritten digits of another set, drawn as MNIST's are: white on black, 20 pixels high in 28."""
    folder = tmp_path_factory.mktemp("digits")
    for number, (image, label) in enumerate(zip(*load_digits(return_X_y=True), strict=True)):
        if number % 30 == 0:
            small = Image.fromarray((image.reshape(8, 8) * 255 / 16).astype("uint8"))
            frame = Image.new("L", (28, 28))
            frame.paste(small.resize((20, 20), Image.Resampling.BICUBIC), (4, 4))
            frame.save(folder / f"{number}_{label}.png")
    return folder


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_file_knows_what_it_is_of_and_reads_other_peoples_digits(path: Path, digits: Path) -> None:
    network = load(path.stem)
    files = sorted(digits.iterdir())
    right = [answer.name == file.stem[-1] for answer, file in zip(network.predict(files), files, strict=True)]
    assert sum(right) >= 0.9 * len(right)  # it has never seen this set, whose digits were 8 pixels high
    assert path.stat().st_size < 300_000
    assert "/" not in json.dumps(network.config["data"].get("root"))


@pytest.mark.slow
def test_predict_answers_without_data_and_without_training(digits: Path, tmp_path: Path) -> None:
    outcome = cnnlit(tmp_path, "predict", *ASKED, f"images={digits}", "format=json")
    assert outcome.returncode == 0, outcome.stderr
    answers = json.loads(outcome.stdout)
    right = [each["answers"][0]["class"] == Path(each["image"]).stem[-1] for each in answers]
    assert sum(right) >= 0.9 * len(right)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["model=lenet5", "model.weights=MNST"], "model.weights=MNST: no such file or folder, and cnnlit has MNIST"),
        (["model=lenet5", "model.weights=MNIST", "model.pooling=max"], "leave out model.pooling=max"),
        (["model=alexnet", "model.weights=w.safetensors"], "w.safetensors: there is no w.safetensors"),
        ([], "model=lenet5 model.weights=MNIST"),
    ],
)
def test_what_cannot_be_asked_is_one_line(digits: Path, tmp_path: Path, words: list[str], says: str) -> None:
    outcome = cnnlit(tmp_path, "predict", f"images={digits}", *words)
    assert (outcome.returncode, len(outcome.stderr.splitlines())) == (2, 1)
    assert says in outcome.stderr


@pytest.mark.slow
def test_a_network_never_answers_from_a_head_that_begins_anew(digits: Path, tmp_path: Path) -> None:
    state = read(SHIPPED / "LeNet5.MNIST_MODERN.safetensors", "").state
    of_seven = {key: value[:7] if key.startswith("output.") else value for key, value in state.items()}
    torch.save(of_seven, tmp_path / "w.pt")
    words = ["model=lenet5", "model.head=linear", "model.activation=relu", "model.pooling=max", "data=digits"]
    words += ["model.weights=w.pt"]
    for command, more in (("predict", [f"images={digits}", "to=null"]), ("evaluate", [])):
        outcome = cnnlit(tmp_path, command, *words, *more)
        assert outcome.returncode == 2, command
        assert "w.pt has 7 classes, the model 10, so output would answer at random" in outcome.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["w.pt"]


@pytest.mark.slow
def test_a_training_goes_on_from_them(tmp_path: Path) -> None:
    words = ["model=lenet5", "model.weights=MNIST", "recipe.epochs=1", "data.passes_per_epoch=1", "logger=none"]
    outcome = cnnlit(tmp_path, "train", *words, "hydra.run.dir=run")
    assert outcome.returncode == 0, outcome.stderr
    assert json.loads((tmp_path / "run" / "test.json").read_text())["test/error"] < 0.1  # from random weights: 0.2


@pytest.mark.slow
def test_what_is_exported_from_them_can_be_asked_and_tells_of_its_training(digits: Path, tmp_path: Path) -> None:
    outcome = cnnlit(tmp_path, "export", *ASKED[:2], "format=safetensors", "to=out")
    assert outcome.returncode == 0, outcome.stderr
    card = (tmp_path / "out" / "card.md").read_text()
    assert "experiment=lenet5_distorted" in card
    assert "| at the end of training | 0." in card
    words = ["model.weights=out/network.safetensors", f"images={digits}", "format=json", "to=null"]
    again = cnnlit(tmp_path, "predict", *words)
    assert again.stdout == cnnlit(tmp_path, "predict", *ASKED, f"images={digits}", "format=json").stdout != ""


def test_the_page_is_what_the_files_say() -> None:
    before = (ROOT / "docs" / "weights.md").read_text()
    subprocess.run([sys.executable, "docs/weights.py"], cwd=ROOT, env=environment(), check=True, timeout=240)
    assert (ROOT / "docs" / "weights.md").read_text() == before
