"""Checkpoints, written whole or not at all; those of older versions are brought up to date."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from cnnlit.files import write_whole
from cnnlit.runs.moved import update_checkpoint


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints that are there whole or not at all, also when the process is killed while it writes.

    Args:
        previous: where the checkpoint goes whose place a new `last.ckpt` takes; None for nowhere.
    """

    def __init__(self, previous: Path | None = None) -> None:
        self.previous = previous

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        content = io.BytesIO()
        torch.save(checkpoint, content)
        previous = self.previous if Path(path).name == "last.ckpt" else None
        write_whole(Path(path), content.getbuffer(), previous=previous)

    def load_checkpoint(self, path: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return update_checkpoint(super().load_checkpoint(path, *args, **kwargs))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint on the CPU: plain containers and tensors."""
    return update_checkpoint(torch.load(path, map_location="cpu", weights_only=True))


def read_state_of_data(path: Path, name: str) -> dict[str, Any]:
    """What a checkpoint keeps of a data module, without reading the network's weights; empty if it keeps nothing.

    Args:
        path: of the checkpoint.
        name: of the data module's class.
    """
    checkpoint = update_checkpoint(torch.load(path, map_location="cpu", weights_only=True, mmap=True))
    state: dict[str, Any] = checkpoint.get(name, {})
    return state
