"""A device whose memory is full ends a command with one line that says what takes less."""

from pathlib import Path

import pytest
import torch
from torch import nn

from cnnlit.models.lenet5 import LeNet5
from tests.as_typed import here

DIGITS = ("data=digits", "data.val_split=1373", "recipe.epochs=1", "logger=none")


def full(layer: nn.Module, images: torch.Tensor) -> torch.Tensor:
    if len(images) <= 2:  # as it is tried out before
        return torch.zeros(len(images), 10, requires_grad=True) + 0
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has a total capacity of ...")


def test_in_training_and_in_a_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LeNet5, "forward", full)
    ended = here(tmp_path, "train", *DIGITS, "recipe.batch_size=16", f"hydra.run.dir={tmp_path / 'run'}")
    assert ended.returncode == 1
    lines = [line for line in ended.stderr.splitlines() if line.startswith("cnnlit:")]
    assert lines[0].startswith("cnnlit: the memory of the device is full: 16 images pass through the network at once; ")
    assert "recipe.micro_batch_size=8 makes the same steps" in lines[0]
    assert "data.eval_batch_size=500" in lines[0]
    assert "Traceback" not in ended.stderr


def test_in_an_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    assert here(tmp_path, "train", *DIGITS, f"hydra.run.dir={run}").returncode == 0
    monkeypatch.setattr(LeNet5, "forward", full)
    ended = here(tmp_path, "evaluate", f"run={run}")
    assert ended.returncode == 2
    line = "cnnlit: the memory of the device is full: data.eval_batch_size=500 tests fewer images at once"
    assert ended.stderr.strip().splitlines()[-1].startswith(line)
