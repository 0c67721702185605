"""Frozen layers keep every bit of their state, and layers learn at the rates that are theirs."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from torch import Tensor, nn
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import OneCycleLR

from cnnlit.callbacks.averaging import PolyakAveraging
from cnnlit.data.small_images import SmallImages
from cnnlit.models.compact import CompactNet
from cnnlit.training.module import ImageClassification
from cnnlit.training.optimizers import nominal_rate, parameter_groups, scale_rates
from cnnlit.training.recipe import Recipe
from cnnlit.training.schedules import Constant, Passes, WarmupCosine

pytestmark = pytest.mark.filterwarnings("ignore")


def recipe_of(**options: Any) -> Recipe:
    chosen: Any = {"optimizer": partial(AdamW, lr=0.01, weight_decay=0.1), "schedule": Constant}
    return Recipe(batch_size=200, epochs=2, order="fresh", loss=nn.CrossEntropyLoss(), **(chosen | options))


class Small(nn.Module):
    """Two blocks with normalisation, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.block1 = nn.Sequential(nn.Conv2d(1, 4, 5, stride=3), nn.BatchNorm2d(4), nn.ReLU())
        self.block2 = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU())
        self.head = nn.Linear(6, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.block2(self.block1(images)).mean((2, 3)))
        return logits


def trained(folder: Path, recipe: Recipe, *callbacks: Any) -> tuple[dict[str, Tensor], nn.Module, ImageClassification]:
    """The state before training, the network after it, and the task."""
    torch.manual_seed(0)
    network = Small()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    task = ImageClassification(network, recipe=recipe, num_classes=10, seed=0)
    data = SmallImages(val_split=100, batch_size=recipe.batch_size, image_size=28)
    off = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary", "use_distributed_sampler")
    quiet: Any = dict.fromkeys(off, False)
    loop = Trainer(accelerator="cpu", max_epochs=2, default_root_dir=folder, callbacks=list(callbacks), **quiet)
    loop.fit(task, datamodule=data)
    return before, network, task


def test_frozen_layers_keep_weights_and_statistics_and_the_others_learn(tmp_path: Path) -> None:
    before, network, task = trained(tmp_path, recipe_of(freeze=["block1"]))
    after = network.state_dict()
    same = {name for name, value in after.items() if torch.equal(value, before[name])}
    assert same == {name for name in after if name.startswith("block1.")}
    assert sum(len(group["params"]) for group in task.optimizers().param_groups) == 6  # type: ignore[union-attr]
    assert len(task.optimizers().state) == 6, "no momentum of what is frozen"  # type: ignore[union-attr]


def test_without_freezing_every_part_learns(tmp_path: Path) -> None:
    before, network, _ = trained(tmp_path, recipe_of())
    assert not [name for name, value in network.state_dict().items() if torch.equal(value, before[name])]


def test_a_part_of_a_layer_can_be_frozen_and_averaged(tmp_path: Path) -> None:
    before, network, _ = trained(tmp_path, recipe_of(freeze=["block1.0", "block2.1"]), PolyakAveraging(0.9))
    same = {name for name, value in network.state_dict().items() if torch.equal(value, before[name])}
    frozen = {name for name in before if name.startswith(("block1.0.", "block2.1."))}
    assert same == frozen, "its own normalisation, which is another layer, goes on learning"


