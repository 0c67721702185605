"""AlexNet is the paper's: counts, geometry, groups, initial weights; or torchvision's, on request."""

from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from cnnlit.models.alexnet import TORCHVISION_NAMES, AlexNet
from cnnlit.models.layers import LocalResponseNorm
from cnnlit.models.weights import fill, from_torchvision

PAPER_TABLE = {  # name: parameters, multiply-adds, units
    "conv1": (34_944, 105_415_200, 290_400),
    "conv2": (307_456, 223_948_800, 186_624),
    "conv3": (885_120, 149_520_384, 64_896),
    "conv4": (663_936, 112_140_288, 64_896),
    "conv5": (442_624, 74_760_192, 43_264),
    "fc6": (37_752_832, 37_748_736, 4096),
    "fc7": (16_781_312, 16_777_216, 4096),
    "fc8": (4_097_000, 4_096_000, 1000),
}


def on_meta(**knobs: Any) -> AlexNet:
    with torch.device("meta"):
        return AlexNet(**knobs)


def outputs(model: nn.Module, size: int = 224) -> dict[str, Tensor]:
    """Each layer's output for one image."""
    seen: dict[str, Tensor] = {}
    for name, layer in model.named_children():
        layer.register_forward_hook(lambda _, __, output, name=name: seen.__setitem__(name, output))
    model(torch.empty(1, 3, size, size, device="meta"))
    return seen


def multiply_adds(layer: Any, output: Tensor) -> int:
    """Weights, each used once per position of the feature map."""
    return layer.weight.numel() * output[0, 0].numel()


def test_each_layer_has_the_papers_parameters_multiply_adds_and_units() -> None:
    model = on_meta()
    seen = outputs(model)
    counted = {
        name: (
            sum(parameter.numel() for parameter in model.get_submodule(name).parameters()),
            multiply_adds(model.get_submodule(name), seen[name]),
            seen[name].numel(),
        )
        for name in PAPER_TABLE
    }
    assert counted == PAPER_TABLE
    assert sum(parameter.numel() for parameter in model.parameters()) == 60_965_224
    assert sum(macs for _, macs, _ in counted.values()) == 724_406_816
    assert sum(units for *_, units in counted.values()) == 659_272


def test_feature_maps_shrink_as_in_figure_2() -> None:
    seen = outputs(on_meta())
    shapes = {name: tuple(seen[name].shape[1:]) for name in ("conv1", "pool1", "conv2", "pool2", "conv3", "pool5")}
    assert shapes == {
        "conv1": (96, 55, 55),
        "pool1": (96, 27, 27),
        "conv2": (256, 27, 27),
        "pool2": (256, 13, 13),
        "conv3": (384, 13, 13),
        "pool5": (256, 6, 6),
    }


def test_without_groups_it_is_larger() -> None:
    model = on_meta(groups=1)
    assert sum(parameter.numel() for parameter in model.parameters()) == 62_378_344
    seen = outputs(model)
    macs = sum(multiply_adds(model.get_submodule(name), seen[name]) for name in PAPER_TABLE)
    assert round(macs / 1e6) == 1135


def test_the_last_window_of_conv1_overhangs_into_zeros() -> None:
    torch.manual_seed(0)
    model = AlexNet(width=0.05)
    images = torch.randn(1, 3, 224, 224)
    seen: dict[str, Tensor] = {}
    model.conv1.register_forward_hook(lambda _, __, output: seen.__setitem__("conv1", output.clone()))
    model.eval()(images)
    weight, bias = model.conv1.weight.double(), model.conv1.bias.double()
    for row, column in ((0, 0), (54, 54), (54, 3), (7, 54)):  # each unit's window, clipped at the edge
        window = images[0, :, 4 * row : 4 * row + 11, 4 * column : 4 * column + 11].double()
        _, height, width = window.shape
        assert (height, width) == (8 if row == 54 else 11, 8 if column == 54 else 11)
        expected = (weight[:, :, :height, :width] * window).sum(dim=(1, 2, 3)) + bias
        torch.testing.assert_close(seen["conv1"][0, :, row, column].double(), expected, atol=1e-5, rtol=1e-5)


def two_towers(model: AlexNet, images: Tensor) -> Tensor:
    """The network as two GPUs computed it: half of the feature maps each, exchanged before conv3 and from pool5 on."""

    def half(tensor: Tensor, tower: int) -> Tensor:
        return tensor.chunk(2)[tower]

    def convolve(layer: nn.Conv2d, x: Tensor, tower: int, **options: Any) -> Tensor:
        return functional.conv2d(x, half(layer.weight, tower), half(layer.bias, tower), **options).relu()

    def normalize(x: Tensor) -> Tensor:
        return functional.local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2.0)

    def pool(x: Tensor) -> Tensor:
        return functional.max_pool2d(x, 3, 2)

    padded = functional.pad(images, (0, 3, 0, 3))
    towers = []
    for tower in range(2):
        x = pool(normalize(convolve(model.conv1, padded, tower, stride=4)))
        towers.append(pool(normalize(convolve(model.conv2, x, tower, padding=2))))
    both = torch.cat(towers, dim=1)
    towers = []
    for tower in range(2):
        x = convolve(model.conv3, both, tower, padding=1)
        x = convolve(model.conv4, x, tower, padding=1)
        towers.append(pool(convolve(model.conv5, x, tower, padding=1)))
    x = torch.cat(towers, dim=1).flatten(1)
    x = functional.linear(x, model.fc6.weight, model.fc6.bias).relu()
    x = functional.linear(x, model.fc7.weight, model.fc7.bias).relu()
    return functional.linear(x, model.fc8.weight, model.fc8.bias)


