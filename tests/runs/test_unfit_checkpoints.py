"""Checkpoints of other versions, that lack what is asked of them now: refused in one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import as_typed
import pytest
import torch

SHORT = ("recipe.epochs=1", "data.passes_per_epoch=1", "logger=csv")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    outcome = as_typed.here(folder, "train", *SHORT, "+trainer.limit_train_batches=2", f"hydra.run.dir={folder}/run")
    assert outcome.returncode == 0, outcome.stderr
    return folder / "run"


@pytest.fixture
def spoilt(trained: Path, tmp_path: Path) -> Callable[[Callable[[dict[str, Any]], Any]], Path]:
    """The run, interrupted, its checkpoint changed."""

    def spoil(change: Callable[[dict[str, Any]], Any]) -> Path:
        folder = Path(shutil.copytree(trained, tmp_path / "run"))
        record = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps(record | {"state": "interrupted"}))
        for name in ("last.ckpt", "previous.ckpt"):
            if (path := folder / "checkpoints" / name).is_file():
                checkpoint = torch.load(path, weights_only=True)
                checkpoint["cnnlit_version"] = "0.0.7"
                change(checkpoint)
                torch.save(checkpoint, path)
        return folder

    return spoil


def rename(checkpoint: dict[str, Any]) -> None:
    state = checkpoint["state_dict"]
    state["model.conv1.weight"] = state.pop("model.c1.weight")


def ask(folder: Path, command: str) -> as_typed.Typed:
    words = {
        "train": [f"resume={folder}", f"hydra.run.dir={folder}"],
        "evaluate": [f"run={folder}"],
        "predict": [f"run={folder}", f"images={folder}/pictures"],
    }[command]
    return as_typed.here(folder.parent, command, *words)


def line_of(outcome: as_typed.Typed) -> str:
    """The one line that a command ends with."""
    assert outcome.returncode in (1, 2), outcome
    assert "Traceback" not in outcome.stderr
    (line,) = [line for line in outcome.stderr.splitlines() if line.startswith("cnnlit: ")]
    return line


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "evaluate", "predict"])
def test_a_weight_by_another_name(command: str, spoilt: Any) -> None:
    line = line_of(ask(spoilt(rename), command))
    assert "written by cnnlit 0.0.7" in line
    assert "lacks the weights c1.weight and has weights that the model does not have: conv1.weight" in line
    assert "pip install cnnlit==0.0.7 reads it" in line


@pytest.mark.parametrize("key", ["optimizer_states", "loops", "running"])
def test_a_training_that_cannot_go_on(key: str, spoilt: Any) -> None:
    folder = spoilt(lambda checkpoint: checkpoint.pop(key))
    line = line_of(ask(folder, "train"))
    assert f"written by cnnlit 0.0.7, lacks {key}" in line
    assert "trains on from its weights" in line


def test_its_weights_are_trained_on_as_the_line_says(spoilt: Any, tmp_path: Path) -> None:
    folder = spoilt(lambda checkpoint: checkpoint.pop("loops"))
    words = [*SHORT, "+trainer.limit_train_batches=1", f"model.weights={folder}/checkpoints/last.ckpt"]
    outcome = as_typed.here(tmp_path, "train", *words, f"hydra.run.dir={tmp_path}/new")
    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_no_weights_at_all(command: str, spoilt: Any) -> None:
    assert "lacks state_dict" in line_of(ask(spoilt(lambda checkpoint: checkpoint.pop("state_dict")), command))


@pytest.mark.parametrize(("command", "key"), [("train", "batches_done"), ("evaluate", "batches_done")])
def test_an_inner_key(command: str, key: str, spoilt: Any) -> None:
    folder = spoilt(lambda checkpoint: checkpoint["SmallImages"].pop(key))
    assert f"lacks {key}" in line_of(ask(folder, command))


def test_a_checkpoint_that_does_not_say_its_version_has_that_of_its_run(spoilt: Any) -> None:
    folder = spoilt(lambda checkpoint: [checkpoint.pop(key) for key in ("cnnlit_version", "loops")])
    record = json.loads((folder / "run.json").read_text())
    record["versions"]["cnnlit"] = "0.0.6"
    (folder / "run.json").write_text(json.dumps(record))
    assert "written by cnnlit 0.0.6, lacks loops" in line_of(ask(folder, "train"))


def test_initial_weights_by_another_name(spoilt: Any, tmp_path: Path) -> None:
    folder = spoilt(rename)
    words = [*SHORT, f"model.weights={folder}", f"hydra.run.dir={tmp_path}/new"]
    line = line_of(as_typed.here(tmp_path, "train", *words))
    assert "(written by cnnlit 0.0.7) does not fit: it has no c1.weight; the model has no conv1.weight" in line
