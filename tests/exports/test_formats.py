"""Exported networks answer as they do here, to batches of any size."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_small

from cnnlit.exports import formats
from cnnlit.exports.formats import NAMES, TOLERANCE, Format, require, write
from cnnlit.models.alexnet import AlexNet
from cnnlit.models.compact import CompactNet
from cnnlit.models.googlenet import GoogLeNet
from cnnlit.models.lenet5 import LeNet5
from cnnlit.models.resnet import CifarResNet, Depth, ResNet, Shortcut
from cnnlit.models.vgg import VGG, Configuration
from cnnlit.models.zfnet import ZFNet

DIGIT, SMALL, PHOTOGRAPH = (1, 32, 32), (3, 32, 32), (3, 224, 224)
FORMATS: list[Format] = ["onnx", "torch_export", "safetensors"]

Made = tuple[Callable[[], nn.Module], tuple[int, ...]]

QUICK: dict[str, Made] = {
    "lenet5": (LeNet5, DIGIT),
    "lenet5_today": (
        lambda: LeNet5(activation="relu", pooling="max", head="linear", c3="full", normalization="batch"), DIGIT,
    ),
    "lenet5_average": (lambda: LeNet5(pooling="average", dropout=0.5), DIGIT),
    "lenet5_in_colour": (lambda: LeNet5(in_channels=3), SMALL),
    "compact": (lambda: CompactNet(image_size=32), DIGIT),
    "compact_1998": (
        lambda: CompactNet(image_size=32, activation="scaled_tanh", normalization="none", pooling="average"), DIGIT,
    ),
    "resnet20": (lambda: CifarResNet(depth=20), SMALL),
    "plain20": (lambda: CifarResNet(depth=20, shortcut="none"), SMALL),
    "alexnet": (lambda: AlexNet(num_classes=10, width=0.125), PHOTOGRAPH),
}  # fmt: skip

TEN: dict[str, Any] = {"num_classes": 10}

LARGE: dict[str, Made] = {
    "alexnet_torchvision": (lambda: AlexNet(variant="torchvision", **TEN), PHOTOGRAPH),
    "zfnet": (lambda: ZFNet(**TEN), PHOTOGRAPH),
    "zfnet_slides": (lambda: ZFNet(variant="slides", **TEN), PHOTOGRAPH),
    **{
        f"vgg_{configuration}": (lambda each=configuration: VGG(configuration=each, width=0.25, **TEN), PHOTOGRAPH)
        for configuration in get_args(Configuration)
    },
    "vgg_torchvision": (lambda: VGG(configuration="A", variant="torchvision", **TEN), PHOTOGRAPH),
    "googlenet": (lambda: GoogLeNet(**TEN), PHOTOGRAPH),
    "googlenet_torchvision": (lambda: GoogLeNet(variant="torchvision", **TEN), PHOTOGRAPH),
    **{f"resnet{depth}": (lambda each=depth: ResNet(depth=each, **TEN), PHOTOGRAPH) for depth in get_args(Depth)},
    **{
        f"resnet18_{shortcut}": (lambda each=shortcut: ResNet(depth=18, shortcut=each, **TEN), PHOTOGRAPH)
        for shortcut in get_args(Shortcut)
    },
    "resnet50_torchvision": (lambda: ResNet(depth=50, variant="torchvision", **TEN), PHOTOGRAPH),
    "mobilenet_v3_small of torchvision": (lambda: mobilenet_v3_small(**TEN), PHOTOGRAPH),
}


def assert_exported(made: Made, format: Format, folder: Path) -> None:  # noqa: A002
    build, image = made
    network = build()
    for _ in range(3):  # statistics of batch normalisation that are not those it begins with
        network.train()(torch.randn(4, *image))
    assert write(network, image, format, folder / NAMES[format]) <= TOLERANCE
    assert not network.training
    assert (folder / NAMES[format]).stat().st_size > 1000


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", QUICK)
def test_a_small_network_answers_batches_of_any_size(name: str, format: Format, tmp_path: Path) -> None:  # noqa: A002
    assert_exported(QUICK[name], format, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", LARGE)
def test_a_large_network_answers_batches_of_any_size(name: str, format: Format, tmp_path: Path) -> None:  # noqa: A002
    assert_exported(LARGE[name], format, tmp_path)


def test_batches_of_one_three_and_eight_are_asked() -> None:
    assert {1, 3, 8} <= set(formats.BATCHES)


class OfThisBatch(nn.Module):
    """Answers batches of two alone."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, :2] + torch.zeros(2, 1)


class Undecided(nn.Module):
    """Its answers are not those that were exported."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return images.flatten(1)[:, :2] * self.calls


@pytest.mark.parametrize(("network", "reason"), [(OfThisBatch, "cannot be exported"), (Undecided, "differ")])
def test_what_answers_otherwise_is_refused(network: type[nn.Module], reason: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"format=torch_export: .*{reason}"):
        write(network(), (1, 4, 4), "torch_export", tmp_path / "network.pt2")


def test_missing_packages_are_named_with_what_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else True)
    with pytest.raises(ValueError, match=r'format=onnx needs onnxruntime: pip install "cnnlit\[export\]"'):
        require("onnx")
    require("safetensors")
