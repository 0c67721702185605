"""How the input of an exported network is made, as JSON for programs in any language."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from cnnlit.files import write_json

CONSTANTS = "input_constants.npz"
LIKE = 1e-5
"""Up to this difference, constants of all pixels of a channel count as one."""


def write_input(
    folder: Path, form: Mapping[str, Any], image: Sequence[int], names: Sequence[str], folders: Sequence[str]
) -> Path:
    """Write input.json, and beside it the constants that are not the same at every pixel.

    Args:
        folder: where it goes.
        form: of ResumableData.input_form.
        image: shape of the network's images, [C, H, W].
        names: of the classes, in the order of the logits.
        folders: the folders of the classes' images; or empty.
    """
    channels = {1: "grey", 3: "RGB"}.get(image[0], f"{image[0]} channels")
    about: dict[str, Any] = {
        "input": {"name": "images", "dtype": "float32", "shape": ["N", *image], "channels": channels},
        "output": {"name": "logits", "dtype": "float32", "shape": ["N", len(names)]},
        "geometry": form.get("geometry", "not known: the data module does not say"),
    }
    if form:
        about["scale"] = _scale(folder, form["multiply"], form["add"])
    about["classes"] = [
        {"index": number, "name": name, **({"folder": folders[number]} if number < len(folders) else {})}
        for number, name in enumerate(names)
    ]
    write_json(folder / "input.json", about)
    return folder / "input.json"


def _scale(folder: Path, multiply: Tensor, add: Tensor) -> dict[str, Any]:
    formula = "pixel * multiply + add, with pixels from 0 to 255"
    constants = [each_channel(multiply), each_channel(add)]
    if None not in constants:
        return {"formula": formula, "multiply": constants[0], "add": constants[1]}
    np.savez(folder / CONSTANTS, multiply=multiply.numpy(), add=add.numpy())
    return {"formula": formula, "constants": f"{CONSTANTS}: multiply, add, float32 [C, H, W]"}


def each_channel(constants: Tensor) -> list[float] | None:
    """One number for each channel, if it is the same at all pixels."""
    flat = constants.flatten(1)
    same = (flat.amax(1) - flat.amin(1)).max() <= LIKE * flat.abs().max().clamp(min=1)
    return [round(float(value), 9) for value in flat[:, 0]] if same else None
