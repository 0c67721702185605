"""Which pixels of the image each value of a feature map depends on, traced operation by operation.

Windows are square and every operation treats rows and columns alike, so only rows are traced.
"""

from typing import Any, NamedTuple

from torch import Tensor

from cnnlit.description import dispatch_internals
from cnnlit.description.dispatch_internals import Operation, name_of, with_defaults
from cnnlit.description.shape_inference import tensors_in, window_of


class Field(NamedTuple):
    """Row i of a feature map depends on the `size` rows of pixels from `start + i * stride` on.

    Rows beyond the edges of the image count: a padded map depends on them as on any others.
    """

    start: float
    size: float
    stride: float

    def through(self, window: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> "Field":
        """The field of a map whose rows each depend on `window` rows of this one, as in convolution and pooling."""
        size = self.size + (window - 1) * dilation * self.stride
        return Field(self.start - padding * self.stride, size, self.stride * stride)

    def through_all(self, rows: int) -> "Field":
        """The field of a value that depends on all `rows` rows, as in a fully connected layer."""
        return Field(self.start, self.size + (rows - 1) * self.stride, self.stride)

    def joined(self, other: "Field") -> "Field":
        """The field of a map that depends on both, as when branches are added or concatenated."""
        start = min(self.start, other.start)
        end = max(self.start + self.size, other.start + other.size)
        return Field(start, end - start, max(self.stride, other.stride))


IMAGE = Field(0, 1, 1)


class ReceptiveFields:
    """The fields of all tensors computed from the images in a forward pass.

    Args:
        images: [N, C, H, W].
    """

    def __init__(self, images: Tensor) -> None:
        # The tensors are kept alive: the id of one that is gone would be given to the next.
        self._kept: dict[int, tuple[Tensor, Field]] = {id(images): (images, IMAGE)}

    def of(self, tensor: Tensor) -> Field | None:
        """The field, or None if the tensor does not depend on the images."""
        found = self._kept.get(id(tensor))
        return found[1] if found else None

    def put(self, tensor: Tensor, field: Field) -> None:
        self._kept[id(tensor)] = (tensor, field)

    def follow(self, operation: Operation, args: tuple[Any, ...], outputs: Any) -> None:
        """Record the fields of an operation's outputs.

        Args:
            operation: one of torch's own (`aten::convolution`).
            args: its arguments.
            outputs: what it returned.
        """
        inputs = [(tensor, field) for tensor in tensors_in(args) if (field := self.of(tensor))]
        for output in tensors_in(outputs) if inputs else ():
            self.put(output, _field_after(operation, args, inputs, output))


def _field_after(
    operation: Operation, args: tuple[Any, ...], inputs: list[tuple[Tensor, Field]], output: Tensor
) -> Field:
    (tensor, field), *_ = inputs
    args = with_defaults(operation, args)
    if window := window_of(operation, args):
        return field.through(window.size[0], window.stride[0], window.padding[0], window.dilation[0])
    match name_of(operation):
        case dispatch_internals.ADAPTIVE_AVERAGE_POOLING:
            return _adapted(field, tensor.shape[2], output.shape[2])
        case "slice" if tensor.ndim == 4 and args[1] in (2, -2):
            start = range(tensor.shape[2])[args[2] :][0] if args[2] else 0
            return Field(field.start + start * field.stride, field.size, field.stride * args[4])
        case "constant_pad_nd" if len(args[1]) >= 4:
            return field._replace(start=field.start - args[1][2] * field.stride)
    # Everything else either keeps the rows or mixes all of them.
    fields = [each if _has_rows(made, output) else _all_of(made, each) for made, each in inputs]
    field = fields[0]
    for other in fields[1:]:
        field = field.joined(other)
    return field


def _has_rows(one: Tensor, other: Tensor) -> bool:
    return one.ndim == other.ndim == 4 and one.shape[2] == other.shape[2]


def _all_of(tensor: Tensor, field: Field) -> Field:
    return field.through_all(tensor.shape[2]) if tensor.ndim == 4 else field


def _adapted(field: Field, rows: int, output_rows: int) -> Field:
    """The field when `output_rows` windows divide up all `rows`; if they are uneven, that of the widest."""
    windows = [(i * rows // output_rows, -(-(i + 1) * rows // output_rows)) for i in range(output_rows)]
    widest = max(end - start for start, end in windows)
    step = rows // output_rows if rows % output_rows == 0 else rows / output_rows
    return Field(field.start, field.size + (widest - 1) * field.stride, field.stride * step)
