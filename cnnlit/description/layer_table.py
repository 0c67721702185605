"""What each layer of a network costs and how far it sees, counted in a forward pass that allocates no memory."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from torch import nn

from cnnlit.description.forward_trace import Call, ForwardPass, kind_of

Detail = Literal["blocks", "layers"]
FLOAT_BYTES = 4


@dataclass(frozen=True)
class Layer:
    """A row: a layer, or a block of several layers shown as one.

    Args:
        name: the paper's.
        module: path within the network.
        kind: one of KINDS; `block` for several kinds; `other`.
        operation: what it does, for people.
        output: shape for one image.
        parameters: number of trainable values.
        weights: how many of these are in kernels and matrices, not biases, scales or shifts.
        macs: multiply-adds of convolutions and matrices for one image, without biases.
        units: number of outputs, for layers with weights other than normalisation.
        connections: inputs of all units, biases included.
        receptive_field: side of the square of pixels that an output depends on, counting those beyond the edges.
        stride: distance between neighbouring outputs, in pixels; None for outputs without neighbours.
        activation_bytes: size of the outputs for one image in float32; activation functions work in place.
        training_only: whether the layer is not used in inference.
    """

    name: str
    module: str
    kind: str
    operation: str
    output: tuple[int, ...]
    parameters: int = 0
    weights: int = 0
    macs: int = 0
    units: int = 0
    connections: int = 0
    receptive_field: int = 0
    stride: float | None = None
    activation_bytes: int = 0
    training_only: bool = False


class Share(NamedTuple):
    """The layers of one kind in the network used in inference."""

    layers: int
    parameters: int
    macs: int
    activation_bytes: int


class LayerTable:
    """The layers of a network in order of execution, and their totals.

    Args:
        network: on the meta device.
        image: shape [C, H, W] of the images.
    """

    def __init__(self, network: nn.Module, image: tuple[int, int, int]) -> None:
        answering = ForwardPass(network, image, training=False)
        self._calls, self._more_calls = answering.calls, list[Call]()
        self.parameters = sum(p.numel() for p in network.parameters())
        used = answering.used
        self.parameters_inference = sum(p.numel() for p in network.parameters() if id(p) in used)
        if self.parameters_inference < self.parameters:
            called = {call.path for call in self._calls}
            training = ForwardPass(network, image, training=True)
            self._more_calls = [call for call in training.calls if call.path not in called]
        layers = [layer for layer in self.rows("layers") if not layer.training_only]
        self.macs = sum(layer.macs for layer in layers)
        self.units = sum(layer.units for layer in layers)
        self.connections = sum(layer.connections for layer in layers)
        self.activation_bytes = sum(layer.activation_bytes for layer in layers)
        self.shares = _shares(layers)

    def rows(self, detail: Detail) -> list[Layer]:
        """The rows, without activation functions and dropout.

        Args:
            detail: `blocks` shows a module with branches, such as an Inception module, as one row; `layers` unfolds it.
        """
        more = (replace(row, training_only=True) for row in _rows(self._more_calls, detail))
        return [*_rows(self._calls, detail), *more]


def _rows(calls: list[Call], detail: Detail) -> Iterator[Layer]:
    for call in calls:
        if not list(call.module.children()):
            yield from _layer(call)
            continue
        layers = list(_rows(call.parts, detail))
        if len(layers) > 1 and (detail == "layers" or type(call.module) is nn.Sequential):
            yield from layers
        elif layers:
            yield _block(call)


def _layer(call: Call) -> Iterator[Layer]:
    """The row of one layer; none for modules that pass their input on or change it elementwise."""
    module, output, seen = call.module, call.output, call.field
    assert output is not None
    assert seen is not None
    kind = kind_of(module)
    parameters = list(module.parameters())
    if kind == "other" and not parameters and output.numel() == call.input.numel():
        return
    values = output[0].numel()
    kernels = units = connections = 0
    if kind in ("convolution", "fully connected"):
        kernels = math.prod(module.weight.shape)
    elif kind == "radial basis functions":
        kernels = sum(codes.numel() for codes in module.buffers())
    macs = kernels * math.prod(output.shape[2:])
    if kernels:
        units = values
        connections = macs + (units if getattr(module, "bias", None) is not None else 0)
    elif kind == "pooling" and parameters:  # a coefficient and a bias per map
        units = values
        connections = units * (module.window**2 + 1)
    yield Layer(
        name=_name(call.path),
        module=call.path,
        kind=kind,
        operation=_operation(call, kind),
        output=tuple(output.shape[1:]),
        parameters=0 if call.repeated else sum(p.numel() for p in parameters),
        weights=0 if call.repeated else sum(p.numel() for p in parameters if p.ndim > 1),
        macs=macs,
        units=units,
        connections=connections,
        receptive_field=round(seen.size),
        stride=seen.stride if output.ndim == 4 else None,
        activation_bytes=values * FLOAT_BYTES,
    )


def _block(call: Call) -> Layer:
    """The row of a block of layers."""
    layers = list(_rows(call.parts, "layers"))
    assert call.output is not None
    assert call.field is not None
    kinds = {layer.kind for layer in layers if layer.macs} or {layer.kind for layer in layers}
    few = ", ".join(layer.operation for layer in layers)
    return Layer(
        name=_name(call.path),
        module=call.path,
        kind=kinds.pop() if len(kinds) == 1 else "block",
        operation=few if len(layers) <= 2 else f"{type(call.module).__name__}, {_tally(layers)}",
        output=tuple(call.output.shape[1:]),
        parameters=0 if call.repeated else sum(p.numel() for p in call.module.parameters()),
        weights=sum(layer.weights for layer in layers),
        macs=sum(layer.macs for layer in layers),
        units=sum(layer.units for layer in layers),
        connections=sum(layer.connections for layer in layers),
        receptive_field=round(call.field.size),
        stride=call.field.stride if call.output.ndim == 4 else None,
        activation_bytes=sum(layer.activation_bytes for layer in layers),
    )


def _name(path: str) -> str:
    """The paper's name: `conv1_1` for `conv1.conv1_1`, but `conv2_x.0`."""
    above, _, own = path.rpartition(".")
    return own if above and own.startswith(above.rpartition(".")[2]) else path


