"""A recipe does what its paper does beside the steps: exemptions from decay, limits, averages, auxiliary losses."""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from lightning import Trainer
from torch import Tensor, nn
from torch.optim import SGD
from torch.utils.data import DataLoader, TensorDataset

from cnnlit.training.module import ImageClassification
from cnnlit.training.optimizers import StochasticDiagonalLM, limit_filters, parameter_groups
from cnnlit.training.recipe import Recipe
from cnnlit.training.schedules import Constant, Plateau

pytestmark = pytest.mark.filterwarnings("ignore")


def small_network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))


@pytest.mark.parametrize(
    ("exempt", "without_decay"),
    [
        ([], []),
        (["biases"], ["0.bias", "4.bias"]),
        (["normalization"], ["1.weight", "1.bias"]),
        (["biases", "normalization"], ["0.bias", "1.weight", "1.bias", "4.bias"]),
    ],
)
def test_weight_decay_leaves_the_exempt_alone_and_shrinks_all_others(exempt: Any, without_decay: list[str]) -> None:
    network = small_network()
    for parameter in network.parameters():
        nn.init.ones_(parameter)
    optimizer = SGD(parameter_groups(network, exempt), lr=0.5, weight_decay=0.1)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    same = [name for name, parameter in network.named_parameters() if bool((parameter == 1).all())]
    assert same == without_decay


def recipe_with(optimizer: Any) -> Recipe:
    return Recipe(batch_size=2, epochs=1, order="fresh", loss=nn.CrossEntropyLoss(), optimizer=optimizer,
                  schedule=Constant)  # fmt: skip


def test_one_kernel_updates_all_parameters_where_the_optimizer_has_one_and_nothing_says_how() -> None:
    network = small_network()
    for optimizer, fused in (
        (partial(SGD, lr=0.1), True),
        (partial(torch.optim.AdamW, lr=0.1), True),
        (partial(SGD, lr=0.1, foreach=True), None),
        (partial(SGD, lr=0.1, fused=False), False),
        (partial(torch.optim.RMSprop, lr=0.1), None),
        (StochasticDiagonalLM, None),
    ):
        made = recipe_with(optimizer).optimizer_for(network, fused=True)
        assert made.defaults.get("fused") is fused
        assert recipe_with(optimizer).optimizer_for(network).defaults.get("fused") in (None, False)


def test_one_kernel_makes_the_same_step() -> None:
    stepped = []
    for fused in (False, True):
        torch.manual_seed(0)
        network = small_network()
        optimizer = recipe_with(partial(torch.optim.AdamW, lr=0.1)).optimizer_for(network, fused=fused)
        network(torch.rand(2, 1, 4, 4)).square().sum().backward()
        optimizer.step()
        stepped.append(network.state_dict())
    for name, values in stepped[0].items():
        torch.testing.assert_close(stepped[1][name], values)


def test_no_filter_keeps_a_root_mean_square_above_the_limit() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, 5)
    scales = torch.tensor([0.01, 0.1, 0.5, 3.0])
    before = torch.randn(4, 3, 5, 5)
    before *= scales[:, None, None, None] / before.square().mean((1, 2, 3), keepdim=True).sqrt()
    layer.weight.data = before.clone()
    limit_filters(layer, 0.1)
    rms = layer.weight.square().mean(dim=(1, 2, 3)).sqrt()
    torch.testing.assert_close(rms, scales.clamp(max=0.1))
    torch.testing.assert_close(layer.weight[0], before[0])
    torch.testing.assert_close(layer.weight[3] * 30, before[3])


class Outputs(NamedTuple):
    logits: Tensor
    auxiliary: Tensor


class TwoHeads(nn.Module):
    """The first head sees the images, the auxiliary one is a constant that is learned."""

    auxiliary_weight = 0.3

    def __init__(self) -> None:
        super().__init__()
        self.main = nn.Linear(4, 3)
        self.constant = nn.Parameter(torch.zeros(3))

    def forward(self, images: Tensor) -> Any:
        logits = self.main(images.flatten(1))
        return Outputs(logits, self.constant.expand(len(images), 3)) if self.training else logits


def fit(folder: Path, network: nn.Module, *, loader: Any, val: Any = None, epochs: int = 1, **recipe: Any) -> Trainer:
    options: dict[str, Any] = {"optimizer": lambda groups: SGD(groups, lr=0.1), "schedule": Constant} | recipe
    made = Recipe(batch_size=4, epochs=epochs, order="fresh", loss=nn.CrossEntropyLoss(), **options)
    task = ImageClassification(network, recipe=made, num_classes=3, seed=0)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        limit_val_batches=1.0 if val else 0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
    )
    trainer.fit(task, loader, val)
    return trainer


def test_an_auxiliary_head_adds_its_weighted_loss(tmp_path: Path) -> None:
    images, labels = torch.randn(4, 1, 2, 2), torch.tensor([0, 1, 2, 2])
    network = TwoHeads()
    reference = TwoHeads()
    reference.load_state_dict(network.state_dict())
    fit(tmp_path, network, loader=DataLoader(TensorDataset(images, labels), batch_size=4))
    logits, auxiliary = reference(images)
    loss = nn.functional.cross_entropy(logits, labels) + 0.3 * nn.functional.cross_entropy(auxiliary, labels)
    loss.backward()
    for trained, before in zip(network.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(trained, before - 0.1 * before.grad)


def test_filters_are_limited_after_each_step(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 2), nn.Flatten(), nn.Linear(4, 3))
    loader = DataLoader(TensorDataset(torch.randn(4, 1, 2, 2), torch.tensor([0, 1, 2, 2])), batch_size=4)
    fit(tmp_path, network, loader=loader, max_filter_rms=0.05)
    assert network[0].weight.square().mean(dim=(1, 2, 3)).sqrt().max().item() <= 0.05 * (1 + 1e-5)


@pytest.mark.parametrize("validated", [True, False])
def test_a_plateau_of_the_error_lowers_the_rate(tmp_path: Path, validated: bool) -> None:
    class Frozen(nn.Module):  # whose error cannot improve
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(1))

        def forward(self, images: Tensor) -> Tensor:
            return self.unused * 0 + images.new_tensor([1.0, 0.0, 0.0]).expand(len(images), 3)

    loader = DataLoader(TensorDataset(torch.randn(4, 1, 2, 2), torch.tensor([0, 1, 2, 2])), batch_size=4)

    def schedule(optimizer: Any, **options: Any) -> Plateau:
        return Plateau(optimizer, patience=1, times=2, **options)

    val = loader if validated else None
    trainer = fit(tmp_path, Frozen(), loader=loader, val=val, epochs=8, schedule=schedule)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.001)
