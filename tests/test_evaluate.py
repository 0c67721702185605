"""python -m cnnlit.evaluate as a user types it: every picture once, whatever the batch size and the devices."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cnnlit.data.images_in_memory import SyntheticImages
from cnnlit.data.transforms.colours import Normalize
from cnnlit.evaluate import main
from cnnlit.models.resnet import CifarResNet
from cnnlit.train import main as train

ROOT = Path(__file__).parents[1]
TRAINING = (
    "model=resnet_cifar", "model.depth=8", "data=synthetic", "data.num_classes=3", "data.image_size=24",
    "data.drawn_images=102", "data.val_split=15", "recipe=modern_images", "recipe/schedule=warmup_cosine",
    "recipe.batch_size=16", "recipe.epochs=1", "logger=none", "trainer=cpu",
)  # fmt: skip


def command(name, folder, *arguments):
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("WANDB", "CNNLIT", "HYDRA"))}
    return subprocess.run(
        [sys.executable, "-m", f"cnnlit.{name}", *arguments],
        cwd=folder, env={**clean, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=400,
    )  # fmt: skip


def evaluated(trained, *arguments):
    outcome = command("evaluate", trained.parent, f"run={trained}", "trainer=cpu", *arguments)
    assert outcome.returncode == 0, outcome.stderr
    return outcome


def answers(path):
    with path.open() as file:
        return [(int(row["index"]), int(row["label"]), int(row["predicted"])) for row in csv.DictReader(file)]


def loss_row(printed):
    """What the table of an evaluation says of the loss, now and at the end of training."""
    (row,) = (line.split()[1:] for line in printed.splitlines() if line.startswith("test/loss"))
    return row


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on 21 pictures of the test, a number that two devices cannot share evenly."""
    folder = tmp_path_factory.mktemp("user") / "run"
    outcome = command("train", folder.parent, *TRAINING, f"hydra.run.dir={folder}")
    assert outcome.returncode == 0, outcome.stderr
    return folder


@pytest.fixture(scope="module")
def expected(trained):
    """Labels, and the average of the softmax over ten crops that are cut here, of 27 pixels to which 24 are resized."""
    data = SyntheticImages(num_classes=3, image_size=24, drawn_images=102, batch_size=1)
    data.setup()
    state = torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    model = CifarResNet(depth=8, num_classes=3, image_size=24).eval()
    model.load_state_dict({name.removeprefix("model."): value for name, value in state.items()})
    tested = data._splits["test"]
    larger = torch.nn.functional.interpolate(tested.pixels.float(), 27, mode="bilinear")
    crops = [larger[:, :, y : y + 24, x : x + 24] for y, x in ((0, 0), (0, 3), (3, 0), (3, 3), (2, 2))]
    with torch.no_grad():
        each = [model(Normalize("mean_std")(view)).softmax(dim=1) for crop in crops for view in (crop, crop.flip(3))]
    return tested.labels, torch.stack(each).mean(dim=0)


def assert_ten_crops(trained, expected):
    labels, probabilities = expected
    predicted = probabilities.argmax(dim=1)
    folder = trained / "evaluations"
    assert answers(folder / "ten_crop_predictions.csv") == [
        (index, *pair) for index, pair in enumerate(zip(labels.tolist(), predicted.tolist(), strict=True))
    ]
    record = json.loads((folder / "ten_crop.json").read_text())
    assert record["test/num_images"] == 21
    assert record["test/num_views"] == 10
    assert record["test/num_errors"] == int((predicted != labels).sum())
    assert record["test/error"] == record["test/num_errors"] / 21
    loss = -probabilities.gather(1, labels[:, None]).log()
    smoothed = 0.9 * loss.mean() - 0.1 * probabilities.log().mean()  # recipe.loss
    assert record["test/loss"] == pytest.approx(smoothed.item(), rel=1e-4)
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.slow
def test_ten_crops_of_a_run_are_exact(trained, expected):
    outcome = evaluated(trained, "protocol=ten_crop")
    assert_ten_crops(trained, expected)
    assert len(loss_row(outcome.stdout)) == 2, "cross-entropy is one scale for one view and for ten"
    assert "test/num_errors" in outcome.stdout
    assert "end of training" in outcome.stdout
    assert "evaluations/ten_crop.json" in outcome.stdout
    assert "Warning" not in outcome.stderr
    assert "Be aware" not in outcome.stderr


@pytest.mark.parametrize(
    "views_per_step", [10, pytest.param(70, marks=pytest.mark.slow), pytest.param(2500, marks=pytest.mark.slow)]
)
def test_two_processes_count_each_picture_once(trained, expected, views_per_step):
    # One picture a step leaves nothing to the second process; seven, and all 21, cannot be shared evenly.
    evaluated(trained, "protocol=ten_crop", "trainer.devices=2", f"data.eval_batch_size={views_per_step}")
    assert_ten_crops(trained, expected)


