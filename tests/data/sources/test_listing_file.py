"""A run lists its images and is not resumed on others."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from as_typed import here
from data.sources.test_named_splits import TRAINING, lay_out

from cnnlit.data.sources.folders import Listing
from cnnlit.data.sources.layouts import find_images
from cnnlit.data.sources.listing_file import LISTING, changes, listed, write_listing


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a run whose first of two epochs is done, and of its pictures."""
    home = tmp_path_factory.mktemp("user")
    lay_out(home / "pets", train="train", val="val")
    shown = here(home, *TRAINING, "data.root=pets", "data.val_split=2", "hydra.run.dir=run")
    assert shown.returncode == 0, shown.stderr
    return home


@pytest.fixture
def home(interrupted: Path, tmp_path: Path) -> Path:
    shutil.copytree(interrupted, tmp_path / "user")
    return tmp_path / "user"


def resumed(home: Path) -> Any:
    return here(home, "train", "resume=run", "recipe.epochs=2")


def test_a_run_goes_on_while_its_images_are_the_same(home: Path) -> None:
    assert resumed(home).returncode == 0


def test_a_renamed_class_and_a_new_file_are_named_and_refused(home: Path) -> None:
    (home / "pets" / "train" / "dog").rename(home / "pets" / "train" / "ape")
    (home / "pets" / "val" / "dog").rename(home / "pets" / "val" / "ape")
    shutil.copy(home / "pets" / "train" / "cat" / "train_0.png", home / "pets" / "train" / "cat" / "new.png")
    shown = resumed(home)
    assert shown.returncode == 2
    (line,) = shown.stderr.splitlines()
    for words in ("resume=", "1 class gone (dog)", "1 class new (ape)", "1 file new (train/cat/new.png)", "train anew"):
        assert words in line


def test_another_number_of_classes_is_no_other_mistake(home: Path) -> None:
    shutil.copytree(home / "pets" / "train" / "dog", home / "pets" / "train" / "ape")
    shutil.copytree(home / "pets" / "val" / "dog", home / "pets" / "val" / "ape")
    shown = resumed(home)
    assert shown.returncode == 2
    assert "1 class new (ape)" in shown.stderr
    assert "num_classes" not in shown.stderr


def test_an_evaluation_says_that_images_are_others(home: Path) -> None:
    (home / "pets" / "train" / "cat" / "train_3.png").unlink()
    shown = here(home, "evaluate", "run=run", "trainer=cpu")
    assert shown.returncode == 0, shown.stderr
    assert "1 file gone (train/cat/train_3.png)" in shown.stderr


def test_a_run_without_a_listing_goes_on_with_the_parts_that_it_had(home: Path) -> None:
    """As runs of 0.1.0: val was tested, also if there is a folder test now."""
    (home / "run" / LISTING).unlink()
    lay_out(home / "pets", test="test")
    shown = resumed(home)
    assert shown.returncode == 0, shown.stderr
    assert "6 test images" in " ".join((shown.stdout + shown.stderr).split())
    assert not (home / "run" / LISTING).is_file()
    shown = here(home, "evaluate", "run=run", "trainer=cpu")
    assert shown.returncode == 0, shown.stderr
    assert json.loads((home / "run" / "evaluations" / "single_crop.json").read_text())["test/num_images"] == 6


def test_other_labels_of_an_npz_file_are_refused(tmp_path: Path) -> None:
    random = np.random.default_rng(0)

    def write(labels: Any) -> None:
        images = random.integers(0, 256, (60, 28, 28), dtype=np.uint8)
        np.savez(tmp_path / "cells.npz", train_images=images, train_labels=labels)

    write(np.arange(60) % 3)
    words = (
        "train", "data=npz", "data.root=cells.npz", "data.num_classes=3", "model.head=linear",
        "recipe/loss=cross_entropy", "recipe/schedule=constant", "recipe.batch_size=8", "recipe.epochs=1",
        "logger=none", "trainer=cpu", "hydra.run.dir=run",
    )  # fmt: skip
    assert here(tmp_path, *words).returncode == 0
    write((np.arange(60) + 1) % 3)
    shown = resumed(tmp_path)
    assert shown.returncode == 2
    assert "images are no longer those" in shown.stderr


def test_seeds_in_lock_step_have_a_listing_each(tmp_path: Path) -> None:
    tiny = tmp_path / "tiny"
    lay_out(tiny, train="train", val="val", test="test")
    words = (
        "train", "model.in_channels=3", "data=tiny_imagenet", "data.num_classes=2", "data.root=tiny",
        "data.image_size=32", "recipe.batch_size=4", "recipe.epochs=1", "recipe/loss=cross_entropy",
        "model.head=linear", "recipe.augmentation=[]", "logger=none", "trainer=cpu", "replicas=2",
        "replicas_as=stack", "hydra.run.dir=stack",
    )  # fmt: skip
    shown = here(tmp_path, *words)
    assert shown.returncode == 0, shown.stderr
    for place in ("", "0", "1"):
        assert (tmp_path / "stack" / place / LISTING).is_file()


def test_the_same_pictures_elsewhere_are_no_change_and_other_labels_are_one(photographs: Path, tmp_path: Path) -> None:
    listing = find_images(photographs)
    write_listing(tmp_path, listed(listing))
    shutil.copytree(photographs, tmp_path / "copy")
    assert changes(tmp_path, listed(find_images(tmp_path / "copy"))) is None
    turned = Listing(listing.layout, listing.train, listing.test, listing.classes[::-1], listing.class_names)
    assert "files gone" in (changes(tmp_path, listed(turned)) or "")
