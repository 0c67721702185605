"""The files that a network is exported to. Each is read back and asked before it counts as written."""

import importlib.util
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cnnlit.exports.weights_file import write_weights

Format = Literal["onnx", "torch_export", "safetensors", "web"]

NAMES: dict[Format, str] = {
    "onnx": "network.onnx",
    "torch_export": "network.pt2",
    "safetensors": "network.safetensors",
    "web": "network.html",
}

BATCHES = (2, 1, 3, 8)
"""Sizes of the batches that an exported network is asked; the first is the one it is exported with."""

TOLERANCE = 1e-4
"""Largest difference from the network's own answers, as a fraction of the largest of these, at least of 1."""

Answers = Callable[[Tensor], Tensor]


def require(format: Format) -> None:  # noqa: A002  the word for it
    """Refuse a format whose packages are missing.

    Raises:
        ValueError: one line that says how to install them.
    """
    needed = {"onnx": ("onnx", "onnxscript", "onnxruntime")}.get(format, ())
    if missing := [name for name in needed if importlib.util.find_spec(name) is None]:
        raise ValueError(f'format={format} needs {", ".join(missing)}: pip install "cnnlit[export]"')


def write(
    network: nn.Module,
    image: tuple[int, ...],
    format: Format,  # noqa: A002
    path: Path,
    about: dict[str, Any] | None = None,
) -> float:
    """Write a network to a file that takes batches of any size, and check what the file answers.

    Args:
        network: float32, on the CPU; put in evaluation mode.
        image: shape of its images, [C, H, W].
        format: of the file; a page is written by cnnlit.exports.web.
        path: of the file.
        about: what a safetensors file says beside its weights, see weights_file.

    Returns:
        The largest difference from the network's own logits on random images, relative as in TOLERANCE.

    Raises:
        ValueError: if the network cannot be exported, or the file answers otherwise.
    """
    network.eval()
    example = torch.randn(BATCHES[0], *image, generator=torch.Generator().manual_seed(0))
    writers: dict[Format, Callable[[nn.Module, Tensor, Path], Answers]] = {
        "onnx": _write_onnx,
        "torch_export": _write_torch_export,
        "safetensors": partial(_write_safetensors, about=about or {}),
    }
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of other packages about their own future
            answers = writers[format](network, example, path)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"format={format}: {type(network).__name__} cannot be exported: {reason}") from error
    found = difference(network, answers, image)
    if found > TOLERANCE:
        raise ValueError(f"format={format}: the file's answers differ from the network's by {found:.1e} of the largest")
    return found


def difference(network: nn.Module, answers: Answers, image: tuple[int, ...]) -> float:
    """The largest difference of answers from a network's own logits on random images, relative as in TOLERANCE."""
    return max(_difference(network, answers, image, size) for size in BATCHES)


@torch.no_grad()
def _difference(network: nn.Module, answers: Answers, image: tuple[int, ...], size: int) -> float:
    images = torch.randn(size, *image, generator=torch.Generator().manual_seed(size))
    expected = network(images)
    return float((answers(images) - expected).abs().max() / expected.abs().max().clamp(min=1))


def _exported(network: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    return torch.export.export(network, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))


def _write_torch_export(network: nn.Module, example: Tensor, path: Path) -> Answers:
    torch.export.save(_exported(network, example), path)
    answers: Answers = torch.export.load(path).module()
    return answers


def _write_onnx(network: nn.Module, example: Tensor, path: Path) -> Answers:
    import onnxruntime

    program = torch.onnx.export(
        _exported(network, example), input_names=["images"], output_names=["logits"], dynamo=True, verbose=False,
        dynamic_shapes=({0: torch.export.Dim("batch")},), external_data=False,
    )  # fmt: skip
    assert program is not None
    program.save(str(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])


def _write_safetensors(network: nn.Module, example: Tensor, path: Path, *, about: dict[str, Any]) -> Answers:
    import copy

    from safetensors.torch import load_model

    write_weights(path, network, about)
    again = copy.deepcopy(network)
    for parameter in again.parameters():
        parameter.zero_()
    load_model(again, str(path))
    return again
