"""A diagram of a network's modules and their connections, by torchview and graphviz."""

import importlib.util
import shutil
from pathlib import Path

from torch import nn

from cnnlit.description.layer_table import Detail
from cnnlit.files import write_whole

SUFFIXES = (".png", ".svg", ".pdf")
WHOLE_DEPTH = 9
"""Deeper than modules are nested in any network here."""


def draw(network: nn.Module, image: tuple[int, int, int], path: str, detail: Detail) -> None:
    """Draw a network.

    Args:
        network: on the meta device.
        image: shape [C, H, W] of its input.
        path: the file to write; its suffix is the format.
        detail: blocks or layers.

    Raises:
        ValueError: for another suffix, or if torchview, graphviz or its program dot is missing.
    """
    suffix = Path(path).suffix
    if suffix not in SUFFIXES:
        raise ValueError(f"picture={path}: must end in {', '.join(SUFFIXES)}")
    if not all(importlib.util.find_spec(package) for package in ("torchview", "graphviz")):
        raise ValueError(f'picture={path} needs the package torchview: pip install "cnnlit[pictures]"')
    if not shutil.which("dot"):
        raise ValueError(f"picture={path} needs graphviz's program dot: apt install graphviz, brew install graphviz")
    from torchview import draw_graph

    stages = any(type(child) is nn.Sequential for child in network.children())
    depth = WHOLE_DEPTH if detail == "layers" else 1 + stages
    graph = draw_graph(network, input_size=(1, *image), device="meta", depth=depth, mode="eval")
    write_whole(Path(path), graph.visual_graph.pipe(format=suffix.removeprefix(".")))