def _tally(layers: list[Layer]) -> str:
    counts = {"conv": "convolution", "fc": "fully connected"}
    found = {short: sum(layer.kind == kind for layer in layers) for short, kind in counts.items()}
    return ", ".join(f"{count} {short}" for short, count in found.items() if count)


def _operation(call: Call, kind: str) -> str:
    module, name = call.module, type(call.module).__name__
    if kind == "convolution":
        window = f"conv {_side(module.weight.shape[-2:])}{_step(module)}"
        groups = getattr(module, "groups", 1)
        return window + (f", {groups} groups" if groups > 1 else "") + (", table" if name == "TableConv2d" else "")
    if name.startswith("Adaptive"):
        assert call.output is not None
        sides = call.output.shape[2:]
        return f"average to {_side(sides)}" if max(sides) > 1 else f"average {_side(call.input.shape[2:])}"
    if kind == "pooling":
        pool = {"MaxPool2d": "max", "AvgPool2d": "average", "Subsample": "sub-sampling"}[name]
        return f"{pool} {_side(getattr(module, 'kernel_size', None) or module.window)}{_step(module)}"
    if kind == "normalization":
        return "response norm" if name == "LocalResponseNorm" else "batch norm"
    return kind if kind != "other" else name


def _side(window: Any) -> str:
    height, width = (window, window) if isinstance(window, int) else window
    return f"{height}x{width}"


def _step(module: Any) -> str:
    stride = getattr(module, "stride", 1)
    step = stride if isinstance(stride, int) else stride[0]
    return f"/{step}" if step > 1 else ""


def _shares(layers: list[Layer]) -> dict[str, Share]:
    """Kind -> its layers' share, in the order of the network."""
    shares: dict[str, Share] = {}
    for layer in layers:
        so_far = shares.get(layer.kind, Share(0, 0, 0, 0))
        own = Share(1, layer.parameters, layer.macs, layer.activation_bytes)
        shares[layer.kind] = Share(*(a + b for a, b in zip(so_far, own, strict=True)))
    return shares
