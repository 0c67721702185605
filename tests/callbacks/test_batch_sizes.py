"""Batch sizes are measured before training, which they do not touch."""

import csv
from functools import partial
from pathlib import Path

import pytest
import torch
from lightning import Callback, Trainer, seed_everything
from torch import Tensor
from torch.optim import SGD

from cnnlit.callbacks.batch_sizes import BatchSizes, StepSpeed
from cnnlit.data.small_images import SmallImages
from cnnlit.models.lenet5 import LeNet5
from cnnlit.training.losses import MaximumAPosteriori
from cnnlit.training.module import ImageClassification
from cnnlit.training.recipe import Recipe
from cnnlit.training.schedules import Constant

pytestmark = pytest.mark.filterwarnings("ignore")


def trained(folder: Path, *callbacks: Callback) -> Tensor:
    seed_everything(3, workers=True, verbose=False)
    data = SmallImages(val_split=180, batch_size=200)
    data.setup()
    recipe = Recipe(
        batch_size=200, epochs=1, order="fresh", loss=MaximumAPosteriori(10.0), optimizer=partial(SGD, lr=0.01),
        schedule=Constant,
    )  # fmt: skip
    task = ImageClassification(LeNet5(dropout=0.3), recipe=recipe, num_classes=10, seed=3)
    loop = Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_model_summary=False,
        callbacks=[*callbacks], enable_progress_bar=False, num_sanity_val_steps=0, use_distributed_sampler=False,
        default_root_dir=folder,
    )  # fmt: skip
    loop.fit(task, datamodule=data)
    return torch.cat([parameter.detach().flatten() for parameter in task.parameters()])


def test_sizes_are_measured_once_and_training_is_the_same_to_the_bit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = BatchSizes(largest=64)
    assert torch.equal(trained(tmp_path, sizes), trained(tmp_path))
    assert [each.batch_size for each in sizes.speeds] == [1, 2, 4, 8, 16, 32, 64]
    with (tmp_path / "batch_sizes.csv").open() as file:
        assert [int(row["batch_size"]) for row in csv.DictReader(file)] == [1, 2, 4, 8, 16, 32, 64]
    assert (tmp_path / "pictures" / "batch_sizes.png").read_bytes().startswith(b"\x89PNG")
    assert f"{sizes.enough().batch_size} images at once are nearly as fast" in capsys.readouterr().err


def test_the_smallest_size_that_is_nearly_as_fast_is_enough() -> None:
    sizes = BatchSizes()
    sizes.speeds = [
        StepSpeed(1, 10, 0),
        StepSpeed(2, 60, 0),
        StepSpeed(4, 91, 0),
        StepSpeed(8, 100, 0),
        StepSpeed(16, 95, 0),
    ]
    assert sizes.enough().batch_size == 4


def test_the_first_size_that_does_not_fit_is_the_last_that_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = LeNet5.forward

    def small_memory(self: LeNet5, images: Tensor) -> Tensor:
        if len(images) == 16:
            raise torch.OutOfMemoryError
        return forward(self, images)

    monkeypatch.setattr(LeNet5, "forward", small_memory)
    sizes = BatchSizes()
    trained(tmp_path, sizes)
    assert [each.batch_size for each in sizes.speeds] == [1, 2, 4, 8]
