"""What each layer of a network costs and how far it sees, counted in a forward pass that holds no memory."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch._ops import OpOverload

from cnnlit.results.outlines import Outlined, tensors_in
from cnnlit.results.receptive_field import Field, ReceptiveFields

Detail = Literal["blocks", "layers"]
FLOAT_BYTES = 4

KINDS = {
    "Conv2d": "convolution",
    "TableConv2d": "convolution",
    "Linear": "fully connected",
    "RadialBasisFunctions": "radial basis functions",
    "MaxPool2d": "pooling",
    "AvgPool2d": "pooling",
    "AdaptiveAvgPool2d": "pooling",
    "Subsample": "pooling",
    "_BatchNorm": "normalization",
    "LocalResponseNorm": "normalization",
    "ZeroPadding": "shortcut",
}
"""Name of a class, or of one that it is derived from -> kind of layer."""


@dataclass(frozen=True)
class Layer:
    """A row: a layer, or a block of several that is shown as one.

    Args:
        name: as the paper has it.
        module: path within the network.
        kind: one of KINDS; `block` for several kinds; `other`.
        operation: what it does, for a person.
        output: shape for one image.
        parameters: trained values.
        weights: of these, those of kernels and matrices, without biases, scales and shifts.
        macs: multiply-adds of convolutions and matrices for one image, without biases.
        units: outputs of layers that have weights, normalisation aside.
        connections: inputs of all units, their biases included.
        receptive_field: side of the square of pixels that one output depends on, beyond the image's edges too.
        stride: distance of neighbouring outputs, in pixels; None for what has no neighbours.
        activation_bytes: outputs of the layers for one image, as float32; activation functions overwrite theirs.
        training_only: not a part of the network that answers.
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
    """What the layers of one kind have of a network that answers."""

    layers: int
    parameters: int
    macs: int
    activation_bytes: int


@dataclass
class Call:
    """One call of a module in a forward pass.

    Args:
        path: of the module.
        module: that was called.
        input: its first argument.
        repeated: it was called before.
        parts: the calls within this one.
        output: what it returned, for a batch; the first of several.
        field: that of the output.
    """

    path: str
    module: nn.Module
    input: Tensor
    repeated: bool
    parts: list["Call"] = field(default_factory=list)
    output: Tensor | None = None
    field: Field | None = None


class LayerTable:
    """The layers of a network in the order of their execution, and what they come to.

    Args:
        network: on the meta device.
        image: shape [C, H, W] of the images.
    """

    def __init__(self, network: nn.Module, image: tuple[int, int, int]) -> None:
        answering = _Pass(network, image, training=False)
        self._calls, self._more_calls = answering.root.parts, list[Call]()
        self.parameters = sum(p.numel() for p in network.parameters())
        used = answering.used
        self.parameters_inference = sum(p.numel() for p in network.parameters() if id(p) in used)
        if self.parameters_inference < self.parameters:
            training = _Pass(network, image, training=True)
            called = {call.path for call in _all(self._calls)}
            self._more_calls = [call for call in training.root.parts if call.path not in called]
        layers = [layer for layer in self.rows("layers") if not layer.training_only]
        self.macs = sum(layer.macs for layer in layers)
        self.units = sum(layer.units for layer in layers)
        self.connections = sum(layer.connections for layer in layers)
        self.activation_bytes = sum(layer.activation_bytes for layer in layers)
        self.shares = _shares(layers)

    def rows(self, detail: Detail) -> list[Layer]:
        """The table, without activation functions and dropout.

        Args:
            detail: `blocks` shows what has branches, such as an Inception module, as one row; `layers` each layer.
        """
        more = (replace(row, training_only=True) for row in _rows(self._more_calls, detail))
        return [*_rows(self._calls, detail), *more]


