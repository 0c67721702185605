"""397 pictures in each form, and what each of several processes shows of them."""

from pathlib import Path
from typing import Any

import numpy as np
from data.shards.sharded import parquet_shards, tar_shards
from PIL import Image

from cnnlit.data.image_folders import ImageFolder
from cnnlit.data.sources.layouts import find_images
from cnnlit.data.stores.store_writer import Preparation

PICTURES, TESTED, CLASSES, SIDE = 397, 31, 4, 32
KINDS = ("tar", "parquet", "store")


def in_each_form(root: Path) -> dict[str, Path]:
    """The pictures in class folders, and in each kind of shards."""
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


def loaded(root: object, workers: int) -> ImageFolder:
    data = ImageFolder(
        root=str(root), image_size=SIDE, num_classes=CLASSES, batch_size=50, val_split=0, num_workers=workers
    )
    data.setup()
    return data


def shown(root: object, workers: int, ranks: int, skipped: int = 0) -> list[list[Any]]:
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


def training(root: object, ranks: int) -> tuple[str, ...]:
    """The words of a command that trains on them."""
    return (
        *("model=lenet5", "model.head=linear", "recipe/loss=cross_entropy", "data=folder", "recipe.epochs=6"),
        *("data.in_channels=1", f"data.image_size={SIDE}", f"data.num_classes={CLASSES}", "recipe.batch_size=8"),
        *("logger=csv", f"data.root={root}", "trainer.accelerator=cpu", f"trainer.devices={ranks}"),
        *("trainer.strategy=ddp", "recipe.optimizer.lr=0.001", "data.val_split=0"),
    )
