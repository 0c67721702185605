"""A network as a list of layers that a page can compute and show, and its weights as one array."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cnnlit.models.compact import CompactNet
from cnnlit.models.layers import Subsample
from cnnlit.models.lenet5 import LeNet5, RadialBasisFunctions, TableConv2d

SHOWN = (LeNet5, CompactNet)
"""The networks that a page can show."""

Layer = dict[str, Any]


class LayerList:
    """Layers in the order of their computation.

    Args:
        channels: of the network's images.
        image_size: their side, in pixels.
        activation: of all layers that have one.

    Attributes:
        layers: each a dict: `name`; `kind`, one of convolution, full, subsample, max, average and rbf; `count` and
            `side` of its maps, units being maps of one pixel; `activation`, or None; what its kind needs (`kernel`,
            `padding`, the maps that each map sees, `from`; `window`, `stride`); and where `weights` and `bias` lie in
            the numbers, start and length.
    """

    def __init__(self, channels: int, image_size: int, activation: str) -> None:
        self.layers: list[Layer] = []
        self._maps, self._side, self._activation = channels, image_size, activation
        self._numbers: list[Tensor] = []
        self._length = 0

    @property
    def numbers(self) -> Tensor:
        """All weights and biases, float32 [number]."""
        return torch.cat(self._numbers)

    def _keep(self, values: Tensor) -> list[int]:
        flat = values.detach().float().flatten()
        self._numbers.append(flat)
        self._length += len(flat)
        return [self._length - len(flat), len(flat)]

    def _add(self, name: str, kind: str, count: int, side: int, *, squashed: bool, **more: Any) -> None:
        activation = self._activation if squashed else None
        self.layers.append({"name": name, "kind": kind, "count": count, "side": side, "activation": activation, **more})
        self._maps, self._side = count, side

    def convolution(self, name: str, layer: Any, norm: nn.Module) -> None:
        """Add a convolution; batch normalisation after it is part of its kernels."""
        weight, bias = layer.weight.double(), layer.bias
        shift = torch.zeros(layer_maps(layer), dtype=torch.double) if bias is None else bias.double()
        seen = _seen_by(layer, self._maps)
        kernel = weight.shape[-1]
        padding = 0 if isinstance(layer, TableConv2d) else int(layer.padding[0])
        factor, shift = _normalized(norm, shift)
        each = torch.tensor([len(inputs) for inputs in seen])
        kernels = weight.reshape(-1, kernel, kernel) * factor.repeat_interleave(each)[:, None, None]
        self._add(
            *(name, "convolution", len(seen), self._side - kernel + 1 + 2 * padding),
            **{"squashed": True, "kernel": kernel, "padding": padding, "from": seen},
            weights=self._keep(kernels),
            bias=self._keep(shift),
        )

    def pool(self, name: str, layer: Any, *, squashed: bool) -> None:
        """Add a pool of any type."""
        if isinstance(layer, Subsample):
            window, stride, kind = layer.window, layer.stride, "subsample"
            kept = {"weights": self._keep(layer.coefficient), "bias": self._keep(layer.bias)}
        else:
            window, stride, kept = int(layer.kernel_size), int(layer.stride), {}
            kind = "max" if isinstance(layer, nn.MaxPool2d) else "average"
        side = (self._side - window) // stride + 1
        self._add(name, kind, self._maps, side, squashed=squashed, window=window, stride=stride, **kept)

    def full(self, name: str, layer: Any, norm: nn.Module | None = None, *, squashed: bool) -> None:
        """Add a layer whose units see all before."""
        factor, shift = _normalized(norm, layer.bias.double())
        kept = {"weights": self._keep(layer.weight.double().flatten(1) * factor[:, None]), "bias": self._keep(shift)}
        self._add(name, "full", len(shift), 1, squashed=squashed, **kept)

    def distances(self, name: str, layer: RadialBasisFunctions) -> None:
        """Add distances to codes."""
        self._add(name, "rbf", len(layer.codes), 1, squashed=False, weights=self._keep(layer.codes))


def layer_maps(layer: Any) -> int:
    """How many maps a convolution makes."""
    return layer.dense_shape[0] if isinstance(layer, TableConv2d) else int(layer.out_channels)


def _seen_by(layer: Any, before: int) -> list[list[int]]:
    if not isinstance(layer, TableConv2d):
        return [list(range(before))] * layer.out_channels
    places = iter(layer.pairs.tolist())
    return [[next(places) % before for _ in range(count)] for count in layer.inputs_per_map]


def _normalized(norm: nn.Module | None, bias: Tensor) -> tuple[Tensor, Tensor]:
    """What batch normalisation multiplies each map by, and what the bias becomes."""
    if not isinstance(norm, nn.BatchNorm2d):
        return torch.ones_like(bias), bias
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return factor, norm.bias.double() + (bias - norm.running_mean.double()) * factor


def layers_of(network: nn.Module, model: Mapping[str, Any]) -> LayerList:
    """The layers of a network.

    Args:
        network: one of SHOWN, in evaluation mode.
        model: its node: `in_channels`, `image_size` and `activation`.
    """
    found = LayerList(model["in_channels"], model["image_size"], model["activation"])
    if isinstance(network, LeNet5):
        _add_lenet5(found, network)
    else:
        assert isinstance(network, CompactNet)
        _add_compact(found, network)
    return found


def _add_lenet5(found: LayerList, network: LeNet5) -> None:
    squashed = isinstance(network.s2, Subsample)
    found.convolution("C1", network.c1, network.norm1)
    found.pool("S2", network.s2, squashed=squashed)
    found.convolution("C3", network.c3, network.norm3)
    found.pool("S4", network.s4, squashed=squashed)
    found.full("C5", network.c5, network.norm5, squashed=True)
    found.full("F6", network.f6, squashed=True)
    _add_output(found, network.output)


def _add_output(found: LayerList, output: nn.Module) -> None:
    if isinstance(output, RadialBasisFunctions):
        found.distances("Output", output)
    else:
        found.full("Output", output, squashed=False)


def _add_compact(found: LayerList, network: CompactNet) -> None:
    stage, place = 1, 0
    layers: Iterable[Any] = list(network.stages)
    for layer, norm in zip(layers, [*network.stages][1:], strict=False):
        if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
            found.pool(f"Pool {stage}", layer, squashed=False)
            stage, place = stage + 1, 0
        elif isinstance(layer, nn.Conv2d):
            place += 1
            found.convolution(f"Stage {stage}.{place}", layer, norm)
    found.pool("Global pool", network.pool, squashed=False)
    found.full("Output", network.output, squashed=False)
