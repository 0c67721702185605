"""A dense test applies the network at every position and averages the logits."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cnnlit.models.alexnet import AlexNet
from cnnlit.models.googlenet import GoogLeNet
from cnnlit.models.layers import at_every_place
from cnnlit.models.resnet import CifarResNet, ResNet
from cnnlit.models.vgg import VGG
from cnnlit.models.zfnet import ZFNet

SMALL: Any = {"num_classes": 7, "width": 1 / 16, "initialization": "he2015"}
NETWORKS: dict[str, Any] = {
    "alexnet": lambda side: AlexNet(image_size=side, **SMALL),
    "alexnet torchvision": lambda side: AlexNet(image_size=side, variant="torchvision", **SMALL),
    "zfnet": lambda side: ZFNet(image_size=side, **SMALL),
    "vgg": lambda side: VGG(image_size=side, configuration="A", **SMALL),
    "vgg torchvision": lambda side: VGG(image_size=side, configuration="A", variant="torchvision", **SMALL),
    "googlenet": lambda side: GoogLeNet(image_size=side, **SMALL),
    "resnet": lambda side: ResNet(image_size=side, depth=18, **SMALL),
    "cifar resnet": lambda side: CifarResNet(image_size=side, depth=8, num_classes=7, initialization="he2015"),
}


def network(name: str, side: int = 224) -> Any:
    torch.manual_seed(0)
    return NETWORKS[name](side).eval()


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_an_image_of_the_networks_size_has_the_networks_logits(name: str) -> None:
    model, images = network(name), torch.randn(2, 3, 224, 224)
    torch.testing.assert_close(model.dense(images), model(images), atol=1e-4, rtol=1e-4)
    assert model(images).std() > 1e-3


def at_each_place(model: Any, maps: Tensor, side: int) -> Tensor:
    """The logits at every position, computed one by one with the classifier itself; [positions, N, K]."""
    rest = nn.Sequential(model.fc6, nn.ReLU(), model.fc7, nn.ReLU(), model.fc8)
    rows, columns = maps.shape[2] - side + 1, maps.shape[3] - side + 1
    return torch.stack([
        rest(maps[:, :, y : y + side, x : x + side].flatten(1)) for y in range(rows) for x in range(columns)
    ])  # fmt: skip


@pytest.mark.parametrize(("name", "side"), [("alexnet", 6), ("zfnet", 6), ("vgg", 7), ("vgg torchvision", 7)])
@torch.no_grad()
def test_a_larger_image_has_the_mean_of_the_logits_at_its_positions(name: str, side: int) -> None:
    model, images = network(name), torch.randn(2, 3, 256, 320)
    scores = at_each_place(model, model.features(images), side)
    assert len(scores) > 4
    torch.testing.assert_close(model.dense(images), scores.mean(dim=0), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_positions_of_vgg_are_32_pixels_apart() -> None:
    # Far from the edges of the image, a position sees what the network would see of a crop, except for padding.
    model = network("vgg", 64)
    images = torch.zeros(1, 3, 96, 128)
    maps = model.features(images)
    assert maps.shape[2:] == (3, 4)
    assert at_every_place(model.fc6, maps).shape[2:] == (2, 3)


@pytest.mark.parametrize("name", ["resnet", "googlenet", "cifar resnet"])
@torch.no_grad()
def test_with_a_linear_classifier_the_mean_of_logits_is_the_logits_of_the_mean(name: str) -> None:
    model, images = network(name), torch.randn(2, 3, 96, 160)
    # The feature maps before the average; the classifier is applied to each position separately.
    seen: dict[str, Tensor] = {}
    last = {"resnet": "conv5_x", "googlenet": "inception_5b", "cifar resnet": "conv4_x"}[name]
    getattr(model, last).register_forward_hook(lambda _, __, maps: seen.update(maps=maps))
    dense = model.dense(images)
    scores = [model.fc(place) for place in seen["maps"].flatten(2).unbind(2)]
    assert len(scores) > 4
    torch.testing.assert_close(dense, torch.stack(scores).mean(dim=0), atol=1e-4, rtol=1e-4)


def test_images_that_are_too_small_are_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match="needs larger images: these leave 2x2 of the 6x6 positions") as refusal:
        network("alexnet").dense(torch.randn(1, 3, 96, 96))
    assert "\n" not in str(refusal.value)
