"""What the layers in a page answer, computed with torch: a page counts as written if the network answers the same."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cnnlit.exports.web.web_layers import Layer
from cnnlit.models.layers import activation_layer

CONTENT = re.compile(r'<script type="application/json" id="page">(.*?)</script>', re.DOTALL)


def read_page(path: Path) -> dict[str, Any]:
    """What a page holds as JSON: its networks, pictures and rules."""
    found = CONTENT.search(path.read_text(encoding="utf-8"))
    assert found
    content: dict[str, Any] = json.loads(found[1])
    return content


def numbers_of(text: str) -> Tensor:
    """A float32 array that is in a page as base64."""
    return torch.from_numpy(np.frombuffer(bytearray(base64.b64decode(text)), "<f4"))


def answers_of(network: dict[str, Any]) -> Callable[[Tensor], Tensor]:
    """What a network in a page answers to its input, float32 [N, 1, H, W]: logits [N, K]."""
    numbers = numbers_of(network["weights"])

    def answer(images: Tensor) -> Tensor:
        values = images
        for layer in network["layers"]:
            kept = {key: _part(numbers, layer[key]) for key in ("weights", "bias") if key in layer}
            values = KINDS[layer["kind"]](layer, values, **kept)
            if layer["activation"]:
                values = activation_layer(layer["activation"])(values)
        return values.flatten(1)

    return answer


def _part(numbers: Tensor, place: list[int]) -> Tensor:
    return numbers[place[0] : place[0] + place[1]]


def _convolution(layer: Layer, maps: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    dense = torch.zeros(layer["count"], maps.shape[1], layer["kernel"], layer["kernel"])
    pairs = [(out, into) for out, seen in enumerate(layer["from"]) for into in seen]
    outs, intos = torch.tensor(pairs).unbind(1)
    dense[outs, intos] = weights.view(-1, layer["kernel"], layer["kernel"])
    return functional.conv2d(maps, dense, bias, padding=layer["padding"])


def _full(layer: Layer, maps: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    return functional.linear(maps.flatten(1), weights.view(layer["count"], -1), bias)


def _subsample(layer: Layer, maps: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    area = int(layer["window"]) ** 2
    return _average(layer, maps) * area * weights[:, None, None] + bias[:, None, None]


def _max(layer: Layer, maps: Tensor) -> Tensor:
    return functional.max_pool2d(maps, layer["window"], layer["stride"])


def _average(layer: Layer, maps: Tensor) -> Tensor:
    return functional.avg_pool2d(maps, layer["window"], layer["stride"])


def _rbf(layer: Layer, features: Tensor, weights: Tensor) -> Tensor:
    return -(features[:, None] - weights.view(layer["count"], -1)).square().sum(2)


KINDS: dict[str, Callable[..., Tensor]] = {
    "convolution": _convolution,
    "full": _full,
    "subsample": _subsample,
    "max": _max,
    "average": _average,
    "rbf": _rbf,
}
