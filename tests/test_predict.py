"""python -m cnnlit.predict as a user types it: a picture file gets the answer that the run's test gave it."""

import csv
import json
import sys

import pytest
from PIL import Image
from test_evaluate import TRAINING, command

from cnnlit.data.images_in_memory import SyntheticImages
from cnnlit.data.small_images import SmallImages
from cnnlit.predict import main


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A run of drawn pictures, and those of its test as files in the folders of their classes."""
    folder = tmp_path_factory.mktemp("pictures")
    outcome = command("train", folder, *TRAINING, f"hydra.run.dir={folder / 'run'}")
    assert outcome.returncode == 0, outcome.stderr
    data = SyntheticImages(num_classes=3, image_size=24, drawn_images=102, batch_size=1)
    data.setup()
    labels = data._splits["test"].labels.tolist()
    for number, (picture, label) in enumerate(zip(data.test_images, labels, strict=True)):
        path = folder / "given" / data.class_names[label] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.movedim(0, -1).numpy()).save(path)
    return folder, data.class_names


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    outcome = command("train", folder, "recipe.epochs=1", "logger=none", "trainer=cpu", f"hydra.run.dir={folder}/run")
    assert outcome.returncode == 0, outcome.stderr
    data = SmallImages()
    data.setup()
    (folder / "given").mkdir()
    for number, digit in enumerate(data.test_images[:40]):
        Image.fromarray((255 - digit if number % 2 else digit).numpy()).save(folder / "given" / f"{number:02}.png")
    return folder, list(data.class_names)


@pytest.fixture
def predicted(monkeypatch, capfd, tmp_path):
    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["predict.py", *arguments])
        try:
            code = main() or 0
        except SystemExit as stop:
            code = stop.code
        return (code, *capfd.readouterr())

    return run


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pictures", "digits"])
def test_a_picture_of_the_test_gets_the_answer_of_the_test(request, predicted, kind):
    folder, names = request.getfixturevalue(kind)
    code, out, _ = predicted(f"run={folder}/run", f"images={folder}/given", "format=json", "to=null")
    assert code == 0
    with (folder / "run" / "test_predictions.csv").open() as file:
        tested = list(csv.DictReader(file))
    answers = json.loads(out)
    assert len(answers) >= 21
    for given in answers:
        row = tested[int(given["image"][-6:-4])]
        best = given["answers"][0]
        assert best["class"] == names[int(row["predicted"])]
        assert best["probability"] == pytest.approx(float(row["confidence"]), abs=2e-6)
        if kind == "pictures":
            assert given["label"] == names[int(row["label"])]
        else:
            assert ("remark" in given) == (int(given["image"][-6:-4]) % 2 == 1)


def test_what_cannot_be_read_is_named_and_the_others_answered(pictures, predicted, tmp_path):
    folder, _ = pictures
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    one = next((folder / "given").rglob("00.png"))
    code, out, err = predicted(f"run={folder}/run", f"images={broken},{one}", "protocol=ten_crop", "top=2")
    assert code == 1
    assert err == f"cnnlit: {broken} cannot be read as an image: in no format that PIL knows\n"
    assert "00.png" in out
    assert out.endswith("predictions.png\n")
    assert Image.open(tmp_path / "predictions.png").width > 200


@pytest.mark.parametrize("inside", ["maps", "saliency", "occlusion", "deconvnet"])
def test_looking_inside_is_drawn_beside_the_answers(pictures, predicted, tmp_path, inside):
    folder, _ = pictures
    one = next((folder / "given").rglob("00.png"))
    code, _, err = predicted(f"run={folder}/run", f"images={one}", f"inside={inside}", "to=out/a.png")
    assert (code, err) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", f"a_{inside}.png"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run={run}"], "images=null: name a file or a folder"),
        (["run={run}", "images=nowhere"], "images=nowhere: there is no such file or folder"),
        (["run=nowhere", "images={one}"], "nowhere holds no run"),
        (["images={one}"], "run=null"),
        (["run={run}", "images={one}", "model.width=2.0"], "leave out model.width=2.0"),
        (["run={run}", "images={one}", "inside=deconvnet", "layer=conv99"], "conv99: no convolution of this model"),
        (
            ["run={run}", "images={one}", "inside=maps", "layer=conv99"],
            "layer=conv99: no layer of this network; there is ",
        ),
        (["run={run}", "images={one}", "inside=saliency", "layer=conv1"], "only with inside=maps or inside=deconvnet"),
        (["run={run}", "images={one}", "inside=saliency", "protocol=ten_crop"], "use protocol=single_crop"),
        (["run={run}", "images={one}", "inside=occlusion", "square=99"], "does not fit into an image of 24x24"),
        (["run={run}", "images={one}", "inside=occlusion", "protocol=ten_crop"], "use protocol=single_crop"),
        (["run={run}", "images={one}", "to=a.gif3"], "to=a.gif3"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_asked_is_one_line(pictures, predicted, tmp_path, arguments, says):
    folder, _ = pictures
    one = next((folder / "given").rglob("00.png"))
    code, out, err = predicted(*(argument.format(run=folder / "run", one=one) for argument in arguments))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert says in err
    assert not list(tmp_path.iterdir())
