"""How a run is spread over several devices: the choices of `trainer.strategy`."""

from datetime import timedelta
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy, Strategy
from torch import distributed, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from cnnlit.parallel.communication import gradient_bytes
from cnnlit.parallel.devices import uses_gpu
from cnnlit.parallel.lightning_internals import Launched, configure_with, meeting_at
from cnnlit.parallel.towers import Towers
from cnnlit.parallel.trainer_arguments import StrategyName, check_strategy_name
from cnnlit.parallel.worlds import fresh_store

PLACED_PRECISIONS = ("32-true", "bf16-mixed", "bf16-true", "16-true")
"""Of a network whose parameters are spread over devices."""


def check_strategy(
    name: str,
    *,
    accelerator: str,
    num_devices: int,
    network: nn.Module,
    recipe: Any,
    compiled: bool | str,
    sync_batchnorm: bool,
    precision: str = "32-true",
    dense: bool = False,
) -> None:
    """Refuse what cannot be trained with a strategy, before anything starts.

    Args:
        name: the value of `trainer.strategy`.
        accelerator: the value of `trainer.accelerator`.
        num_devices: on all machines together.
        network: the network to be trained.
        recipe: its `batch_size`, `micro_batch_size`, `mixing`, `optimizer` and `averaging_decay` are read.
        compiled: the value of `compile`; False for `auto`, which then compiles nothing.
        sync_batchnorm: whether batch normalisation shall use the statistics of all devices.
        precision: the value of `trainer.precision`.
        dense: whether the test shows the network uncropped views.

    Raises:
        ValueError: one line that says what is wrong and what is allowed.
    """
    check_strategy_name(name)
    said = f"trainer.strategy={name}"
    replicas = num_devices // 2 if name == "two_towers" else num_devices
    if name == "two_towers":
        if not Towers.fit(network):
            raise ValueError(f"{said}: this model has no two towers; there is model=alexnet with model.groups=2")
        if num_devices % 2 or not num_devices:
            raise ValueError(
                f"{said} with trainer.devices={num_devices}: two devices hold a network; the number must be even"
            )
    if recipe.batch_size < replicas:
        raise ValueError(f"recipe.batch_size={recipe.batch_size} is less than the {replicas} replicas that share it")
    if sync_batchnorm and (name in ("fsdp", "two_towers") or not uses_gpu(accelerator)):
        raise ValueError("trainer.sync_batchnorm=true: needs trainer.strategy=ddp on GPUs")
    if compiled == "cuda_graphs" and num_devices > 1:
        raise ValueError(f"compile=cuda_graphs: on one device, here are {num_devices}; use compile=true")
    if name in ("fsdp", "two_towers"):
        _check_placed(said, precision, dense=dense)
        if compiled:
            raise ValueError(f"compile={str(compiled).lower()}: not with {said}")
        if not all(parameter.is_contiguous() for parameter in network.parameters()):
            raise ValueError(f"channels_last=true: not with {said}, which share out weights as they lie; use ddp")
        if recipe.micro_batch_size:
            raise ValueError(f"recipe.micro_batch_size={recipe.micro_batch_size}: not with {said}; use ddp")
        if recipe.mixing:
            raise ValueError(f"recipe.mixing: mixes a batch over all devices, which is not with {said}; use ddp")
        if recipe.averaging_decay:
            raise ValueError(f"recipe.averaging_decay={recipe.averaging_decay}: not with {said}; use ddp")
        if hasattr(recipe.optimizer_for(network), "estimate"):
            raise ValueError(f"recipe.optimizer: estimates curvatures, which {said} cannot; use ddp")


def _check_placed(said: str, precision: str, *, dense: bool) -> None:
    """Refuse how a network in parts can be neither computed nor tested."""
    if precision not in PLACED_PRECISIONS:
        known = ", ".join(PLACED_PRECISIONS)
        raise ValueError(f"trainer.precision={precision}: not with {said}, which takes {known}; or use ddp")
    if dense:
        raise ValueError(
            f"protocol: shows whole images to the network at once, which is not with {said}; train with "
            "protocol=single_crop, and evaluate the run with this protocol, or use ddp"
        )


