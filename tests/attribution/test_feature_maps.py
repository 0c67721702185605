"""Feature maps are what a layer hands on, whatever follows it, in place or not."""

import pytest
import torch
from torch import Tensor, nn

from cnnlit.attribution.feature_maps import MOST_LAYERS, feature_maps, layers_to_show
from cnnlit.models.compact import CompactNet
from cnnlit.models.lenet5 import LeNet5
from cnnlit.models.resnet import ResNet


def test_those_of_lenet5_are_squashed_and_named_as_in_the_paper() -> None:
    network, images = LeNet5().eval(), torch.rand(2, 1, 32, 32)
    found = feature_maps(network, images)
    assert {name: tuple(maps.shape[1:]) for name, maps in found.items()} == {
        "c1": (6, 28, 28), "s2": (6, 14, 14), "c3": (16, 10, 10), "s4": (16, 5, 5), "c5": (120, 1, 1), "f6": (84,),
        "output": (10,),
    }  # fmt: skip
    squash = network.activation
    with torch.no_grad():
        c1 = squash(network.c1(images))
        s2 = squash(network.s2(c1))
    assert torch.equal(found["c1"], c1)
    assert torch.equal(found["s2"], s2)
    assert torch.equal(found["output"], network(images))
    assert layers_to_show(network, list(found), None) == list(found)
    assert not any(module._forward_hooks for module in network.modules())


class InPlace(nn.Module):
    """A convolution, normalised and rectified in place, to which something is added in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.norm = nn.BatchNorm2d(3)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.activation(self.norm(self.conv(images)))
        maps += 5
        return self.activation(maps).flatten(1)


def test_what_happens_to_maps_later_is_not_theirs() -> None:
    network, images = InPlace().eval(), torch.rand(1, 1, 5, 5)
    found = feature_maps(network, images)
    assert list(found) == ["conv"]
    with torch.no_grad():
        assert torch.equal(found["conv"], network.norm(network.conv(images)).relu())


def test_a_residual_block_is_a_layer_and_its_sum_is_not_that_of_a_convolution() -> None:
    network = ResNet(depth=18, num_classes=4, image_size=64).eval()
    found = feature_maps(network, torch.rand(1, 3, 64, 64))
    blocks = [name for name, module in network.named_modules() if type(module).__name__.endswith("Block")]
    assert blocks
    assert set(blocks) <= set(found)
    assert all(found[block].min() >= 0 for block in blocks)
    last = [name for name in found if name.startswith(blocks[0] + ".")][-1]
    assert not torch.equal(found[last], found[blocks[0]])


def test_of_many_layers_some_are_shown_from_the_first_to_the_last() -> None:
    network = ResNet(depth=18, num_classes=4, image_size=64).eval()
    found = list(feature_maps(network, torch.rand(1, 3, 64, 64)))
    shown = layers_to_show(network, found, None)
    assert len(shown) == MOST_LAYERS
    assert shown[0] == found[0]
    assert shown[-1] == found[-1]
    assert shown == sorted(shown, key=found.index)


def test_a_layer_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    network = CompactNet(image_size=16).eval()
    found = list(feature_maps(network, torch.rand(1, 1, 16, 16)))
    assert layers_to_show(network, found, found[1]) == [found[1]]
    with pytest.raises(ValueError, match=r"^layer=c1: no layer of this network; there is .*, output$"):
        layers_to_show(network, found, "c1")
