"""A run goes on with other devices, loggers and intervals than it began with, and its folder says with which."""

import json

import pytest
import torch
import yaml
from as_typed import here

SHORT = (
    "data.passes_per_epoch=1", "data.distortion=none", "recipe.optimizer.lr=0.002", "recipe/schedule=constant",
    "recipe.epochs=1", "num_threads=1",
)  # fmt: skip
AGAIN = (
    "resume=run", "recipe.epochs=2", "num_threads=2", "checkpoint_minutes=5", "timeout_seconds=60", "requeue=true",
    "logger=tensorboard",
)  # fmt: skip
ROUNDING = "to the same numbers up to rounding, not to the same bits"


@pytest.fixture(autouse=True)
def threads_as_before(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield
    torch.set_num_threads(1)


def record_of(folder):
    return json.loads((folder / "run.json").read_text())


def test_what_changes_no_number_may_change_and_is_recorded(tmp_path):
    assert here(tmp_path, "train", *SHORT, "logger=none", "hydra.run.dir=run").returncode == 0
    refused = here(tmp_path, "train", *AGAIN, "recipe.optimizer.lr=0.1")
    assert refused.returncode == 2
    assert refused.stderr.endswith("leave out recipe.optimizer.lr=0.1\n")
    of_another = here(tmp_path, "train", "resume=run", "logger.project=mine")
    assert "logger.project: the logger of this run is none" in of_another.stderr
    assert "resumed" not in record_of(tmp_path / "run")

    outcome = here(tmp_path, "train", *AGAIN)
    assert outcome.returncode == 0, outcome.stderr
    assert ROUNDING in outcome.stderr, "two threads add up in another order"
    assert (tmp_path / "run" / "tensorboard").is_dir()
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert (config["num_threads"], config["checkpoint_minutes"], config["timeout_seconds"]) == (2, 5, 60)
    (part,) = record_of(tmp_path / "run")["resumed"]
    assert part["device"].endswith("2 threads")
    changed = part["changed"]
    assert changed["num_threads"] == [1, 2]
    assert changed["checkpoint_minutes"] == [30, 5]
    assert changed.keys() == {
        *("checkpoint_minutes", "logger", "num_threads", "recipe.epochs", "requeue", "timeout_seconds")
    }


@pytest.mark.slow
def test_nothing_is_said_of_rounding_where_nothing_has_changed(tmp_path):
    assert here(tmp_path, "train", *SHORT, "logger=none", "hydra.run.dir=run").returncode == 0
    outcome = here(tmp_path, "train", "resume=run", "recipe.epochs=2", "checkpoint_minutes=null")
    assert outcome.returncode == 0, outcome.stderr
    assert "rounding" not in outcome.stderr
    assert record_of(tmp_path / "run")["resumed"][0]["changed"].keys() == {"checkpoint_minutes", "recipe.epochs"}
