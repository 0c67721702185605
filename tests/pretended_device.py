"""A device that is pretended: tensors say that they are on it, and are computed on the CPU.

Whatever mixes its tensors with the CPU's raises, as on a GPU; so does float64, which MPS does not have. Copies to and
from it are counted, and whatever makes the CPU wait for it: `.item()`, `bool(tensor)`, `nonzero`, `.cpu()`.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.weak import WeakTensorKeyDictionary

aten = torch.ops.aten

READS = {aten._local_scalar_dense, aten.is_nonzero, aten.equal, aten.item}
SIZES = {aten.nonzero, aten.masked_select, aten._unique2, aten.unique_dim, aten.unique_consecutive, aten.bincount}
"""Operations whose result has a size that only the device knows."""

COPIES = {aten._to_copy, aten.copy_, aten.copy}


class Traffic:
    """What went between the CPU and the device, each with the line of cnnlit that asked for it."""

    def __init__(self) -> None:
        self.waits: Counter[str] = Counter()
        """How often the CPU waited for the device: `aten.nonzero in metrics.py:80`."""
        self.uploads: Counter[str] = Counter()
        """How often a tensor was copied to the device: `float32 [10, 84] in losses.py:20`."""

    def wait(self, operation: str) -> None:
        self.waits[f"{operation} in {_asker()}"] += 1

    def upload(self, tensor: Tensor) -> None:
        self.uploads[f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)} in {_asker()}"] += 1


def _asker() -> str:
    """The innermost line of cnnlit that is at work, or of Lightning's."""
    frame: Any = sys._getframe(1)
    lines = []
    while frame:
        lines.append((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    for package in ("/cnnlit/", "/lightning/"):
        for file, number in lines:
            if package in file:
                return f"{file.rpartition('/')[2]}:{number}"
    return "torch"


class OnDevice(Tensor):
    """A tensor that says it is on the pretended device."""

    inner: Tensor
    device_type: ClassVar[str] = "cuda"
    traffic: ClassVar[Traffic] = Traffic()
    pinned: ClassVar[WeakTensorKeyDictionary] = WeakTensorKeyDictionary()
    """Tensors in pinned memory, from which copies wait for nobody."""

    @staticmethod
    def __new__(cls, inner: Tensor) -> "OnDevice":
        if inner.dtype == torch.float64:
            raise TypeError("float64 on a device that has none")
        made = Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device="meta",  # what C++ sees: with CUDA it would ask for a driver
            requires_grad=inner.requires_grad,
        )
        made.inner = inner
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device(self.device_type, 0)

    def tolist(self) -> Any:
        self.traffic.wait("tolist")
        return self.inner.tolist()

    def numpy(self, **_: Any) -> Any:
        raise TypeError("a tensor on the device is no array: .cpu() first")

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.inner.__reduce_ex__(protocol)  # as a checkpoint that is read with map_location="cpu"

    def __repr__(self, **_: Any) -> str:
        return f"OnDevice({self.inner!r})"

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return dispatched(operation, args, kwargs or {})


def dispatched(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operation on tensors that are all on the device, or all on the CPU, or copied between them."""
    kind = operation.overloadpacket
    tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
    there = [each for each in tensors if isinstance(each, OnDevice)]
    here = [each for each in tensors if not isinstance(each, OnDevice)]
    asked = kwargs.get("device")
    to_device = asked is not None and torch.device(asked).type in (OnDevice.device_type, "meta")
    if there:
        note_waits(kind, args, asked)
    if kind in COPIES:
        return copied(operation, args, kwargs, to_device=to_device)
    if there and any(each.dim() or kind in (aten.index, aten.index_put_) for each in here):
        shapes = ", ".join(f"{each.dtype} {list(each.shape)}" for each in here)
        raise RuntimeError(f"{operation}: {shapes} on the CPU, the others on the device")
    if to_device:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    inner_args, inner_kwargs = tree_map_only(OnDevice, lambda each: each.inner, (args, kwargs))
    result = operation(*inner_args, **inner_kwargs)
    if not there and not to_device:
        return result
    wrapped = tree_map_only(Tensor, lambda each: each if isinstance(each, OnDevice) else OnDevice(each), result)
    return return_and_correct_aliasing(operation, args, kwargs, wrapped) if there else wrapped


def note_waits(kind: Any, args: Any, asked: Any) -> None:
    """Count an operation for which the CPU waits."""
    masks = kind in (aten.index, aten.index_put_, aten.index_put) and any(
        each is not None and each.dtype == torch.bool for each in args[1]
    )
    if kind in READS | SIZES or masks or (asked is not None and torch.device(asked).type == "cpu"):
        OnDevice.traffic.wait(str(kind))


def copied(operation: Any, args: Any, kwargs: dict[str, Any], *, to_device: bool) -> Any:
    """A copy: within the device, to it, or from it."""
    source = args[1] if operation.overloadpacket in (aten.copy_, aten.copy) else args[0]
    target = args[0] if source is not args[0] else None
    from_device = isinstance(source, OnDevice)
    stays = from_device and kwargs.get("device") is None
    into_device = isinstance(target, OnDevice) if target is not None else to_device or stays
    if into_device and not from_device and source not in OnDevice.pinned:
        OnDevice.traffic.upload(source)
    if target is not None and from_device and not into_device:
        OnDevice.traffic.wait("copy to the CPU")
    kwargs = {key: torch.device("cpu") if key == "device" else value for key, value in kwargs.items()}
    inner_args = tree_map_only(OnDevice, lambda each: each.inner, args)
    result = operation(*inner_args, **kwargs)
    if target is not None:
        return target
    return OnDevice(result) if into_device else result


class Factories(TorchDispatchMode):
    """Within it, `torch.zeros(3, device=...)` makes tensors on the pretended device."""

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return dispatched(operation, args, kwargs or {})


def _pinned(tensor: Tensor) -> Tensor:
    copied = tensor.clone()
    OnDevice.pinned[copied] = True
    return copied


@contextmanager
def pretended() -> Iterator[Traffic]:
    """Within the block, a device is there: `cuda`, without float64, which MPS does not have."""
    OnDevice.traffic = Traffic()
    torch._C._ensureCUDADeviceGuardSet()  # one that does nothing, where there is no GPU
    with ExitStack() as stack:
        stack.enter_context(patch("torch.cuda._lazy_init", lambda: None))
        stack.enter_context(patch("torch.Tensor.pin_memory", _pinned))
        stack.enter_context(patch("torch.cuda.get_device_name", lambda device: "pretended"))
        stack.enter_context(patch("torch.cuda.get_device_capability", lambda device=None: (8, 0)))
        torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device=...) is made on the CPU and copied
        stack.callback(torch._C._set_only_lift_cpu_tensors, False)
        stack.enter_context(Factories())
        yield OnDevice.traffic
