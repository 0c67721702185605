"""python -m cnnlit.prepare as a user types it, in a process of its own, from a folder that is not the checkout's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("WANDB", "CNNLIT", "HYDRA"))}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env={**clean, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photographs of two classes, in a folder that the command is started from."""
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for wnid in ("n00000001", "n00000002"):
            (tmp_path / "photographs" / split / wnid).mkdir(parents=True)
            for number in range(4):
                pixels = random.integers(0, 256, (40, 50, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "photographs" / split / wnid / f"{number}.JPEG")
    return tmp_path


def test_photographs_are_prepared_and_a_network_is_trained_on_them(folder: Path) -> None:
    prepared = run(
        folder, "cnnlit.prepare", "data.root=photographs", "prepare.to=store", "prepare.side=32", "prepare.verify=true"
    )
    assert prepared.returncode == 0, prepared.stderr
    assert prepared.stderr == ""
    first, second, third, last = prepared.stdout.splitlines()
    assert first == "store: 8 training images and 8 validation images of 2 classes"
    assert second.startswith("JPEG, quality 90, 4:2:0, shorter side 32: PSNR ")
    assert third == "verified: 16 images are as they were written"
    assert last == "Train on them with data.root=store"
    trained = run(
        folder,
        *("cnnlit.train", "model=resnet20", "data=imagenet", "data.root=store", "data.num_classes=2", "logger=none"),
        *("data.image_size=28", "data.num_workers=1", "data.val_split=0", "recipe.batch_size=4", "recipe.epochs=1"),
    )
    assert trained.returncode == 0, trained.stderr
    (test,) = folder.glob("runs/*/*/test.json")
    assert 0 <= json.loads(test.read_text())["test/error"] <= 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["data.root=photographs"], "prepare.to=FOLDER must say where the prepared images go"),
        (["data.root=nowhere", "prepare.to=store"], "nowhere"),
        (["prepare.to=store", "prepare.encoding=png"], "prepare.encoding=png: must be one of jpeg, raw"),
        (["prepare.to=store", "prepare.sise=3"], "prepare.sise: no such option; did you mean prepare.side?"),
        (["data=digits", "prepare.to=store"], "data: these images are in no files that could be prepared"),
        (["data=synthetic", "prepare.to=store"], "data=synthetic: these images are drawn in memory"),
    ],
)
def test_what_is_wrong_is_one_line(folder: Path, arguments: list[str], says: str) -> None:
    outcome = run(folder, "cnnlit.prepare", *arguments)
    assert outcome.returncode == 2
    (line,) = outcome.stderr.splitlines()
    assert says in line
    assert not (folder / "store").exists()
