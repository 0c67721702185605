"""What cannot be spread over devices is refused, and a choice made for the user is announced."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD

from cnnlit.models.alexnet import AlexNet
from cnnlit.models.lenet5 import LeNet5
from cnnlit.parallel.strategies import check_strategy, replicas_note, strategy_for
from cnnlit.training.optimizers import StochasticDiagonalLM
from cnnlit.training.recipe import Recipe
from cnnlit.training.schedules import Constant

SMALL: Any = {"num_classes": 2, "image_size": 64, "width": 0.05}


def check(name: str, num_devices: int, network: nn.Module | None = None, **options: Any) -> None:
    chosen: Any = {"optimizer": partial(SGD, lr=0.1), "batch_size": 4, "averaging_decay": None}
    others = {key: options.pop(key, False) for key in ("compiled", "sync_batchnorm", "dense")}
    others["precision"] = options.pop("precision", "32-true")
    others["accelerator"] = options.pop("accelerator", "auto")
    recipe = Recipe(epochs=1, order="fresh", loss=nn.CrossEntropyLoss(), schedule=Constant, **(chosen | options))
    check_strategy(name, num_devices=num_devices, network=network or AlexNet(**SMALL), recipe=recipe, **others)


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        (("dpp", 2), {}, "trainer.strategy=dpp: must be one of auto, ddp, fsdp, two_towers"),
        (("two_towers", 2, LeNet5()), {}, "no two towers; there is model=alexnet with model.groups=2"),
        (("two_towers", 2, AlexNet(groups=1, **SMALL)), {}, "no two towers; there is model=alexnet"),
        (("two_towers", 1), {}, "trainer.devices=1: two devices hold a network; the number must be even"),
        (("two_towers", 3), {}, "trainer.devices=3"),
        (("ddp", 8), {}, "recipe.batch_size=4 is less than the 8 replicas that share it"),
        (("two_towers", 2), {"compiled": True}, "compile=true"),
        (("ddp", 2), {"compiled": "cuda_graphs"}, "use compile=true"),
        (("fsdp", 2, AlexNet(**SMALL).to(memory_format=torch.channels_last)), {}, "channels_last=true: not with"),
        (("fsdp", 2), {"precision": "16-mixed"}, "trainer.precision=16-mixed: not with trainer.strategy=fsdp, which"),
        (("two_towers", 2), {"precision": "64-true"}, "trainer.precision=64-true: not with trainer.strategy=two"),
        (("fsdp", 2), {"dense": True}, "protocol: shows whole images to the network at once"),
        (("two_towers", 2), {"dense": True}, "evaluate the run with this protocol, or use ddp"),
        (("fsdp", 2), {"mixing": min}, "recipe.mixing: mixes a batch over all devices, which is not with"),
        (("fsdp", 2), {"averaging_decay": 0.9}, "recipe.averaging_decay=0.9"),
        (("fsdp", 2), {"optimizer": StochasticDiagonalLM}, "recipe.optimizer: estimates curvatures"),
        (
            ("two_towers", 2),
            {"sync_batchnorm": True},
            "trainer.sync_batchnorm=true: needs trainer.strategy=ddp on GPUs",
        ),
    ],
)
def test_what_cannot_be_spread_is_refused_in_one_line(arguments: Any, options: Any, said: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refusal:
        check(*arguments, **options)
    assert said in str(refusal.value)


@pytest.mark.parametrize("arguments", [("auto", 1, LeNet5()), ("two_towers", 8), ("fsdp", 3), ("ddp", 4)])
def test_what_can_be_spread_is_accepted(arguments: Any) -> None:
    check(*arguments)


def test_a_note_says_what_devices_do_without_a_strategy_and_names_the_alternative() -> None:
    assert replicas_note("auto", 1, LeNet5()) is None
    assert replicas_note("ddp", 2, LeNet5()) is None
    note = "2 devices: 2 replicas of the network (ddp), which share each batch"
    assert replicas_note("auto", 2, LeNet5()) == note
    towers = "; trainer.strategy=two_towers puts half of its feature maps on each device, as in 2012"
    assert replicas_note("auto", 2, AlexNet(**SMALL)) == note + towers


def test_every_strategy_has_the_timeout_that_was_set() -> None:
    for name in ("auto", "ddp", "fsdp", "two_towers"):
        strategy: Any = strategy_for(name, num_devices=2, timeout_seconds=7)
        assert strategy._timeout.total_seconds() == 7
    assert strategy_for("auto", num_devices=1, timeout_seconds=7) == "auto"


def test_synchronised_normalisation_is_refused_on_the_cpu_of_a_machine_with_gpus(monkeypatch: Any) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    check("ddp", 2, sync_batchnorm=True, accelerator="gpu")
    with pytest.raises(ValueError, match=r"needs trainer\.strategy=ddp on GPUs"):
        check("ddp", 2, sync_batchnorm=True, accelerator="cpu")
