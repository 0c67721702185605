"""AlexNet on two devices, as in 2012: half of the feature maps on each, exchanged before certain layers only."""

from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Placement, Replicate, Shard, distribute_tensor
from torch.nn import functional

from cnnlit.models.alexnet import AlexNet
from cnnlit.models.layers import LocalResponseNorm

JOINED = ("conv3", "fc6", "fc7", "fc8")
"""The layers that see both towers (Krizhevsky et al. 2012, Fig. 2)."""

WHOLE = "fc8"
"""The layer that both towers compute in full, so that both know the logits and the loss."""


class Towers:
    """Places an AlexNet on two devices; outputs, gradients and checkpoints stay those of one device.

    Each device holds half of the feature maps of every convolution and half of the units of fc6 and fc7, and computes
    them from its own half of the inputs. Before conv3, fc6, fc7 and fc8 the two exchange their halves, so that each
    sees all the inputs. Both compute the logits, from the same inputs. For dropout each device draws what one device
    would draw for all units, and uses its half.

    Parameters become DTensors on the mesh, split in half along their first dimension or, for fc8, replicated.

    Paper: Krizhevsky et al. 2012, Sec. 3.2 and Fig. 2. Unspecified: whether fc8's outputs were divided.

    Args:
        network: an AlexNet with two groups, the same on both devices.
        mesh: one dimension of two devices.

    Attributes:
        network: the same network, placed.
        exchanged: bytes that this device sent in the last forward and backward pass, by layer and direction.
    """

    def __init__(self, network: nn.Module, mesh: DeviceMesh) -> None:
        assert self.fit(network), "no two towers"
        self.network = network
        self.mesh = mesh
        self.exchanged: dict[str, dict[str, int]] = {}
        for name, layer in list(network.named_children()):
            self._place_layer(name, layer)

    @staticmethod
    def fit(network: nn.Module) -> bool:
        """Whether a network can be split into two towers."""
        return isinstance(network, AlexNet) and network.conv2.groups == 2

    def _place_layer(self, name: str, layer: nn.Module) -> None:
        places: list[Placement] = [Replicate() if name == WHOLE else Shard(0)]
        for key, parameter in list(layer.named_parameters(recurse=False)):
            setattr(layer, key, nn.Parameter(distribute_tensor(parameter.detach(), self.mesh, places)))
        for key, buffer in list(layer.named_buffers(recurse=False)):
            if buffer.ndim:
                setattr(layer, key, distribute_tensor(buffer, self.mesh, places))
        if type(layer) in TOWER_LAYERS:
            # As torch's fully_shard does: the layer keeps its name, hooks and settings, and checkpoints stay the same.
            layer.__class__ = TOWER_LAYERS[type(layer)]
        if isinstance(layer, nn.Conv2d | LocalResponseNorm):
            layer.groups = 1
        if isinstance(layer, TowerDropout):
            layer.tower, layer.num_towers = self.mesh.get_local_rank(), self.mesh.size()
        if name in JOINED:
            layer.register_forward_pre_hook(partial(self._join, name))

    def _join(self, name: str, layer: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        """This tower's maps or units [N, C, ...] -> those of both [N, 2C, ...], in the order of one device."""
        (own,) = inputs
        both = DTensor.from_local(own, self.mesh, [Shard(1)], run_check=False).redistribute(placements=[Replicate()])
        # Where each tower goes on to compute its own half, the gradients of the two add up; where both compute the
        # same, each has the whole gradient already.
        joined: Tensor = both.to_local(grad_placements=[Replicate() if name == WHOLE else Partial()])
        if layer.training and joined.requires_grad:
            self._count(name, "forward", own)
            if name != WHOLE:
                joined.register_hook(lambda gradient: self._count(name, "backward", gradient.chunk(2, dim=1)[0]))  # type: ignore[no-untyped-call]
        return joined

    def _count(self, name: str, direction: str, sent: Tensor) -> None:
        of_layer = self.exchanged.setdefault(name, {"forward": 0, "backward": 0})
        of_layer[direction] = max(of_layer[direction], sent.nbytes)


def _local(tensor: Any) -> Any:
    """This device's shard of a DTensor; None stays None."""
    return tensor if tensor is None else tensor.to_local()


class TowerConv2d(nn.Conv2d):
    """A convolution that computes this device's half of the feature maps."""

    def forward(self, maps: Tensor) -> Tensor:
        weight, bias = _local(self.weight), _local(self.bias)
        return functional.conv2d(maps, weight, bias, self.stride, self.padding, self.dilation, self.groups)


class TowerLinear(nn.Linear):
    """A fully connected layer that computes this device's half of the units; fc8 computes all."""

    def forward(self, units: Tensor) -> Tensor:
        return functional.linear(units, _local(self.weight), _local(self.bias))


class TowerBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation of this device's feature maps."""

    def forward(self, maps: Tensor) -> Tensor:
        if self.training:
            self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        return functional.batch_norm(
            maps,
            _local(self.running_mean),
            _local(self.running_var),
            _local(self.weight),
            _local(self.bias),
            self.training,
            self.momentum or 0.0,
            self.eps,
        )


class TowerDropout(nn.Dropout):
    """Dropout of this device's units [N, units], drawn as one device would for the units of both."""

    tower: int
    num_towers: int

    def forward(self, units: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return units
        whole = units.new_ones(len(units), self.num_towers * units.shape[1])
        return units * functional.dropout(whole, self.p).chunk(self.num_towers, dim=1)[self.tower]


TOWER_LAYERS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv2d: TowerConv2d,
    nn.Linear: TowerLinear,
    nn.BatchNorm2d: TowerBatchNorm2d,
    nn.Dropout: TowerDropout,
}
