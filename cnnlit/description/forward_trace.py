"""The modules that a network calls in a forward pass, and the receptive field of each output."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cnnlit.description.dispatch_internals import Operation
from cnnlit.description.receptive_field import Field, ReceptiveFields
from cnnlit.description.shape_inference import Outlined, tensors_in

KINDS = {
    "Conv2d": "convolution",
    "TableConv2d": "convolution",
    "Linear": "fully connected",
    "RadialBasisFunctions": "radial basis functions",
    "MaxPool2d": "pooling",
    "AvgPool2d": "pooling",
    "AdaptiveAvgPool2d": "pooling",
    "Subsample": "pooling",
    "BatchNorm1d": "normalization",
    "BatchNorm2d": "normalization",
    "BatchNorm3d": "normalization",
    "SyncBatchNorm": "normalization",
    "LocalResponseNorm": "normalization",
    "ZeroPadding": "shortcut",
}
"""Name of a class or of one of its bases -> kind of layer."""


def kind_of(module: nn.Module) -> str:
    """One of KINDS, or `other`."""
    return next((KINDS[each.__name__] for each in type(module).__mro__ if each.__name__ in KINDS), "other")


@dataclass
class Call:
    """One call of a module in a forward pass.

    Args:
        path: of the module.
        module: the one called.
        input: its first argument.
        repeated: whether it was called before.
        parts: the calls within this one.
        output: what it returned for a batch; the first of several outputs.
        field: the receptive field of the output.
    """

    path: str
    module: Any  # an nn.Module with the attributes of its kind
    input: Tensor
    repeated: bool
    parts: list["Call"] = field(default_factory=list)
    output: Tensor | None = None
    field: Field | None = None


class ForwardPass(Outlined):  # type: ignore[no-untyped-call]
    """A forward pass of two images: batch normalisation in training refuses a single one.

    Args:
        network: on the meta device.
        image: shape [C, H, W] of the images.
        training: whether in training mode; the network's own mode is restored afterwards.

    Attributes:
        calls: the calls in order.
        used: the `id` of every tensor that took part.
    """

    def __init__(self, network: nn.Module, image: tuple[int, int, int], *, training: bool) -> None:
        super().__init__()
        images = torch.empty(2, *image, device="meta")
        root = Call("", network, images, repeated=False)
        self.calls = root.parts
        self.used: set[int] = set()
        self._fields = ReceptiveFields(images)
        self._open = [root]
        self._seen: set[int] = set()
        was_training = network.training
        network.train(training)
        try:
            with torch.no_grad(), _hooked(network, self._enter, self._leave), self:
                network(images)
        finally:
            network.train(was_training)

    def note(self, operation: Operation, args: tuple[Any, ...], outputs: Any) -> None:
        self.used.update(id(tensor) for tensor in tensors_in(args))
        self._fields.follow(operation, args, outputs)

    def _enter(self, path: str, module: nn.Module, inputs: Any) -> None:
        call = Call(path, module, next(tensors_in(inputs)), repeated=id(module) in self._seen)
        self._seen.add(id(module))
        self._open[-1].parts.append(call)
        self._open.append(call)

    def _leave(self, path: str, module: Any, inputs: Any, outputs: Any) -> None:
        call = self._open.pop()
        call.output = next(tensors_in(outputs))
        seen, window = self._fields.of(call.input), getattr(module, "window", None)
        # What these layers do is known, whatever arithmetic they do it with.
        if seen and kind_of(module) == "normalization":
            self._fields.put(call.output, seen)
        elif seen and isinstance(window, int):
            self._fields.put(call.output, seen.through(window, module.stride))
        call.field = self._fields.of(call.output)


@contextmanager
def _hooked(network: nn.Module, enter: Callable[..., None], leave: Callable[..., None]) -> Iterator[None]:
    """Within the block, every module below the network reports when it is called, and with what."""
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
