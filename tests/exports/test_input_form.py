"""input.json is enough to make a network's input with other means than ours."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cnnlit.data.images_in_memory import SyntheticImages
from cnnlit.data.small_images import SmallImages
from cnnlit.data.transforms.geometry import CenterCrop, Flip, ShorterSide
from cnnlit.exports.input_form import write_input


def made_elsewhere(folder: Path, image: Image.Image) -> np.ndarray[Any, Any]:
    """[C, H, W] as another program would make it, from the JSON alone."""
    about = json.loads((folder / "input.json").read_text())
    geometry, scale = about["geometry"], about["scale"]
    factor = geometry["resize_shorter_side"] / min(image.size)
    width, height = (round(side * factor) for side in image.size)
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    side_y, side_x = geometry["crop"]
    left, top = (width - side_x) // 2, (height - side_y) // 2
    pixels = np.asarray(resized.crop((left, top, left + side_x, top + side_y)), np.float32).transpose(2, 0, 1)
    constants = np.load(folder / "input_constants.npz") if "constants" in scale else scale
    multiply, add = (np.asarray(constants[name], np.float32) for name in ("multiply", "add"))
    shape = (-1, 1, 1) if multiply.ndim == 1 else multiply.shape
    return pixels * multiply.reshape(shape) + add.reshape(shape)


@pytest.mark.parametrize("normalization", ["mean_std", "mean_image"])
def test_another_program_makes_the_same_input(normalization: Any, tmp_path: Path) -> None:
    steps = [ShorterSide(pixels=256), CenterCrop(pixels=224), Flip()]
    data = SyntheticImages(image_size=224, normalization=normalization, augmentation=steps, num_classes=3)
    if normalization == "mean_image":
        ramp = torch.linspace(90, 140, 224).expand(3, 224, 224).clone()
        data.load_state_dict({"batches_done": 0, "mean_image": ramp})
    write_input(tmp_path, data.input_form(), (3, 224, 224), ["a", "b", "c"], ["n1", "n2", "n3"])
    random = np.random.default_rng(0)
    rough = Image.fromarray(random.integers(0, 256, (12, 16, 3), np.uint8)).resize((640, 480), Image.Resampling.BICUBIC)
    ours = data.as_input([torch.from_numpy(np.array(rough)).movedim(-1, 0)])
    theirs = made_elsewhere(tmp_path, rough)
    spread = float(ours.std())
    assert np.abs(ours[0].numpy() - theirs).max() < 0.03 * spread
    assert json.loads((tmp_path / "input.json").read_text())["classes"][1] == {"index": 1, "name": "b", "folder": "n2"}
    assert (tmp_path / "input_constants.npz").exists() == (normalization == "mean_image")


def test_digits_say_their_scale_and_their_ink(tmp_path: Path) -> None:
    write_input(tmp_path, SmallImages().input_form(), (1, 32, 32), [str(digit) for digit in range(10)], [])
    about = json.loads((tmp_path / "input.json").read_text())
    assert about["scale"]["add"] == [pytest.approx(-0.1)]
    assert [255 * each for each in about["scale"]["multiply"]] == [pytest.approx(1.275)]
    assert "inverted" in about["geometry"]["ink"]


def test_a_data_module_that_does_not_say_is_not_made_up_for(tmp_path: Path) -> None:
    write_input(tmp_path, {}, (3, 8, 8), ["a", "b"], [])
    about = json.loads((tmp_path / "input.json").read_text())
    assert about["geometry"].startswith("not known")
    assert "scale" not in about