class _Pass(Outlined):
    """A forward pass of two images, for batch normalisation in training refuses one, and what was called in it."""

    def __init__(self, network: nn.Module, image: tuple[int, int, int], *, training: bool) -> None:
        super().__init__()
        images = torch.empty(2, *image, device="meta")
        self.root = Call("", network, images, repeated=False)
        self.used: set[int] = set()
        self._fields = ReceptiveFields(images)
        self._open = [self.root]
        self._seen: set[int] = set()
        was_training = network.training
        network.train(training)
        with torch.no_grad(), _hooked(network, self._enter, self._leave), self:
            network(images)
        network.train(was_training)

    def note(self, operation: OpOverload, args: tuple[Any, ...], outputs: Any) -> None:
        self.used.update(id(tensor) for tensor in tensors_in(args))
        self._fields.follow(operation, args, outputs)

    def _enter(self, path: str, module: nn.Module, inputs: Any) -> None:
        call = Call(path, module, next(tensors_in(inputs)), repeated=id(module) in self._seen)
        self._seen.add(id(module))
        self._open[-1].parts.append(call)
        self._open.append(call)

    def _leave(self, path: str, module: nn.Module, inputs: Any, outputs: Any) -> None:
        call = self._open.pop()
        call.output = next(tensors_in(outputs))
        seen, window = self._fields.of(call.input), getattr(module, "window", None)
        # What these layers do is known, with whatever arithmetic they do it.
        if seen and _kind(module) == "normalization":
            self._fields.put(call.output, seen)
        elif seen and isinstance(window, int):
            self._fields.put(call.output, seen.through(window, module.stride))
        call.field = self._fields.of(call.output)


@contextmanager
def _hooked(network: nn.Module, enter: Callable[..., None], leave: Callable[..., None]) -> Iterator[None]:
    """Within the block all modules below the network say when they are called, and with what."""
    handles = []
    for path, module in network.named_modules():
        if module is not network:
            handles.append(module.register_forward_pre_hook(lambda m, i, path=path: enter(path, m, i)))
            handles.append(module.register_forward_hook(lambda m, i, o, path=path: leave(path, m, i, o)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _all(calls: list[Call]) -> Iterator[Call]:
    for call in calls:
        yield call
        yield from _all(call.parts)


def _rows(calls: list[Call], detail: Detail) -> Iterator[Layer]:
    for call in calls:
        if not list(call.module.children()):
            yield from _layer(call)
        elif detail == "layers" or type(call.module) is nn.Sequential:
            yield from _rows(call.parts, detail)
        else:
            yield from _block(call)


def _layer(call: Call) -> Iterator[Layer]:
    """The row of one layer; none for what passes its input on or changes it value by value."""
    module, output, seen = call.module, call.output, call.field
    assert output is not None
    assert seen is not None
    kind = _kind(module)
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
    elif kind == "pooling" and parameters:  # a coefficient and a bias for each map
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


def _kind(module: nn.Module) -> str:
    return next((KINDS[each.__name__] for each in type(module).__mro__ if each.__name__ in KINDS), "other")


def _block(call: Call) -> Iterator[Layer]:
    """The row of a block of layers; none where it has no layers."""
    layers = list(_rows(call.parts, "layers"))
    if not layers:
        return
    assert call.output is not None
    assert call.field is not None
    kinds = {layer.kind for layer in layers if layer.macs} or {layer.kind for layer in layers}
    few = ", ".join(layer.operation for layer in layers)
    yield Layer(
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
    """As the paper has it: `conv1_1` for `conv1.conv1_1`, but `conv2_x.0`."""
    above, _, own = path.rpartition(".")
    return own if above and own.startswith(above.rpartition(".")[2]) else path


def _tally(layers: list[Layer]) -> str:
    counts = {"conv": "convolution", "linear": "fully connected"}
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


def _step(module: nn.Module) -> str:
    stride = getattr(module, "stride", 1)
    step = stride if isinstance(stride, int) else stride[0]
    return f"/{step}" if step > 1 else ""


def _shares(layers: list[Layer]) -> dict[str, Share]:
    """Kind -> what its layers have, in the order of the network."""
    shares: dict[str, Share] = {}
    for layer in layers:
        so_far = shares.get(layer.kind, Share(0, 0, 0, 0))
        own = Share(1, layer.parameters, layer.macs, layer.activation_bytes)
        shares[layer.kind] = Share(*(a + b for a, b in zip(so_far, own, strict=True)))
    return shares
