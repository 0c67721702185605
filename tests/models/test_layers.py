"""The layers that torch lacks compute what they say."""

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cnnlit.models.layers import FullConv2d, ScaledTanh, Subsample, UnfoldedConv2d


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
