"""The compact network has no more parameters than LeNet-5, and the layers in its table."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cnnlit.models.compact import CompactNet
from cnnlit.models.lenet5 import LeNet5


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_it_has_no_more_parameters_than_lenet5() -> None:
    model = CompactNet()
    assert parameters(model) == 59_274 < parameters(LeNet5()) == 60_000
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert [parameters(layer) for layer in convolutions] == [144, 4608, 9216, 16_128, 28_224]


def test_a_stage_halves_the_sides_of_the_one_before() -> None:
    model = CompactNet()
    outputs: list[Tensor] = []
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    for layer in convolutions:
        layer.register_forward_hook(lambda layer, inputs, output: outputs.append(output))
    logits = model(torch.zeros(2, 1, 28, 28))
    assert logits.shape == (2, 10)
    assert [tuple(output.shape[1:]) for output in outputs] == [
        (16, 28, 28), (32, 14, 14), (32, 14, 14), (56, 7, 7), (56, 7, 7)
    ]  # fmt: skip
    pairs = zip(outputs, convolutions, strict=True)
    macs = sum(output[0].numel() * layer.weight[0].numel() for output, layer in pairs)
    assert macs == pytest.approx(4.99e6, rel=0.002)


def test_its_answer_rests_on_the_maximum_of_each_feature_map() -> None:
    model = CompactNet().eval()
    images = torch.randn(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model.output(model.stages(images).amax((2, 3)))
        torch.testing.assert_close(model(images), expected)
        mean = CompactNet(pooling="average").eval()
        torch.testing.assert_close(mean(images), mean.output(mean.stages(images).mean((2, 3))))


@pytest.mark.parametrize(
    ("knobs", "shape"),
    [
        ({"image_size": 32, "in_channels": 3, "num_classes": 7}, (1, 3, 32, 32)),
        ({"image_size": 30, "stages": [[4], [8]]}, (1, 1, 30, 30)),
        ({"width": 0.5, "activation": "tanh", "normalization": "none", "dropout": 0.5}, (1, 1, 28, 28)),
    ],
)
def test_knobs_are_honoured(knobs: dict[str, Any], shape: tuple[int, ...]) -> None:
    assert CompactNet(**knobs)(torch.zeros(shape).expand(2, -1, -1, -1)).shape == (2, knobs.get("num_classes", 10))


def test_images_too_small_for_the_pools_are_refused() -> None:
    with pytest.raises(ValueError, match="image_size=3 is too small for the pools between 3 stages"):
        CompactNet(image_size=3)
