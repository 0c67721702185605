"""A trained network in one safetensors file: its weights, and how it is asked about images.

Any reader of safetensors finds the weights under the network's own names. What else cnnlit needs to ask the network is
in the file's metadata, as JSON under `cnnlit`: the run's configuration and what its data were found to be.
"""

import base64
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

METADATA = "cnnlit"


class WeightsFile(NamedTuple):
    """What such a file holds."""

    state: dict[str, Tensor]
    """Under the network's names."""
    about: dict[str, Any]
    """As of `write_weights`; empty in a file that others wrote."""


def write_weights(path: Path, network: nn.Module, about: dict[str, Any]) -> None:
    """Write a network.

    Args:
        path: of the file.
        network: on the CPU.
        about: `config`, the model, data, recipe and seed of its run; `data_state`, the state of its data module;
            `record` and `results`, for its card; empty if they are not known. If JSON cannot say it, as the state of a
            foreign data module may be, the file holds weights alone.
    """
    from safetensors.torch import save_model

    try:
        metadata = {METADATA: json.dumps(about, default=_encoded)} if about else {}
    except TypeError:
        metadata = {}
    save_model(network, str(path), metadata={"format": "pt", **metadata})


def read_weights(path: Path) -> WeightsFile:
    """Read a file of `write_weights`, or any other of safetensors.

    Raises:
        OSError, safetensors.SafetensorError: if it is none.
    """
    from safetensors.torch import load_file

    return WeightsFile(dict(load_file(path)), read_about(path))


def read_about(path: Path) -> dict[str, Any]:
    """What a file says beside its weights; see read_weights."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    about: dict[str, Any] = json.loads(metadata.get(METADATA, "{}"), object_hook=_decoded)
    return about


def _encoded(value: Any) -> dict[str, Any]:
    if not isinstance(value, Tensor):
        raise TypeError(f"{type(value).__name__} cannot be kept beside weights")
    array = value.contiguous().numpy()
    return {"dtype": str(array.dtype), "shape": list(array.shape), "base64": base64.b64encode(array.tobytes()).decode()}


def _decoded(node: dict[str, Any]) -> Any:
    if node.keys() != {"dtype", "shape", "base64"}:
        return node
    array = np.frombuffer(bytearray(base64.b64decode(node["base64"])), node["dtype"])
    return torch.from_numpy(array.reshape(node["shape"]))
