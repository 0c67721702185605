"""Everything in torch.distributed that is private: the store that processes share, and devices that do not exist."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # torch is imported where it is needed, for --help comes this way
    from torch.distributed.device_mesh import DeviceMesh


def connect_to_store() -> Any:
    """A connection of its own to the store that the processes of a run share; None before there is a process group.

    On torch's own connection a blocking call of one thread would keep the others waiting.
    """
    from torch import distributed

    return distributed.distributed_c10d._get_default_store().clone() if distributed.is_initialized() else None


@contextmanager
def fake_devices(count: int) -> Iterator["DeviceMesh"]:
    """A mesh of `count` devices of which this process is the first and the others do not exist.

    Tensors within the block have shapes but no values, and collectives return at once.
    """
    from torch import distributed
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed.device_mesh import init_device_mesh
    from torch.testing._internal.distributed.fake_pg import FakeStore

    distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=count)
    try:
        mesh = init_device_mesh("cpu", (count,))
        with FakeTensorMode(allow_non_fake_inputs=True):
            yield mesh
    finally:
        distributed.destroy_process_group()
