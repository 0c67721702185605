"""python -m cnnlit.prepare as a user types it, in a process of its own, from a folder that is not the checkout's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from as_typed import here
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


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_a_picture_that_no_jpeg_can_hold_is_named_or_skipped(folder: Path) -> None:
    path = folder / "photographs" / "train" / "n00000002" / "panorama.png"
    Image.new("RGB", (70_000, 20)).save(path)
    words = ("data.root=photographs", "prepare.side=32")
    stopped = here(folder, "prepare", *words, "prepare.to=store")
    assert stopped.returncode == 2
    assert "n00000002/panorama.png cannot be stored as a JPEG: it would have 70,000x20 pixels" in stopped.stderr
    assert stopped.stderr.count("\n") == 1
    skipped = here(folder, "prepare", *words, "prepare.to=store", "data.on_unreadable=skip")
    assert skipped.returncode == 0, skipped.stderr
    assert "8 training images" in skipped.stdout
    assert "left out because they cannot be read: 1, listed" in skipped.stdout
    about = json.loads((folder / "store" / "prepared.json").read_text())
    assert about["splits"]["train"]["unreadable"] == ["n00000002/panorama.png"]
    raw = here(folder, "prepare", *words, "prepare.to=raw", "prepare.encoding=raw")
    assert raw.returncode == 0, raw.stderr
    assert "9 training images" in raw.stdout


def test_training_goes_on_without_a_damaged_picture_of_a_store_and_prepare_makes_it_anew(folder: Path) -> None:
    words = ("data.root=photographs", "prepare.to=store", "prepare.side=32")
    assert here(folder, "prepare", *words).returncode == 0
    shard = folder / "store" / "train-00000.bin"
    content = bytearray(shard.read_bytes())
    content[300] ^= 4
    shard.write_bytes(content)
    training = (
        *("model=resnet20", "data=imagenet", "data.root=store", "data.num_classes=2", "logger=none", "trainer=cpu"),
        *("data.image_size=28", "data.num_workers=0", "data.val_split=0", "recipe.batch_size=4", "recipe.epochs=1"),
    )
    stopped = here(folder, "train", *training)
    assert stopped.returncode != 0
    assert "train-00000.bin is damaged; data.on_unreadable=skip leaves it out" in stopped.stderr
    skipped = here(folder, "train", *training, "data.on_unreadable=skip")
    assert skipped.returncode == 0, skipped.stderr
    mended = here(folder, "prepare", *words, "prepare.replace_damaged=true", "prepare.verify=true")
    assert mended.returncode == 0, mended.stderr
    assert "damaged, made anew from their originals: n0" in mended.stdout
    assert "verified: 16 images are as they were written" in mended.stdout
