"""How many bytes a training step sends between two devices: with the network split in two, or replicated on both."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from cnnlit.models.alexnet import AlexNet
from cnnlit.parallel.distributed_internals import fake_devices
from cnnlit.parallel.towers import JOINED, Towers


class Exchange(NamedTuple):
    """What each of two devices sends for one layer in one training step, in bytes."""

    layer: str
    towers: int
    """In two towers: activations forwards and their gradients back; zero where each tower sees only its own."""
    if_joined: int
    """In two towers, if this layer also saw both."""
    replicas: int
    """With a replica of the network on each device: the gradients of the layer's parameters."""


def gradient_bytes(model: nn.Module, replicas: int) -> int:
    """Bytes that a device sends to average its gradients over the replicas by ring all-reduce.

    Each device sends 2 (n - 1) / n of the gradients' size: one half to sum them up, the other to distribute the sums.
    """
    held = sum(_own(parameter, replicas) for parameter in model.parameters() if parameter.requires_grad)
    return 2 * (replicas - 1) * held // replicas


def _own(parameter: Tensor, replicas: int) -> int:
    """Bytes of a parameter's gradient: of a device's half in two towers, of all of it where replicas shard weights."""
    if not isinstance(parameter, DTensor):
        return parameter.nbytes
    shared = "data_parallel" in (parameter.device_mesh.mesh_dim_names or ())
    return parameter.nbytes if shared else parameter.to_local().nbytes


def exchanges(*, batch_size: int, **knobs: Any) -> list[Exchange]:
    """What each layer of an AlexNet would send, counted in the code that makes two towers exchange it.

    Nothing is computed: tensors have shapes but no values, and the second device does not exist.

    Args:
        batch_size: images per step, over both devices.
        knobs: AlexNet's keyword arguments.
    """
    with fake_devices(2) as mesh:
        network = AlexNet(**knobs)
        replicas = {name: gradient_bytes(layer, 2) for name, layer in network.named_children()}
        towers = Towers(network, mesh)
        inputs: dict[str, int] = {}

        def note(name: str, maps: Tensor) -> None:
            inputs[name] = maps.nbytes

        for name, layer in network.named_children():
            if replicas[name]:
                layer.register_forward_pre_hook(lambda _, maps, name=name: note(name, maps[0]))
        images = torch.empty(batch_size, network.conv1.in_channels, *[knobs.get("image_size", 224)] * 2)
        network(images).sum().backward()
    sent = {name: sum(directions.values()) for name, directions in towers.exchanged.items()}
    return [
        Exchange(
            name,
            towers=sent.get(name, 0),
            # The input is this tower's half or, after a join, both halves; conv1 sees the image, which both have.
            if_joined=sent[name] if name in JOINED else 0 if name == "conv1" else 2 * inputs[name],
            replicas=replicas[name],
        )
        for name in replicas
        if replicas[name]
    ]


def table(rows: list[Exchange]) -> str:
    """The exchanges as a Markdown table, in megabytes."""
    lines = [
        "| layer | sees | two towers | if joined here too | two replicas |",
        "|---|---|--:|--:|--:|",
    ]
    for row in rows:
        sees = "both towers" if row.layer in JOINED else "the image" if row.layer == "conv1" else "its own tower"
        lines.append(
            f"| {row.layer} | {sees} | " + " | ".join(map(_megabytes, (row.towers, row.if_joined, row.replicas))) + " |"
        )
    sums = [sum(column) for column in zip(*((row.towers, row.if_joined, row.replicas) for row in rows), strict=True)]
    lines.append("| **sum** | | " + " | ".join(f"**{_megabytes(value)}**" for value in sums) + " |")
    return "\n".join(lines)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f}" if count else "0"


if __name__ == "__main__":
    print(table(exchanges(batch_size=128)))  # noqa: T201
