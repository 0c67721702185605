"""397 pictures in shards of 130 are shown once each, on any number of processes and workers, and resumed to the bit."""

import itertools
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data.presented import assert_same
from data.shards.sharded import parquet_shards, tar_shards
from faults.training import assert_same_end, await_line, run, start
from PIL import Image

from cnnlit.data.image_folders import ImageFolder
from cnnlit.data.sources.layouts import find_images
from cnnlit.data.stores.store_writer import Preparation

PICTURES, TESTED, CLASSES, SIDE = 397, 31, 4, 32
KINDS = ("tar", "parquet", "store")


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pictures in class folders, and in each kind of shards."""
    root = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for split, count in (("train", PICTURES), ("val", TESTED)):
        for number in range(count):
            pixels = np.full((SIDE, SIDE, 3), random.integers(0, 256, 3), np.uint8)
            path = root / "folders" / split / f"class{number % CLASSES}" / f"{number:04d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels + np.uint8(number % 7)).save(path)
    tar_shards(root / "folders", root / "tar")
    parquet_shards(root / "folders", root / "parquet")
    Preparation(to=str(root / "store"), side=SIDE).run(find_images(root / "tar"))
    return {path.name: path for path in root.iterdir()}


def loaded(root: Path, workers: int) -> ImageFolder:
    data = ImageFolder(
        root=str(root), image_size=SIDE, num_classes=CLASSES, batch_size=50, val_split=0, num_workers=workers
    )
    data.setup()
    return data


def shown(root: Path, workers: int, ranks: int, skipped: int = 0) -> list[list[Any]]:
    """Images and labels of the batches of each process."""
    each = []
    for rank in range(ranks):
        data = loaded(root, workers)
        batches: Any = data.training_batches()
        batches.rank, batches.num_replicas = rank, ranks
        batches.skip(skipped)
        batches.set_epoch(1)
        loader = data.loader(data.decoded(data._splits["train"]), batches)
        each.append([(batch.images, batch.labels) for batch in loader])
    return each


def digests(batches: Any) -> list[tuple[bytes, int]]:
    pairs = ((image, label) for images, labels in batches for image, label in zip(images, labels, strict=True))
    return sorted((image.numpy().tobytes(), int(label)) for image, label in pairs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("ranks", "workers"),
    [(1, 2), (3, 0), *(pytest.param(*each, marks=pytest.mark.slow) for each in ((1, 0), (2, 0), (2, 2), (3, 2)))],
)
def test_each_picture_is_shown_once_and_a_run_that_was_cut_off_goes_on(
    sets: dict[str, Path], kind: str, ranks: int, workers: int
) -> None:
    one = shown(sets[kind], 0, 1)[0]
    each = shown(sets[kind], workers, ranks)
    assert sum(len(labels) for batches in each for _, labels in batches) == PICTURES
    assert digests(itertools.chain(*each)) == digests(one)
    if kind != "store":  # whose pictures are encoded anew
        assert digests(one) == digests(shown(sets["folders"], 0, 1)[0])
    for whole, rest in zip(each, shown(sets[kind], 2 - workers, ranks, skipped=3), strict=True):
        assert_same(whole[3:], rest)
    assert [len(batches) for batches in each] == [8] * ranks


@pytest.mark.parametrize("kind", KINDS)
def test_the_pictures_to_test_with_are_shown_once_in_their_order(sets: dict[str, Path], kind: str) -> None:
    data = loaded(sets[kind], 0)
    labels = torch.cat([batch[1] for batch in data.test_dataloader()])
    assert torch.equal(labels, data._splits["test"].labels)
    assert len(labels) == TESTED


def test_an_order_does_not_depend_on_how_tar_shards_are_cut(sets: dict[str, Path], tmp_path: Path) -> None:
    other = tar_shards(sets["folders"], tmp_path / "other", size=57, label="json")
    for one, another in zip(shown(sets["tar"], 0, 1), shown(other, 0, 1), strict=True):
        assert_same(one, another)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_a_run_told_to_stop_in_mid_epoch_ends_with_the_bits_of_one_that_was_not(
    sets: dict[str, Path], tmp_path: Path, kind: str, ranks: int
) -> None:
    words = (
        *("model=lenet5", "model.head=linear", "recipe/loss=cross_entropy", "data=folder", "recipe.epochs=6"),
        *("data.in_channels=1", f"data.image_size={SIDE}", f"data.num_classes={CLASSES}", "recipe.batch_size=8"),
        *("logger=csv", f"data.root={sets[kind]}", "trainer.accelerator=cpu", f"trainer.devices={ranks}"),
        *("trainer.strategy=ddp", "recipe.optimizer.lr=0.001", "data.val_split=0"),
    )
    whole = run(tmp_path, *words, "data.num_workers=2", f"hydra.run.dir={tmp_path}/whole")
    assert whole.returncode == 0, whole.stderr
    process = start(tmp_path, *words, "data.num_workers=0", f"hydra.run.dir={tmp_path}/cut")
    await_line(process, "epoch 1/6")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    resumed = run(tmp_path, f"resume={tmp_path}/cut")
    assert resumed.returncode == 0, resumed.stderr
    assert_same_end(tmp_path / "cut", tmp_path / "whole")