def test_a_limit_on_filters_leaves_frozen_ones_alone(tmp_path: Path) -> None:
    before, network, _ = trained(tmp_path, recipe_of(freeze=["block1"], max_filter_rms=0.001))
    assert torch.equal(network.state_dict()["block1.0.weight"], before["block1.0.weight"])
    assert network.block2[0].weight.square().mean((1, 2, 3)).sqrt().max() < 0.0011  # type: ignore[index, union-attr, operator]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"freeze": ["blok1"]}, "recipe.freeze: Small has no layer blok1; did you mean block1?"),
        ({"freeze": ["zzz"]}, "there is block1, block2, head"),
        ({"freeze": ["block1", "block2", "head"]}, "leaves nothing to train"),
        ({"layer_rates": {"heads": 2.0}}, "recipe.layer_rates: Small has no layer heads; did you mean head?"),
        ({"layer_rates": {"block1": 0.1}, "freeze": ["block1"]}, "block1 has nothing that learns"),
        (
            {"layer_rates": {"head": 2.0}, "schedule": lambda o, steps_per_epoch, epochs: OneCycleLR(o, 0.1, 10)},
            "recipe.layer_rates: OneCycleLR sets one rate for all parameters",
        ),
        (
            {"bias_rate": 2.0, "schedule": lambda o, steps_per_epoch, epochs: OneCycleLR(o, 0.1, 10)},
            "recipe.bias_rate: OneCycleLR sets one rate for all parameters",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_frozen_or_slowed_is_refused(options: Any, says: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refusal:
        recipe_of(**options).try_on(Small())
    assert says in str(refusal.value)


def test_the_innermost_factor_multiplies_the_rate_of_a_layer() -> None:
    network = Small()
    groups = parameter_groups(network, ["normalization"], {"block1": 0.1, "block1.1": 0.5, "head": 3.0})
    optimizer = SGD(groups, lr=0.2, weight_decay=0.01)
    scale_rates(optimizer)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    found = {
        names[id(parameter)]: (round(group["lr"], 9), group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert found == {
        "block1.0.weight": (0.02, 0.01), "block1.0.bias": (0.02, 0.01), "block1.1.weight": (0.1, 0.0),
        "block1.1.bias": (0.1, 0.0), "block2.0.weight": (0.2, 0.01), "block2.0.bias": (0.2, 0.01),
        "block2.1.weight": (0.2, 0.0), "block2.1.bias": (0.2, 0.0), "head.weight": (0.6, 0.01),
        "head.bias": (0.6, 0.01),
    }  # fmt: skip
    assert nominal_rate(optimizer) == 0.2


def test_biases_of_layers_and_not_of_normalisations_have_a_rate_of_their_own() -> None:
    network = Small()
    optimizer = recipe_of(bias_rate=2.0, layer_rates={"head": 3.0}, decay_exempt=["biases"]).optimizer_for(network)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    base = nominal_rate(optimizer)
    found = {
        names[id(parameter)]: (round(group["lr"] / base, 9), group["weight_decay"] == 0)
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert found == {
        "block1.0.weight": (1, False), "block1.0.bias": (2, True), "block1.1.weight": (1, False),
        "block1.1.bias": (1, False), "block2.0.weight": (1, False), "block2.0.bias": (2, True),
        "block2.1.weight": (1, False), "block2.1.bias": (1, False), "head.weight": (3, False), "head.bias": (6, True),
    }  # fmt: skip


@pytest.mark.parametrize(
    "schedule",
    [Constant, partial(WarmupCosine, warmup_epochs=1.0), partial(Passes, rates=[0.5, 0.1], passes=[1, 1])],
)
def test_schedules_keep_the_factors(schedule: Any) -> None:
    recipe = recipe_of(schedule=schedule, layer_rates={"block1": 0.1, "block2": 0.1, "head": 4.0})
    recipe.try_on(Small())
    optimizer = recipe.optimizer_for(Small())
    stepped = schedule(optimizer, steps_per_epoch=5, epochs=2)
    for _ in range(8):
        slow, fast = (group["lr"] for group in optimizer.param_groups)
        assert fast == pytest.approx(40 * slow)
        assert nominal_rate(optimizer) == pytest.approx(fast / 4)
        optimizer.step()
        stepped.step()


def test_a_slower_layer_moves_by_its_factor(tmp_path: Path) -> None:
    def moved(rates: Any) -> tuple[float, float]:
        torch.manual_seed(0)
        network = Small()
        before = [network.block1[0].weight.clone(), network.head.weight.clone()]
        recipe = recipe_of(optimizer=partial(SGD, lr=0.1), layer_rates=rates)
        optimizer = recipe.optimizer_for(network)
        nn.CrossEntropyLoss()(network(torch.randn(8, 1, 28, 28)), torch.arange(8)).backward()
        optimizer.step()
        one, other = network.block1[0].weight - before[0], network.head.weight - before[1]
        return float(one.norm()), float(other.norm())  # type: ignore[operator]

    whole, slow = moved(None), moved({"block1": 0.25})
    assert slow[0] == pytest.approx(0.25 * whole[0], rel=1e-5)
    assert slow[1] == whole[1]


def test_the_layers_of_our_networks_can_be_named() -> None:
    recipe_of(freeze=["stages.0"], layer_rates={"stages": 0.1}).try_on(CompactNet())