def replicas_note(name: str, num_devices: int, network: nn.Module) -> str | None:
    """What several devices will do where no strategy was chosen; None where one was."""
    if name != "auto" or num_devices == 1:
        return None
    note = f"{num_devices} devices: {num_devices} replicas of the network (ddp), which share each batch"
    if num_devices % 2 == 0 and Towers.fit(network):
        note += "; trainer.strategy=two_towers puts half of its feature maps on each device, as in 2012"
    return note


def strategy_for(name: StrategyName, *, num_devices: int, timeout_seconds: float) -> Strategy | str:
    """The strategy of this name; on one device Lightning's choice.

    Args:
        name: the value of `trainer.strategy`; `auto` is `ddp` on several devices.
        num_devices: on all machines together.
        timeout_seconds: how long a device waits for the others before the run ends with an error.
    """
    timeout = timedelta(seconds=timeout_seconds)
    if name == "two_towers":
        return TwoTowers(num_devices, timeout)
    if num_devices == 1:
        return "auto"
    if name == "fsdp":
        return FullyShardedReplicas(num_devices, timeout)
    return DataParallel(timeout=timeout)


class Distributed(Launched):
    """What all strategies for several devices share: how they start processes, and that they test the same network."""

    model: Any
    distributed_sampler_kwargs: dict[str, Any]
    root_device: torch.device

    def setup_environment(self) -> None:
        """Let the processes meet where none of an earlier start of torchrun's is looked for."""
        with meeting_at(fresh_store()):
            super().setup_environment()  # type: ignore[misc]  # of Lightning's strategy

    def replica_group(self) -> distributed.ProcessGroup | None:
        """The processes whose buffers are to be equal; None for all."""
        return None

    def exchanged(self) -> dict[str, Any]:
        """Bytes that a device sends in a training step: activations by layer, gradients, weights."""
        replicas = self.distributed_sampler_kwargs["num_replicas"]
        return {"gradients": gradient_bytes(self.model, replicas)}

    def on_validation_start(self) -> None:
        """Give all replicas the first one's running statistics, so that the network tested is the one saved."""
        for buffer in self.model.buffers():
            local = buffer.to_local() if isinstance(buffer, DTensor) else buffer
            distributed.broadcast(local, group=self.replica_group(), group_src=0)

    on_test_start = on_validation_start


class DataParallel(Distributed, DDPStrategy):
    """Each device holds the whole network and a share of the batch; gradients are averaged (DDP)."""

    def configure_ddp(self) -> None:
        super().configure_ddp()
        if self.root_device.type == "cpu" and self.world_size > 2:
            self.model.register_comm_hook(None, averaged_one_by_one)


def averaged_one_by_one(
    _: None,
    bucket: distributed.GradBucket,  # type: ignore[name-defined]  # DDP looks at the annotation
) -> torch.futures.Future[torch.Tensor]:
    """Average the gradients of a bucket over all processes, each by itself.

    After its first step DDP sorts gradients into other buckets, and a sum over three or more processes depends in its
    last bits on the place in a bucket: a resumed run, whose first step is another, would end with other bits.
    """
    averaged = bucket.buffer().div_(distributed.get_world_size())
    sums = [distributed.all_reduce(gradient, async_op=True).get_future() for gradient in bucket.gradients()]
    return torch.futures.collect_all(sums).then(lambda _: averaged)


