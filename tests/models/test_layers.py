"""The layers that torch lacks compute what they say."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cnnlit.models.alexnet import AlexNet
from cnnlit.models.layers import (
    FullConv2d,
    LocalResponseNorm,
    ScaledTanh,
    Subsample,
    UnfoldedConv2d,
    activation_layer,
    initialize,
    pooled,
    pooling_layer,
    scaled,
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_same(layer: nn.Module, reference: Any, maps: Tensor) -> None:
    """Equal outputs, and equal gradients of the input and of each parameter."""
    results = []
    for compute in (layer, reference):
        layer.zero_grad()
        inputs = maps.clone().requires_grad_()
        output = compute(inputs)
        (output * random(*output.shape, seed=9)).sum().backward()
        parameters = (compute if isinstance(compute, nn.Module) else layer).parameters()
        results.append([output.detach(), inputs.grad, *(parameter.grad.clone() for parameter in parameters)])
    torch.testing.assert_close(*results)


def test_scaled_tanh_is_one_at_one() -> None:
    assert ScaledTanh()(torch.tensor([1.0, -1.0, 0.0])).tolist() == pytest.approx([1, -1, 0], abs=1e-5)


def test_scaled_tanh_is_equation_6() -> None:
    a = torch.cat([torch.linspace(-8, 8, 40_001), torch.tensor([-1e4, -50, 50, 1e4])]).requires_grad_()
    output = ScaledTanh()(a)
    output.sum().backward()
    exact = (2 / 3 * a.detach().double()).tanh()
    torch.testing.assert_close(output.double(), 1.7159 * exact, atol=3e-6, rtol=0)
    torch.testing.assert_close(a.grad.double(), 1.7159 * 2 / 3 * (1 - exact**2), atol=3e-6, rtol=0)


@pytest.mark.parametrize(("window", "stride"), [(2, 2), (3, 2), (2, 1), (3, 3), (1, 2), (2, 3), (4, 1)])
@pytest.mark.parametrize(("height", "width"), [(6, 6), (7, 5), (4, 9)])
def test_subsample_is_coefficient_times_sum_plus_bias(window: int, stride: int, height: int, width: int) -> None:
    layer = Subsample(3, window, stride).double()
    with torch.no_grad():
        layer.coefficient.copy_(random(3, seed=1))
        layer.bias.copy_(random(3, seed=2))

    def by_loop(maps: Tensor) -> Tensor:
        tops, lefts = range(0, height - window + 1, stride), range(0, width - window + 1, stride)
        units = [
            layer.coefficient[c] * maps[n, c, y : y + window, x : x + window].sum() + layer.bias[c]
            for n, c, y, x in product(range(2), range(3), tops, lefts)
        ]
        return torch.stack(units).view(2, 3, len(tops), len(lefts))

    assert_same(layer, by_loop, random(2, 3, height, width))


def test_subsample_starts_as_the_mean() -> None:
    maps = random(2, 3, 8, 8).float()
    torch.testing.assert_close(Subsample(3, 2, 2)(maps), nn.AvgPool2d(2)(maps))


def test_subsample_takes_one_size_after_another() -> None:
    layer = Subsample(3, 3, 2)
    for height, width in [(8, 8), (9, 12), (8, 8), (12, 7)]:
        maps = random(1, 3, height, width).float()
        torch.testing.assert_close(layer(maps), nn.AvgPool2d(3, 2)(maps))


def test_subsample_trains_after_an_inference() -> None:
    layer = Subsample(1)
    with torch.inference_mode():
        layer(torch.ones(1, 1, 4, 4))
    layer(torch.ones(1, 1, 4, 4, requires_grad=True)).sum().backward()
    assert layer.coefficient.grad.item() == 16


@pytest.mark.parametrize("in_channels", [1, 2])
@pytest.mark.parametrize("batch", [1, 3])
def test_unfolded_conv2d_is_torchs(in_channels: int, batch: int) -> None:
    layer = UnfoldedConv2d(in_channels, 4, 3).double()
    reference = nn.Conv2d(in_channels, 4, 3).double()
    reference.load_state_dict(layer.state_dict())
    assert_same(layer, reference, random(batch, in_channels, 7, 6))


@pytest.mark.parametrize("batch", [1, 3])
def test_full_conv2d_is_torchs(batch: int) -> None:
    layer = FullConv2d(3, 4, 5).double()
    reference = nn.Conv2d(3, 4, 5).double()
    reference.load_state_dict(layer.state_dict())
    assert_same(layer, reference, random(batch, 3, 5, 5))


def paper_lrn(maps: Tensor, groups: int, *, n: int, alpha: float, beta: float, k: float) -> Tensor:
    """The sum of Sec. 3.3 of Krizhevsky et al. 2012, term by term, within each group."""
    a = maps.numpy()
    b = np.empty_like(a)
    part = a.shape[1] // groups
    for i in range(a.shape[1]):
        first = i // part * part
        near = range(max(first, i - n // 2), min(first + part - 1, i + n // 2) + 1)
        b[:, i] = a[:, i] / (k + alpha * sum(a[:, j] ** 2 for j in near)) ** beta
    return torch.from_numpy(b)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("constants", [{}, {"size": 3, "alpha": 0.3, "beta": 0.5, "k": 1.0}, {"alpha": 0.2, "k": 1.0}])
def test_response_normalization_is_the_papers_formula(groups: int, constants: Any) -> None:
    maps = 3 * random(2, 12, 3, 4)
    printed = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 2.0} | constants
    expected = paper_lrn(maps, groups, n=printed.pop("size"), **printed)
    layer = LocalResponseNorm(groups=groups, **constants).double()
    torch.testing.assert_close(layer(maps), expected)


def test_torchs_response_normalization_has_five_times_the_alpha() -> None:
    theirs = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
    assert_same(LocalResponseNorm().double(), theirs, 30 * random(2, 12, 3, 4))


def test_response_normalization_has_nothing_to_learn_or_to_load() -> None:
    assert not LocalResponseNorm().state_dict()


@pytest.mark.parametrize(
    ("side", "window", "stride", "padding", "ceil"),
    [
        case
        for case in product([5, 6, 7, 13, 55], [1, 2, 3], [1, 2, 3], [0, 1], [False, True])
        if case[3] <= case[1] / 2
    ],
)
def test_pooled_is_the_side_that_torch_leaves(side: int, window: int, stride: int, padding: int, ceil: bool) -> None:
    layer = pooling_layer("max", 1, window, stride, padding=padding, ceil=ceil)
    assert layer(torch.zeros(1, 1, side, side)).shape[-1] == pooled(side, window, stride, padding=padding, ceil=ceil)


def test_padding_and_overhang_count_as_nothing_in_an_average() -> None:
    layer = pooling_layer("average", 1, 3, 2, padding=1, ceil=True)
    torch.testing.assert_close(layer(torch.full((1, 1, 6, 6), 7.0)), torch.full((1, 1, 4, 4), 7.0))


@pytest.mark.parametrize(("width", "channels"), [(1.0, 96), (0.5, 48), (0.26, 24), (0.001, 2), (2.0, 192)])
def test_a_width_keeps_channels_even(width: float, channels: int) -> None:
    assert scaled(96, width) == channels


@pytest.mark.parametrize(
    ("law", "deviation"),
    [
        ("krizhevsky2012", 0.01),
        ("zeiler2013", 0.01),
        ("simonyan2014", 0.01),
        ("glorot2010", (2 / (9 * 40 + 9 * 80)) ** 0.5),
        ("he2015", (2 / (9 * 40)) ** 0.5),
    ],
)
def test_initial_weights_follow_their_distribution(law: Any, deviation: float) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(40, 80, 3)
    initialize(layer, law)
    error = 4 / layer.weight.numel() ** 0.5
    assert layer.weight.std().item() == pytest.approx(deviation, rel=error)
    assert abs(layer.weight.mean().item()) < deviation * error
    assert not layer.bias.any()
    # A uniform distribution ends at sqrt(3) standard deviations; a normal one does not.
    assert (layer.weight.abs().max().item() < 1.74 * deviation) == (law == "glorot2010")


def test_the_code_of_alexnets_authors_draws_wider_from_the_third_convolution_on() -> None:
    torch.manual_seed(0)
    network = AlexNet(initialization="cuda_convnet2")
    layers = (network.conv1, network.conv2, network.conv3, network.conv4, network.conv5, network.fc6, network.fc8)
    deviations = [round(layer.weight.std().item(), 3) for layer in layers]
    assert deviations == [0.01, 0.01, 0.03, 0.03, 0.03, 0.01, 0.01]
    assert network.conv2.bias is not None
    assert network.conv2.bias.eq(1).all()
    assert network.fc6.bias.eq(1).all()
    assert not network.fc8.bias.any()


def test_relu_in_place_overwrites_its_input() -> None:
    maps = torch.tensor([-1.0, 1.0])
    activation_layer("relu", inplace=True)(maps)
    assert maps.tolist() == [0.0, 1.0]
    activation_layer("tanh", inplace=True)(maps)
    assert maps.tolist() == [0.0, 1.0]
