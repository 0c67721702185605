"""Images in memory are those that were drawn or read, and are augmented as decoded ones are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data.presented import (
    ALEXNET,
    GOOGLENET,
    by_presentation,
    drawn,
    everything,
    photographed,
)
from PIL import Image
from torchvision.transforms import functional as torchvision

from cnnlit.data.images_in_memory import TinyImageNet
from cnnlit.data.transforms.colours import MEAN, STD

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("steps", [ALEXNET, GOOGLENET], ids=["alexnet", "googlenet"])
def test_pixels_are_the_same_for_any_batch_size(steps: Any) -> None:
    reference = by_presentation(drawn(augmentation=steps), 2)
    for presentation, image in by_presentation(drawn(augmentation=steps, batch_size=7), 2).items():
        torch.testing.assert_close(image, reference[presentation], atol=1e-4, rtol=0)


def test_decoded_and_in_memory_images_are_augmented_alike(tmp_path: Path) -> None:
    data = drawn(augmentation=ALEXNET, image_size=32, seed=3)
    train = data._splits["train"]
    for number, (image, label) in enumerate(zip(train.pixels, train.labels.tolist(), strict=True)):
        for split in ("train", "val"):
            (tmp_path / split / str(label)).mkdir(parents=True, exist_ok=True)
            path = tmp_path / split / str(label) / f"{number:03d}.png"
            Image.fromarray(image.movedim(0, 2).numpy()).save(path)
    other = photographed(tmp_path, num_classes=5, image_size=32, augmentation=ALEXNET, seed=3)
    order = [int(Path(other._splits["train"].path(index)).stem) for index in range(60)]  # by class, then by number
    chosen = torch.tensor(order)
    shown = other._augmented("train", other._augmentation)[4, torch.arange(60)]
    # The draws belong to the presentation: image by image the numbers have to be the same.
    data._splits["train"] = data._splits["train"].subset(chosen)
    expected = data._augmented("train", data._augmentation).before_colours((4, torch.arange(60)))
    assert (shown.images.float() - expected.images.float()).abs().max() <= 1.01
    assert torch.equal(shown.draws, expected.draws)
    assert torch.equal(shown.labels, expected.labels)


def test_without_steps_in_memory_images_are_what_was_drawn() -> None:
    data = drawn()
    images, labels = everything(data, "test")
    tested = data._splits["test"]
    expected = torchvision.normalize(tested.pixels.float() / 255, MEAN, STD)
    torch.testing.assert_close(images, expected, atol=1e-5, rtol=0)
    assert torch.equal(labels, tested.labels)


def test_tiny_imagenet_has_its_images_and_names(real_tiny_imagenet: Path) -> None:
    options: Any = {"image_size": 64, "num_classes": 10, "val_split": 0.1}
    data = TinyImageNet(root=str(real_tiny_imagenet), **options)
    data.setup()
    assert data.num_images == {"train": 4500, "val": 500, "test": 500}
    assert data.class_names[:3] == ["goldfish", "king penguin", "golden retriever"]
    assert [split.labels.bincount().tolist() for split in data._splits.values()] == [[450] * 10, [50] * 10, [50] * 10]
    folder = real_tiny_imagenet / "tiny-imagenet-10" / "val"
    rows = [line.split("\t")[:2] for line in (folder / "val_annotations.txt").read_text().splitlines()]
    wnids = (real_tiny_imagenet / "tiny-imagenet-10" / "wnids.txt").read_text().split()
    for index, (name, wnid) in list(enumerate(sorted(rows)))[::50]:
        pixels = np.asarray(Image.open(folder / "images" / name).convert("RGB"))
        assert np.array_equal(data.test_images[index].movedim(0, 2), pixels)
        assert sorted(wnids)[data._splits["test"].labels[index]] == wnid


def test_images_of_another_size_than_the_first_are_refused(tmp_path: Path, draw: Any) -> None:
    for split in ("train/n00000001/images", "train/n00000002/images", "val/images"):
        (tmp_path / split).mkdir(parents=True)
    draw(64, 64).save(tmp_path / "train/n00000001/images/a.JPEG")
    draw(64, 60).save(tmp_path / "train/n00000002/images/b.JPEG")
    draw(64, 64).save(tmp_path / "val/images/c.JPEG")
    (tmp_path / "val/val_annotations.txt").write_text("c.JPEG\tn00000001\t0\t0\t1\t1\n")
    with pytest.raises(ValueError, match=r"b.JPEG has 64x60 pixels where .*a.JPEG has 64x64"):
        TinyImageNet(root=str(tmp_path), num_classes=2).setup()
