"""Networks as outlines: built and run with the shapes of their tensors, without their values.

torch's own way is the meta device, but most of its operations there are written in Python and cost a second of imports
before the first one. The few that these networks consist of are restated here; all others are left to torch.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cnnlit.description import dispatch_internals
from cnnlit.description.dispatch_internals import Dispatch, Operation, name_of, with_defaults

Shape = tuple[int, ...]


class Window(NamedTuple):
    """The window of a convolution or of pooling; two numbers each, for rows and columns."""

    size: Shape
    stride: Shape
    padding: Shape
    dilation: Shape = (1, 1)
    ceil: bool = False

    def positions(self, sides: Shape) -> Shape:
        """The number of windows along each side of a map, as torch counts them."""
        return tuple(self._along(axis, side) for axis, side in enumerate(sides))

    def _along(self, axis: int, side: int) -> int:
        stride, padding = self.stride[axis], self.padding[axis]
        steps = (side + 2 * padding - self.dilation[axis] * (self.size[axis] - 1) - 1) / stride
        count = (math.ceil(steps) if self.ceil else math.floor(steps)) + 1
        # A window that would start beyond the padded edge does not count.
        return count - 1 if self.ceil and (count - 1) * stride >= side + padding else count


class Outlined(Dispatch):  # type: ignore[no-untyped-call]
    """Within this context, networks are built with parameters on the meta device, and run on shapes alone."""

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        tensors = list(tensors_in(args))
        name = name_of(operation)
        if name == "empty":
            outputs = operation(*args, **{**kwargs, "device": "meta"})
        elif not any(tensor.is_meta for tensor in tensors):
            outputs = operation(*args, **kwargs)
        elif name.endswith("_") and not name.startswith("_"):  # in place
            outputs = args[0]
        elif (shapes := _shapes_after(operation, with_defaults(operation, args))) is not None:
            made = [torch.empty(shape, dtype=tensors[0].dtype, device="meta") for shape in shapes]
            outputs = made[0] if len(made) == 1 else tuple(made)
        else:
            outputs = operation(*args, **kwargs)
        self.note(operation, args, outputs)
        return outputs

    def note(self, operation: Operation, args: tuple[Any, ...], outputs: Any) -> None:
        """Called after each operation.

        Args:
            operation: one of torch's own (`aten::convolution`).
            args: its arguments.
            outputs: what it returned.
        """


def tensors_in(nested: Any) -> Iterator[Tensor]:
    """All tensors in nested lists and tuples."""
    if isinstance(nested, Tensor):
        yield nested
    elif isinstance(nested, list | tuple):
        for each in nested:
            yield from tensors_in(each)


def window_of(operation: Operation, args: tuple[Any, ...]) -> Window | None:
    """The window of a convolution or of pooling, from all its arguments; None for what else there is."""
    match name_of(operation):
        case "convolution" if not args[6]:
            _, kernels, _, stride, padding, dilation, *_ = args
            return Window(tuple(kernels.shape[2:]), _two(stride), _two(padding), _two(dilation))
        case "max_pool2d_with_indices" | "max_pool2d":
            _, size, stride, padding, dilation, ceil = args
            return Window(_two(size), _two(stride or size), _two(padding), _two(dilation), ceil)
        case "avg_pool2d":
            _, size, stride, padding, ceil, *_ = args
            return Window(_two(size), _two(stride or size), _two(padding), ceil=ceil)
    return None


def _two(sides: int | list[int]) -> Shape:
    sides = [sides] if isinstance(sides, int) else sides
    return tuple(sides) if len(sides) > 1 else (sides[0], sides[0])


def _shapes_after(operation: Operation, args: tuple[Any, ...]) -> list[Shape] | None:
    """The shapes of what an operation returns; None for one that torch is asked about."""
    shapes = [tuple(tensor.shape) for tensor in tensors_in(args)]
    if torch.Tag.pointwise in operation.tags:
        return [_broadcast(shapes)]
    if window := window_of(operation, args):
        maps, kernels = shapes[0], shapes[1:2]
        made = (maps[0], kernels[0][0] if kernels else maps[1], *window.positions(maps[2:]))
        return [made, made] if name_of(operation) == "max_pool2d_with_indices" else [made]
    match name_of(operation):
        case "mm":
            return [(shapes[0][0], shapes[1][1])]
        case "addmm":
            return [(shapes[1][0], shapes[2][1])]
        case "native_batch_norm":
            return [shapes[0], shapes[1], shapes[1]]
        case "cat":
            axis = args[1] % len(shapes[0])
            whole = list(shapes[0])
            whole[axis] = sum(shape[axis] for shape in shapes)
            return [tuple(whole)]
        case dispatch_internals.ADAPTIVE_AVERAGE_POOLING:
            return [(*shapes[0][:2], *args[1])]
        case "mean" | "sum" if isinstance(args[1], list) and args[1]:
            gone = {axis % len(shapes[0]) for axis in args[1]}
            return [tuple(1 if i in gone else n for i, n in enumerate(shapes[0]) if args[2] or i not in gone)]
        case "index_copy" | dispatch_internals.CONVERSION | "empty_like":
            return [shapes[0]]
    return None


def _broadcast(shapes: list[Shape]) -> Shape:
    ndim = max(len(shape) for shape in shapes)
    full = [(1,) * (ndim - len(shape)) + shape for shape in shapes]
    return tuple(next((side for side in sides if side != 1), 1) for sides in zip(*full, strict=True))