def test_one_view_is_the_test_at_the_end_of_training_again(trained):
    evaluated(trained, "data.eval_batch_size=4")
    before = json.loads((trained / "test.json").read_text())
    record = json.loads((trained / "evaluations" / "single_crop.json").read_text())
    for key in ("test/error", "test/num_errors", "test/num_images", "test/num_views"):
        assert record[key] == before[key]
    assert record["test/loss"] == pytest.approx(before["test/loss"], rel=1e-5)
    both = [trained / "evaluations" / "single_crop_predictions.csv", trained / "test_predictions.csv"]
    assert answers(both[0]) == answers(both[1])
    again, at_the_end = ([float(row["confidence"]) for row in csv.DictReader(path.open())] for path in both)
    assert again == pytest.approx(at_the_end, abs=1.5e-6)  # one in the last digit: other batches round otherwise


@pytest.mark.slow
def test_a_key_of_the_runs_own_kind_of_data_can_be_changed(trained, tmp_path):
    evaluated(trained, "data=synthetic", "data.drawn_images=40", "data.val_split=0", f"output={tmp_path}")
    record = json.loads((tmp_path / "synthetic_single_crop.json").read_text())
    assert record["test/num_images"] == 8


@pytest.mark.slow
def test_the_validation_images_are_tested_too(trained):
    evaluated(trained, "split=val", "protocol=multi_scale")
    record = json.loads((trained / "evaluations" / "multi_scale_val.json").read_text())
    assert record["val/num_images"] == 15
    assert record["val/num_views"] == 6


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], ["run=null", "model.weights=IMAGENET1K_V1"]),
        (["run=nowhere"], ["nowhere holds no run"]),
        (["run={run}", "model.width=2.0"], ["it is tested as it was trained; leave out model.width=2.0"]),
        (["run={run}", "protocol=ten_crops"], ["protocol=ten_crops: no such choice; did you mean ten_crop?"]),
        (["run={run}", "data=imagenet"], ["it is tested as it was trained; leave out data=imagenet"]),
        (["run={run}", "split=train"], ["split=train: must be one of test, val"]),
        (["run={run}", "data.root=nowhere"], ["data.root", "no such option"]),
        (
            ["model=alexnet", "model.variant=torchvision", "model.weights=IMAGENET1K_V1", "data=synthetic"],
            ["data.normalization=mean_image", "recipe=modern_images"],
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_tested_is_one_line(monkeypatch, capfd, tmp_path, trained, arguments, says):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *(argument.format(run=trained) for argument in arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    captured = capfd.readouterr()
    assert stop.value.code == 2
    assert captured.err.startswith("cnnlit: ")
    assert captured.err.count("\n") == 1
    for words in says:
        assert words in captured.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("protocol", "says"),
    [("ten_crop", "digits have no crops to be tested by; use protocol=single_crop or shifts"), ("dense", "shifts")],
)
def test_digits_are_not_cropped(monkeypatch, capfd, tmp_path, protocol, says):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", f"protocol={protocol}", "logger=none"])
    with pytest.raises(SystemExit) as stop:
        train()
    assert stop.value.code == 2
    assert says in capfd.readouterr().err


@pytest.mark.slow
def test_digits_are_tested_by_shifts_and_again_without(tmp_path):
    words = ("protocol=shifts", "recipe.epochs=2", "data.passes_per_epoch=1", f"hydra.run.dir={tmp_path}/run")
    outcome = command("train", tmp_path, *words, "logger=none")
    assert outcome.returncode == 0, outcome.stderr
    test = json.loads((tmp_path / "run" / "test.json").read_text())
    assert (test["test/num_views"], test["test/num_images"]) == (9, 360)
    now, before = loss_row(evaluated(tmp_path / "run", "protocol=shifts").stdout)
    assert now == before, "as many views"
    printed = evaluated(tmp_path / "run").stdout
    assert len(loss_row(printed)) == 1, "LeNet-5's loss is of distances, of which averaged views have none"
    assert "The loss at the end of training is not shown" in printed
    single = json.loads((tmp_path / "run" / "evaluations" / "single_crop.json").read_text())
    assert single["test/num_views"] == 1
    assert single["test/loss"] != test["test/loss"]


@pytest.mark.slow
def test_a_training_ends_with_the_test_of_its_protocol(tmp_path):
    outcome = command("train", tmp_path, *TRAINING, "protocol=ten_crop", f"hydra.run.dir={tmp_path}/run")
    assert outcome.returncode == 0, outcome.stderr
    before = json.loads((tmp_path / "run" / "test.json").read_text())
    assert before["test/num_views"] == 10
    evaluated(tmp_path / "run", "protocol=ten_crop")
    record = json.loads((tmp_path / "run" / "evaluations" / "ten_crop.json").read_text())
    assert record["test/loss"] == pytest.approx(before["test/loss"], rel=1e-6)
