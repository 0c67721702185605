"""Everything private in torch that following a network operation by operation needs."""

from typing import Any

from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

Operation = OpOverload
"""One of torch's own operations, as `aten::convolution`."""

ADAPTIVE_AVERAGE_POOLING = "_adaptive_avg_pool2d"
"""What torch calls the operation behind nn.AdaptiveAvgPool2d."""

CONVERSION = "_to_copy"
"""What torch calls the operation behind Tensor.to."""


class Dispatch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within this context every operation of torch is passed to `__torch_dispatch__`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # True makes torch import its compiler, which takes seconds, only to keep it out of here


def name_of(operation: Operation) -> str:
    """`convolution` for `aten::convolution.default`."""
    return str(operation.overloadpacket.__name__)


def with_defaults(operation: Operation, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """All positional arguments of a call, including those that were left out."""
    return (*args, *(argument.default_value for argument in operation._schema.arguments[len(args) :]))
