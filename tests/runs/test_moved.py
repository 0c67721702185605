"""What 0.1.0 left lives on: its runs resume to the same bits, are evaluated, predict and are reported."""

import csv
import hashlib
import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import hydra
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from cnnlit.config import check, conf_dir
from cnnlit.config.hydra_internals import DEFAULTS
from cnnlit.runs.moved import MODULES, SOURCES, update_checkpoint, update_config
from cnnlit.runs.reading import read, read_config
from cnnlit.train import train

ROOT = Path(__file__).parents[2]
KEPT = Path(__file__).parent / "kept_by_0_1_0"
RESUMED: dict[str, dict[str, Any]] = json.loads((KEPT / "resumed.json").read_text())
"""What each run came to when 0.1.0 resumed it itself."""

FIRST_RESUMED = 1
"""The epoch in which both were interrupted."""


def cnnlit(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command, *others = words
    line = [sys.executable, "-m", f"cnnlit.{command}", *others]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, env=None)


@pytest.fixture(scope="module", params=RESUMED)
def resumed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a run that 0.1.0 was interrupted in, resumed."""
    folder = tmp_path_factory.mktemp("kept") / request.param
    shutil.copytree(KEPT / request.param, folder)
    outcome = cnnlit(folder.parent, "train", f"resume={folder.name}")
    assert outcome.returncode == 0, outcome.stderr
    return folder


def test_a_run_of_0_1_0_resumes_to_the_same_bits(resumed: Path) -> None:
    expected = RESUMED[resumed.name]
    assert read(resumed)["state"] == "finished"
    with (resumed / "metrics.csv").open(newline="") as file:
        rows = [
            {key: float(value) for key, value in row.items() if key != "seconds" and value}
            for row in csv.DictReader(file)
        ]
    assert [row["epoch"] for row in rows] == [row["epoch"] for row in expected["metrics"]]
    state = torch.load(resumed / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    digest = hashlib.sha256()
    for _, value in sorted(state.items()):
        digest.update(value.contiguous().numpy().tobytes())
    if rows == expected["metrics"]:
        assert digest.hexdigest() == expected["state_dict_sha256"]
        return
    # CPUs of one name round differently, in the last bits of the first epoch and more later. What a resume had lost or
    # shown in another order would be seen in the first epoch's loss at once.
    for row, before in zip(rows, expected["metrics"], strict=True):
        close = 1e-5 if row["epoch"] <= FIRST_RESUMED else 0.02
        assert row["train/loss"] == pytest.approx(before["train/loss"], rel=close), platform.processor()


@pytest.mark.slow
def test_a_run_of_0_1_0_is_evaluated(resumed: Path) -> None:
    outcome = cnnlit(resumed.parent, "evaluate", f"run={resumed.name}")
    assert outcome.returncode == 0, outcome.stderr
    (result,) = (resumed / "evaluations").glob("*[!s].json")
    test = json.loads((resumed / "test.json").read_text())
    assert json.loads(result.read_text())["test/num_errors"] == test["test/num_errors"]


@pytest.mark.slow
def test_a_run_of_0_1_0_predicts(resumed: Path, tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), (200, 30, 30)).save(tmp_path / "red.png")
    words = (f"run={resumed}", "images=red.png", "format=json", "to=null", "top=2")
    outcome = cnnlit(tmp_path, "predict", *words)
    assert outcome.returncode == 0, outcome.stderr
    (answer,) = json.loads(outcome.stdout)
    assert len(answer["answers"]) == 2


def test_a_sweep_of_0_1_0_is_reported() -> None:
    outcome = cnnlit(ROOT, "report", f"runs={KEPT / 'sweep'}", "format=json")
    assert outcome.returncode == 0, outcome.stderr
    report = json.loads(outcome.stdout)
    assert {arm["arm"] for arm in report["arms"]} == {"max", "average"}


@pytest.mark.slow
def test_a_sweep_of_0_1_0_is_given_more_seeds(tmp_path: Path) -> None:
    shutil.copytree(KEPT / "sweep", tmp_path / "sweep")
    told = json.loads((KEPT / "sweep" / "jobs.json").read_text())["jobs"][0]["overrides"]
    shared = [word for word in told if not word.startswith(("model.pooling=", "seed="))]
    outcome = cnnlit(
        tmp_path, "train", "-m", *shared, "model.pooling=max,average", "seed=0,1,2", "hydra.sweep.dir=sweep"
    )
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stderr.count("was finished before") == 4, outcome.stderr
    jobs = json.loads((tmp_path / "sweep" / "jobs.json").read_text())["jobs"]
    assert [job["state"] for job in jobs] == ["finished"] * 6


@pytest.mark.parametrize("run", [*RESUMED, *(f"sweep/{job}" for job in range(4))])
def test_a_configuration_of_0_1_0_passes_todays_schema(run: str) -> None:
    check({**read_config(KEPT / run), "resume": run}, train)


def test_every_module_that_moved_is_where_the_table_says() -> None:
    for module in MODULES.values():
        __import__(module)
    assert update_config({"a": [{"_target_": "cnnlit.data.views.Grid", "count": 5}]}) == {
        "a": [{"_target_": "cnnlit.data.transforms.evaluation_crops.Grid", "count": 5}]
    }


IMAGES_OF_0_1_0 = {
    "_target_": "cnnlit.data.images.Images", "source": "synthetic", "root": "data", "imagenette_size": "320px",
    "batch_size": 128, "eval_batch_size": 250, "image_size": 224, "num_classes": 10, "in_channels": 3,
    "val_split": 100, "test_split": 0.1, "split_seed": 0, "drawn_images": 1000, "order": "fresh", "block_images": 1,
    "seed": 0, "augmentation": [], "views": None, "normalization": "mean_std", "num_workers": None,
    "on_unreadable": "stop",
}  # fmt: skip
"""The node of data=synthetic as 0.1.0 composed it."""

CHOICES = {
    "synthetic": {},
    "folder": {"val_split": 0.1},
    "imagenet": {"num_classes": 1000, "val_split": 0.02},
    "imagenette": {"val_split": 0.1},
    "tiny_imagenet": {"image_size": 64, "num_classes": 200, "val_split": 0.1},
}
"""What the other choices of 0.1.0 changed in it."""


@pytest.mark.parametrize("source", SOURCES)
def test_images_of_0_1_0_become_todays_configuration_of_their_source(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CNNLIT_DATA", raising=False)
    before = {**IMAGES_OF_0_1_0, "source": source, **CHOICES[source]}
    with hydra.initialize_config_dir(str(conf_dir()), **DEFAULTS):
        words = [f"data={source}", "recipe.batch_size=128", "recipe.order=fresh", "recipe.normalization=mean_std"]
        composed = hydra.compose("train", overrides=[*words, "recipe.augmentation=[]"])
    today = OmegaConf.to_container(composed.data, resolve=True)
    assert isinstance(today, dict)
    assert update_config(before) == today | ({"block_images": 1} if "block_images" in today else {})  # null by now


@pytest.mark.parametrize("source", SOURCES)
def test_the_state_of_images_is_found_under_their_class(source: str) -> None:
    node = {**IMAGES_OF_0_1_0, "source": source, **CHOICES[source]}
    options = {key: value for key, value in node.items() if key not in ("_target_", "augmentation", "views")}
    state = {"batches_done": 3}
    before = {"Images": state, "datamodule_hyper_parameters": options, "config": {"data": node}}
    updated = update_checkpoint(before)
    target = updated["config"]["data"]["_target_"]
    assert hydra.utils.get_class(target).__qualname__ in updated
    assert updated[target.rpartition(".")[2]] == state
    assert "Images" not in updated
    kept = updated["config"]["data"].keys() - {"_target_", "augmentation", "views"}
    assert updated["datamodule_hyper_parameters"].keys() == kept
    assert before["Images"] == state


def test_what_0_1_0_ignored_of_the_trainer_does_not_keep_its_runs_from_going_on() -> None:
    trainer = {"_target_": "lightning.pytorch.Trainer", "devices": 1, "max_epochs": 3, "gradient_clip_val": 1.0}
    assert update_config({"trainer": trainer})["trainer"] == {"_target_": "lightning.pytorch.Trainer", "devices": 1}