class PlacedNetwork(Distributed, ModelParallelStrategy):
    """The network's parameters are spread over devices, yet checkpoints are the same as those of one device.

    Args:
        replicas: how many share each batch.
        devices_per_replica: how many hold a replica together.
        timeout: of every wait of a device for another.
    """

    def __init__(self, replicas: int, devices_per_replica: int, timeout: timedelta) -> None:
        super().__init__(replicas, devices_per_replica, save_distributed_checkpoint=False, timeout=timeout)

    def place(self, network: nn.Module) -> None:
        """Spread the network's parameters over the devices of `device_mesh`."""
        raise NotImplementedError

    def setup_environment(self) -> None:
        super().setup_environment()
        # Lightning expects the LightningModule to place its own parameters; ours knows nothing of devices.
        assert self.lightning_module is not None
        configure_with(self.lightning_module, self._place_once)

    def _place_once(self) -> None:
        network: Any = self.lightning_module.model  # type: ignore[union-attr]
        if not any(isinstance(parameter, DTensor) for parameter in network.parameters()):
            network.to(self.root_device)
            self.place(network)

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """Load an ordinary checkpoint, whatever number of devices wrote it; each device takes its part.

        Lightning's own method assumes that the optimizer's parameters are in the model's order, which they are not if
        some are exempt from weight decay.
        """
        checkpoint: dict[str, Any] = self.checkpoint_io.load_checkpoint(checkpoint_path, weights_only=weights_only)
        assert self.model is not None
        set_model_state_dict(self.model, checkpoint["state_dict"], options=StateDictOptions(full_state_dict=True))
        for optimizer, state in zip(self.optimizers, checkpoint.get("optimizer_states", []), strict=False):
            set_optimizer_state_dict(
                self.model, optimizer, self._by_name(optimizer, state), options=StateDictOptions(full_state_dict=True)
            )
        return checkpoint

    def _by_name(self, optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        """An optimizer's state, keyed by the parameters' names in place of their numbers."""
        assert self.model is not None
        names = {id(parameter): name for name, parameter in self.model.named_parameters()}
        groups = []
        values: dict[str, Any] = {}
        for group, saved in zip(optimizer.param_groups, state["param_groups"], strict=True):
            named = [names[id(parameter)] for parameter in group["params"]]
            groups.append({**saved, "params": named})
            numbered = zip(named, saved["params"], strict=True)
            values |= {name: state["state"][number] for name, number in numbered if number in state["state"]}
        return {"state": values, "param_groups": groups}


class FullyShardedReplicas(PlacedNetwork):
    """Each device holds a share of the batch and a shard of every parameter, gathered layer by layer (FSDP2).

    Args:
        num_devices: on all machines together.
        timeout: of every wait of a device for another.
    """

    def __init__(self, num_devices: int, timeout: timedelta) -> None:
        super().__init__(num_devices, 1, timeout)

    def exchanged(self) -> dict[str, Any]:
        # A reduce-scatter of gradients, an all-gather of weights forwards and one backwards: half an all-reduce each.
        half = super().exchanged()["gradients"] // 2
        return {"gradients": half, "weights": 2 * half}

    def place(self, network: nn.Module) -> None:
        mesh = self.device_mesh["data_parallel"]
        for block in network.children():
            if any(True for _ in block.parameters()):
                fully_shard(block, mesh=mesh)
        fully_shard(network, mesh=mesh)


class TwoTowers(PlacedNetwork):
    """Each pair of devices holds a network, half of its feature maps on each; the pairs share the batch. See Towers.

    Args:
        num_devices: on all machines together; even.
        timeout: of every wait of a device for another.
    """

    def __init__(self, num_devices: int, timeout: timedelta) -> None:
        super().__init__(num_devices // 2, 2, timeout)
        self.towers: Towers | None = None

    def place(self, network: nn.Module) -> None:
        self.towers = Towers(network, self.device_mesh["tensor_parallel"])

    def exchanged(self) -> dict[str, Any]:
        assert self.towers is not None
        return self.towers.exchanged | super().exchanged()

    def replica_group(self) -> distributed.ProcessGroup:
        return self.device_mesh["data_parallel"].get_group()

    def post_backward(self, closure_loss: torch.Tensor) -> None:
        """Average each tower's gradients over the pairs."""
        replicas = self.device_mesh["data_parallel"].size()
        if replicas == 1:
            return
        assert self.model is not None
        gradients: list[Any] = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
        for gradient in gradients:
            distributed.all_reduce(gradient.to_local().div_(replicas), group=self.replica_group())