def test_groups_compute_what_two_towers_compute() -> None:
    torch.manual_seed(0)
    model = AlexNet(width=0.1, num_classes=10, initialization="he2015").double().eval()
    images = torch.randn(2, 3, 224, 224, dtype=torch.float64)
    results = []
    for compute in (model, lambda images: two_towers(model, images)):
        model.zero_grad()
        logits = compute(images)
        logits.square().sum().backward()
        results.append([logits.detach(), *(parameter.grad.clone() for parameter in model.parameters())])
    torch.testing.assert_close(*results)


def test_initial_weights_are_those_of_section_5() -> None:
    torch.manual_seed(0)
    model = AlexNet()
    for name in PAPER_TABLE:
        layer = model.get_submodule(name)
        error = 4 / layer.weight.numel() ** 0.5  # four standard errors of a mean
        assert abs(layer.weight.mean().item()) < 0.01 * error
        assert layer.weight.std().item() == pytest.approx(0.01, rel=error)
        assert layer.bias.unique().tolist() == [1.0 if name in ("conv2", "conv4", "conv5", "fc6", "fc7") else 0.0]


def test_torchvisions_alexnet_loads_and_gives_its_outputs() -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.alexnet(weights=None).eval()
    ours = AlexNet(variant="torchvision").eval()
    fill(ours, from_torchvision(theirs.state_dict(), TORCHVISION_NAMES), "theirs", heads=("fc8",))
    assert sum(parameter.numel() for parameter in ours.parameters()) == 61_100_840
    for size in (224, 256):
        images = torch.randn(2, 3, size, size)
        torch.testing.assert_close(ours(images), theirs(images), atol=1e-5, rtol=0)


def test_torchvisions_dropout_comes_before_fc6_and_fc7() -> None:
    theirs = torchvision.models.alexnet(weights=None, num_classes=10).train()
    ours = AlexNet(variant="torchvision", num_classes=10).train()
    fill(ours, from_torchvision(theirs.state_dict(), TORCHVISION_NAMES), "theirs", heads=("fc8",))
    images = torch.randn(2, 3, 64, 64)
    results = []
    for model in (ours, theirs):
        torch.manual_seed(1)
        results.append(model(images))
    torch.testing.assert_close(*results, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("training", "zeros"), [(True, 0.3), (False, 0.0)])
def test_dropout_zeroes_outputs_of_fc6_and_fc7_in_training_only(training: bool, zeros: float) -> None:
    torch.manual_seed(0)
    model = AlexNet(width=0.25, dropout=0.3, image_size=64, activation="sigmoid").train(training)
    seen: list[Tensor] = []
    for layer in (model.fc7, model.fc8):
        layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(torch.randn(16, 3, 64, 64))
    for features in seen:
        assert (features == 0).float().mean().item() == pytest.approx(zeros, abs=0.03)


@pytest.mark.parametrize(
    ("knobs", "layer", "kind"),
    [
        ({"pooling": "average"}, "pool1", nn.AvgPool2d),
        ({"normalization": "none"}, "lrn1", nn.Identity),
        ({"normalization": "batch"}, "norm4", nn.BatchNorm2d),
        ({"normalization": "batch"}, "lrn1", nn.Identity),
        ({}, "lrn2", LocalResponseNorm),
        ({"activation": "tanh"}, "activation", nn.Tanh),
    ],
)
def test_a_knob_changes_its_layer(knobs: Any, layer: str, kind: type[nn.Module]) -> None:
    assert type(on_meta(**knobs).get_submodule(layer)) is kind


@pytest.mark.parametrize("size", [64, 127, 224, 299])
@pytest.mark.parametrize("variant", ["paper", "torchvision"])
def test_images_of_any_size_fit(size: int, variant: Any) -> None:
    model = on_meta(variant=variant, image_size=size, num_classes=7)
    assert model(torch.empty(2, 3, size, size, device="meta")).shape == (2, 7)


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        ({"weights": "IMAGENET1K_V1"}, "add model.variant=torchvision"),
        ({"image_size": 32}, "image_size=32 leaves nothing for fc6; use larger images"),
    ],
)
def test_what_cannot_be_combined_is_refused(knobs: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        on_meta(**knobs)
