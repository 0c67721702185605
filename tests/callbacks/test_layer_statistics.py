"""What is logged about each layer is its gradient and the saturation of its activation."""

import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cnnlit.callbacks.layer_statistics import LayerStatistics
from cnnlit.drawings.layer_profiles import draw_layers, measured_layers
from cnnlit.models.lenet5 import LeNet5
from cnnlit.runs.metrics_file import MetricsFile

IMAGES = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))


class Network(nn.Module):
    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 2)
        self.activation = activation

    def forward(self, images: Tensor) -> Tensor:
        return self.second(self.activation(self.norm(self.first(images))))


class Task(LightningModule):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss = self.model(batch).square().sum()
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def logged(model: nn.Module, folder: Path, data: Tensor = IMAGES, epochs: int = 1) -> dict[str, float]:
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=[LayerStatistics()],
        logger=MetricsFile(folder),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Task(model), DataLoader(data, batch_size=4))
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def test_the_gradient_is_that_of_the_first_batch(tmp_path: Path) -> None:
    model = Network(nn.ReLU(inplace=True))
    values = logged(model, tmp_path)
    model.zero_grad()
    model.train()(IMAGES[:4]).square().sum().backward()
    assert values["gradient_norm/first"] == pytest.approx(math.sqrt(float(model.first.weight.grad.square().sum())))
    assert values["gradient_norm/second"] == pytest.approx(math.sqrt(float(model.second.weight.grad.square().sum())))
    assert not [name for name in values if "norm/norm" in name]


@pytest.mark.parametrize(
    ("activation", "flat"),
    [
        (nn.ReLU(inplace=True), lambda at: at <= 0),
        (nn.Tanh(), lambda at: 1 - at.tanh().square() < 0.05),
        (nn.Sigmoid(), lambda at: at.sigmoid() * (1 - at.sigmoid()) < 0.05 / 4),
    ],
)
def test_saturated_is_where_the_slope_is_a_twentieth_of_the_steepest(
    activation: nn.Module, flat: Any, tmp_path: Path
) -> None:
    model = Network(activation)
    nn.init.constant_(model.norm.weight, 3)
    values = logged(model, tmp_path)
    at = model.train().norm(model.first(IMAGES[:4]))
    expected = float(flat(at).float().mean())
    assert 0 < expected < 1
    assert values["saturation/first"] == pytest.approx(expected)
    assert "saturation/second" not in values


def test_layer_statistics_do_not_change_training() -> None:
    model = Network(nn.ReLU(inplace=True))
    callback, task = LayerStatistics(), Task(model)
    expected = model(IMAGES)
    callback.on_train_batch_start(None, task, None, 0)  # type: ignore[arg-type]
    assert torch.equal(model(IMAGES), expected)
    model(IMAGES).sum().backward()
    callback.on_before_optimizer_step(None, task, None)  # type: ignore[arg-type]
    assert not model.first._forward_pre_hooks
    assert not model.activation._forward_pre_hooks


def test_values_measured_before_a_resume_are_kept() -> None:
    callback, again = LayerStatistics(), LayerStatistics()
    callback._values = {"saturation/first": torch.tensor(0.5)}
    again.load_state_dict(callback.state_dict())
    again.on_train_batch_start(None, Task(Network(nn.Tanh())), None, 3)  # type: ignore[arg-type]
    assert not again._hooks  # the epoch has its values


def test_lenet5s_layers_come_in_their_order_and_are_drawn(tmp_path: Path) -> None:
    logged(LeNet5(), tmp_path, torch.randn(8, 1, 32, 32), epochs=3)
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    layers = ["c1", "c3", "c5", "f6"]
    assert measured_layers(rows) == {"gradient_norm": layers, "saturation": layers}
    left, right, *_ = draw_layers(rows).axes
    assert len(left.lines) == 3
    assert left.lines[0].get_ydata()[2] == float(rows[0]["gradient_norm/c5"])
    assert right.lines[2].get_ydata()[0] == float(rows[2]["saturation/c1"])
    assert [label.get_text() for label in right.get_xticklabels()] == layers
