"""A learning-rate range test finds rates at which a network learns, and ends before the loss has gone to waste."""

import csv
import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from torch import nn
from torch.optim import SGD

from cnnlit.callbacks.rate_range import RateRangeTest, Tried
from cnnlit.data.small_images import SmallImages
from cnnlit.training.module import ImageClassification
from cnnlit.training.recipe import Recipe
from cnnlit.training.schedules import RateRange

pytestmark = pytest.mark.filterwarnings("ignore")


def range_of(folder: Path, epochs: int) -> tuple[RateRangeTest, Trainer]:
    data = SmallImages(val_split=180, batch_size=20)
    data.setup()
    network = nn.Sequential(nn.Flatten(), nn.Linear(1024, 10))
    recipe = Recipe(
        batch_size=20, epochs=epochs, order="fresh", loss=nn.CrossEntropyLoss(), optimizer=partial(SGD, lr=0.1),
        schedule=partial(RateRange, lowest=1e-5, highest=1000.0),
    )  # fmt: skip
    test = RateRangeTest()
    loop = Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, enable_checkpointing=False, enable_model_summary=False,
        callbacks=[test], enable_progress_bar=False, num_sanity_val_steps=0, use_distributed_sampler=False,
        default_root_dir=folder,
    )  # fmt: skip
    loop.fit(ImageClassification(network, recipe=recipe, num_classes=10, seed=0), datamodule=data)
    return test, loop


def test_it_ends_when_the_loss_has_exploded_and_leaves_a_table_and_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test, loop = range_of(tmp_path, epochs=2)
    assert loop.global_step == len(test.tried) < 2 * 63
    assert test.tried[0].rate == pytest.approx(1e-5)
    steps = [after.rate / before.rate for before, after in zip(test.tried, test.tried[1:], strict=False)]
    assert max(steps) == pytest.approx(min(steps), rel=1e-3)
    fastest = test.fastest()
    assert fastest is not None
    assert f"recipe.optimizer.lr={fastest:.2g}" in capsys.readouterr().err
    with (tmp_path / "learning_rates.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["rate"]) for row in rows] == [each.rate for each in test.tried]
    assert (tmp_path / "pictures" / "learning_rates.png").read_bytes().startswith(b"\x89PNG")


def test_a_network_learns_at_the_rate_that_was_found(tmp_path: Path) -> None:
    test, _ = range_of(tmp_path, epochs=2)
    rate = test.fastest()
    assert rate is not None
    data = SmallImages(val_split=180)
    data.setup()
    dataset: Any = data.train_dataloader().dataset
    images, labels = dataset[0, torch.arange(500)]
    torch.manual_seed(0)
    losses = {}
    for lr in (rate, rate / 1000):
        network = nn.Sequential(nn.Flatten(), nn.Linear(1024, 10))
        optimizer = SGD(network.parameters(), lr=lr)
        for _ in range(50):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(images), labels)
            loss.backward()
            optimizer.step()
        losses[lr] = loss.item()
    assert losses[rate] < 0.7 * losses[rate / 1000]


def test_the_fastest_fall_is_found_where_it_is() -> None:
    test = RateRangeTest()
    rates = [10 ** (-6 + step / 20) for step in range(120)]
    test.tried = [Tried(rate, 0.0, -math.tanh(math.log10(rate) + 3)) for rate in rates]
    assert test.fastest() == pytest.approx(1e-3, rel=0.2)
    test.tried = [Tried(rate, 0.0, rate) for rate in rates]
    assert test.fastest() is None


def test_rates_in_the_wrong_order_are_refused() -> None:
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    with pytest.raises(ValueError, match=r"schedule.highest=0.1 must be above schedule.lowest=1.0"):
        RateRange(optimizer, 10, 1, lowest=1.0, highest=0.1)
