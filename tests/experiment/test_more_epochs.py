"""More epochs for a run, and what it may be tracked with; as a user types it."""

import json
from pathlib import Path

import pytest
import torch
from as_typed import cnnlit

from cnnlit.runs.reading import read_metrics

ROOT = Path(__file__).parents[2]
SHORT = ("data.passes_per_epoch=1", "recipe.optimizer.lr=0.002", "data.distortion=none", "data.eval_batch_size=360")


def made(folder, name, *words):
    outcome = cnnlit(folder, "train", *SHORT, *words, f"hydra.run.dir={folder / name}")
    assert outcome.returncode == 0, outcome.stderr
    return folder / name


def weights(run):
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


@pytest.mark.slow
def test_a_finished_run_goes_on_to_the_bits_of_the_longer_one(tmp_path):
    constant = ("recipe/schedule=constant", "logger=none")
    run = made(tmp_path, "run", *constant, "recipe.epochs=1")
    first = json.loads((run / "test.json").read_text())
    outcome = cnnlit(tmp_path, "train", f"resume={run}", "recipe.epochs=2")
    assert outcome.returncode == 0, outcome.stderr
    longer = made(tmp_path, "longer", *constant, "recipe.epochs=2")
    assert all(torch.equal(value, weights(longer)[name]) for name, value in weights(run).items())
    assert (run / "config.yaml").read_text() == (longer / "config.yaml").read_text()
    assert json.loads((run / "test_after_1_epochs.json").read_text()) == first
    assert json.loads((run / "test.json").read_text()) == json.loads((longer / "test.json").read_text())
    assert json.loads((run / "run.json").read_text())["epochs_before"] == [1]
    assert [row["epoch"] for row in read_metrics(run)] == ["0", "1"]
    fewer = cnnlit(tmp_path, "train", f"resume={run}", "recipe.epochs=1")
    assert fewer.returncode == 2
    assert "it can only have more" in fewer.stderr


@pytest.mark.slow
def test_a_schedule_that_looks_ahead_cannot_have_more_epochs_and_lightnings_loggers_track(tmp_path):
    run = made(
        tmp_path, "run", "recipe.epochs=1", "logger=none",
        "+logger.table._target_=lightning.pytorch.loggers.CSVLogger",
        "+logger.board._target_=lightning.pytorch.loggers.TensorBoardLogger", "+logger.board.name=board",
    )  # fmt: skip
    assert "val/error" in (run / "lightning_logs" / "version_0" / "metrics.csv").read_text()
    assert list((run / "board").rglob("events.out.tfevents*"))
    before = (run / "run.json").read_text()
    outcome = cnnlit(tmp_path, "train", f"resume={run}", "recipe.epochs=2")
    assert outcome.returncode == 2
    assert "the schedule would have had other rates in the first 1 epochs" in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    assert (run / "run.json").read_text() == before


@pytest.mark.slow
def test_an_image_that_would_be_alone_is_refused_where_batch_normalisation_is(tmp_path):
    words = (
        "data=synthetic",
        "data.image_size=32",
        "data.drawn_images=43",
        "data.val_split=10",
        "model=resnet18",
        "logger=none",
    )
    outcome = cnnlit(tmp_path, "train", *words, "recipe.batch_size=16", "recipe.epochs=1", "recipe.augmentation=[]")
    assert outcome.returncode == 2
    (line,) = outcome.stderr.splitlines()
    assert line.startswith("cnnlit: recipe.batch_size=16: of the 33 images of an epoch, one passes")
    assert line.endswith("recipe.batch_size=17 leaves none alone")


@pytest.mark.parametrize(
    ("images", "batch", "micro", "replicas", "fewest"),
    [(33, 16, None, 1, 1), (33, 17, None, 1, 16), (32, 16, None, 1, 16), (34, 16, None, 2, 1), (400, 100, 33, 1, 25),
     (12, 16, None, 1, 12), (100, 100, 1, 1, 1)],
)  # fmt: skip
def test_the_fewest_images_that_pass_at_once(images, batch, micro, replicas, fewest):
    from cnnlit.training.recipe import Recipe

    recipe = Recipe(
        batch_size=batch, micro_batch_size=micro, epochs=1, order="fresh",
        loss=torch.nn.CrossEntropyLoss(), optimizer=torch.optim.SGD, schedule=torch.optim.lr_scheduler.LambdaLR,
    )  # fmt: skip
    assert recipe.fewest_images(images, replicas) == fewest
