"""python -m cnnlit.export as a user types it."""

import json
from pathlib import Path

import pytest
import torch
from as_typed import cnnlit

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("user")
    made = cnnlit(folder, "train", "recipe.epochs=1", "data.passes_per_epoch=1", "logger=none", "hydra.run.dir=a run")
    assert made.returncode == 0, made.stderr
    return folder / "a run"


@pytest.mark.slow
def test_a_run_is_exported_with_its_input_and_its_card(run: Path) -> None:
    outcome = cnnlit(run.parent, "export", "run=a run")
    assert outcome.returncode == 0, outcome.stderr
    folder = run / "exports" / "onnx"
    assert outcome.stdout.split("\n")[:3] == [
        f"a run/exports/onnx/{name}" for name in ("card.md", "input.json", "network.onnx")
    ]
    card = (folder / "card.md").read_text()
    test = json.loads((run / "test.json").read_text())
    assert f"| at the end of training | {100 * test['test/error']:.2f} % | 360 |" in card
    assert "python -m cnnlit.train recipe.epochs=1" in card
    assert "not stated by the run" in card
    again = cnnlit(run.parent, "export", "run=a run")
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr == "cnnlit: to=a run/exports/onnx: is there already; remove it or name another folder\n"


@pytest.mark.slow
def test_an_exported_network_answers_as_predict_does(run: Path, tmp_path: Path) -> None:
    done = cnnlit(run.parent, "export", "run=a run", "format=torch_export", f"to={tmp_path}/out")
    assert done.returncode == 0, done.stderr
    picture = run / "pictures" / "errors.png"
    told = cnnlit(run.parent, "predict", "run=a run", f"images={picture}", "format=json", "to=null", "top=10")
    answers = {each["class"]: each["probability"] for each in json.loads(told.stdout)[0]["answers"]}
    from cnnlit.data.loading.decoding import open_image
    from cnnlit.data.small_images import SmallImages

    pixels = torch.from_numpy(open_image(str(picture)).rgb()).movedim(-1, 0)
    images = SmallImages().as_input([pixels])
    logits = torch.export.load(tmp_path / "out" / "network.pt2").module()(images)
    probabilities = logits.softmax(1)[0].tolist()
    assert answers == pytest.approx({str(digit): value for digit, value in enumerate(probabilities)}, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run=nowhere"], "nowhere"),
        (["model=lenet5"], "to=null: name a folder"),
        (["model=lenet5", "to=x"], "weights"),
        (["run=a run", "format=tflite"], "format=tflite: must be one of onnx, torch_export, safetensors"),
        (["run=a run", "protocol=shifts", "to=x"], "protocol"),
        (["model=lenet5", "model.weights=w.safetensors", "protocol=shifts", "to=x"], "protocol: an exported network"),
        (["run=a run", "model.pooling=max", "to=x"], "leave out model.pooling=max"),
    ],
)
def test_what_cannot_be_exported_is_one_line_and_leaves_nothing(run: Path, words: list[str], says: str) -> None:
    before = sorted(run.parent.rglob("*"))
    outcome = cnnlit(run.parent, "export", *words)
    assert outcome.returncode == 2
    assert len(outcome.stderr.splitlines()) == 1
    assert says in outcome.stderr
    assert sorted(run.parent.rglob("*")) == before


@pytest.mark.slow
def test_weights_alone_are_exported_without_a_run(run: Path, tmp_path: Path) -> None:
    """Their card must not have a recipe that did not train them."""
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    torch.save({key.removeprefix("model."): value for key, value in state.items()}, tmp_path / "w.pt")
    words = [
        "model=lenet5",
        "data=digits",
        f"model.weights={tmp_path}/w.pt",
        "format=safetensors",
        f"to={tmp_path}/out",
    ]
    done = cnnlit(run.parent, "export", *words)
    assert done.returncode == 0, done.stderr
    card = (tmp_path / "out" / "card.md").read_text()
    assert "## Training" not in card
    assert "weights taken from" in card
