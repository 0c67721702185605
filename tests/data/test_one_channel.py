"""Photographs are shown in grey to a network of one channel, the same in training, in a test and in predictions."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from as_typed import here
from PIL import Image

from cnnlit.data.image_folders import ImageFolder
from cnnlit.data.images_in_memory import TinyImageNet
from cnnlit.data.transforms.evaluation_crops import FiveCrops, Mirrored
from cnnlit.data.transforms.geometry import CenterCrop, ShorterSide


@pytest.fixture
def grey(tmp_path: Path) -> Path:
    """Class folders of grey photographs of 24x24 pixels."""
    random = np.random.default_rng(0)
    for number in range(24):
        place = tmp_path / "grey" / ("train" if number < 16 else "val") / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (24, 24), dtype=np.uint8)).save(place / f"{number}.png")
    return tmp_path / "grey"


@pytest.mark.parametrize("kind", [ImageFolder, TinyImageNet])
def test_grey_photographs_are_shown_as_they_are(grey: Path, kind: Any) -> None:
    data = kind(
        root=str(grey), num_classes=2, batch_size=4, image_size=24, in_channels=1, normalization="lecun1998",
        augmentation=[ShorterSide(pixels=24), CenterCrop(pixels=24)],
    )  # fmt: skip
    data.setup()
    stored = [torch.from_numpy(np.array(Image.open(path))) for path in sorted((grey / "val").rglob("*.png"))]
    assert len(data.test_images) == len(stored)
    for shown, picture in zip((data.test_images[index] for index in range(len(stored))), stored, strict=True):
        assert torch.equal(shown, picture)
    assert data.test_images[0].shape == (24, 24)
    assert data.as_seen([torch.zeros(3, 50, 60, dtype=torch.uint8)]).shape == (1, 24, 24)


def test_colours_become_their_luminance_in_several_views(photographs: Path) -> None:
    options: dict[str, Any] = {"root": str(photographs), "num_classes": 3, "batch_size": 4, "image_size": 24}
    views = [ShorterSide(pixels=32), FiveCrops(pixels=24), Mirrored()]
    one, three = (ImageFolder(**options, views=views, in_channels=number) for number in (1, 3))
    for data in (one, three):
        data.setup()
    (seen, _), (coloured, _) = (next(iter(data.test_dataloader())).groups[0] for data in (one, three))
    theirs = [np.asarray(Image.fromarray(each.movedim(0, -1).numpy()).convert("L")) for each in coloured]
    assert torch.equal(seen[:, 0], torch.from_numpy(np.stack(theirs)))


@pytest.mark.parametrize("words", [["protocol=single_crop"], ["protocol=ten_crop"]])
def test_a_network_of_one_channel_is_trained_tested_and_asked(grey: Path, tmp_path: Path, words: list[str]) -> None:
    trained = here(
        tmp_path, "train", "model=resnet20", "data=folder", f"data.root={grey}", "data.num_classes=2",
        "data.in_channels=1", "data.image_size=24", "data.val_split=4", "data.num_workers=0", "recipe.batch_size=4",
        "recipe.epochs=1", "logger=none", "trainer=cpu", f"hydra.run.dir={tmp_path / 'run'}",
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    asked = here(tmp_path, "predict", "run=run", f"images={grey / 'val'}", "format=json", "to=seen.png", *words)
    assert asked.returncode == 0, asked.stderr
    assert len(json.loads(asked.stdout)) == 8


def test_steps_that_change_colours_are_refused(grey: Path, tmp_path: Path) -> None:
    where = (f"data.root={grey}", "data.num_classes=2", "data.in_channels=1")
    outcome = here(tmp_path, "train", "model=alexnet", "data=folder", *where, "trainer=cpu")
    assert outcome.returncode == 2
    assert "data.in_channels=1: PCAColour changes colours; name a recipe.augmentation without it" in outcome.stderr
