"""Which networks a page can show; known without PyTorch."""

from collections.abc import Mapping
from typing import Any

TITLES = {"LeNet5": "LeNet-5", "CompactNet": "CompactNet"}
"""Class -> what a page calls its network."""


def check_network(model: Mapping[str, Any]) -> None:
    """Refuse a network that a page cannot compute.

    Raises:
        ValueError: one line that names those that it can, and what others would cost.
    """
    name = str(model["_target_"]).rpartition(".")[2]
    if name not in TITLES:
        raise ValueError(
            f"format=web: a page computes {' and '.join(TITLES.values())} by itself, not {name}, which would take "
            "onnxruntime-web (19 MB of it, and all weights, in every page); say format=onnx"
        )


def check_shown(model: Mapping[str, Any]) -> None:
    """Refuse a network that a page cannot show; see also `check_network`.

    Raises:
        ValueError: one line.
    """
    check_network(model)
    if model["in_channels"] != 1:
        raise ValueError(
            f"format=web: data.in_channels={model['in_channels']}: a page draws in grey, one channel alone"
        )
