"""Images in folders are split and presented as they are in the files."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data.presented import (
    ALEXNET,
    SIDE,
    contents,
    everything,
    photographed,
)
from PIL import Image
from torchvision.transforms import functional as torchvision

from cnnlit.data.image_folders import ImageFolder, ImageNet
from cnnlit.data.transforms.colours import MEAN, STD

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_split_is_stratified_and_depends_on_split_seed_alone(photographs: Path) -> None:
    def held_out(**options: Any) -> Counter[bytes]:
        images, labels = everything(photographed(photographs, val_split=6, **options), "val")
        assert labels.bincount().tolist() == [2, 2, 2]
        return contents(images)

    assert held_out(seed=0) == held_out(seed=5, batch_size=3, order="constant")
    assert held_out() != held_out(split_seed=1)


def test_a_split_may_be_a_number_or_a_fraction(photographs: Path) -> None:
    assert photographed(photographs, val_split=0.25).num_images == photographed(photographs, val_split=6).num_images


def test_a_set_without_a_validation_set_is_split_in_three(photographs: Path) -> None:
    whole = photographed(photographs / "train", test_split=6, val_split=0.5, kind=ImageFolder)
    assert whole.num_images == {"train": 9, "val": 9, "test": 6}
    assert everything(whole, "test")[1].bincount().tolist() == [2, 2, 2]
    parts = [contents(everything(whole, split)[0]) for split in ("train", "val", "test")]
    assert sum(parts, Counter()) == contents(everything(photographed(photographs))[0])
    again = photographed(photographs / "train", ImageFolder, test_split=0.25, val_split=0, seed=7, batch_size=3)
    assert contents(everything(again, "test")[0]) == parts[2]
    other = photographed(photographs / "train", test_split=6, kind=ImageFolder, split_seed=1)
    assert contents(everything(other, "test")[0]) != parts[2]


def test_a_class_of_one_image_is_split_at_random(photographs: Path, tmp_path: Path) -> None:
    for number, path in enumerate(sorted(photographs.rglob("*.JPEG"))):
        (tmp_path / f"{number:02d}").mkdir()
        shutil.copy(path, tmp_path / f"{number:02d}" / "0.JPEG")
    data = photographed(tmp_path, num_classes=36, test_split=0.25, val_split=5)
    assert data.num_images == {"train": 22, "val": 5, "test": 9}
    labels = torch.cat([everything(data, split)[1] for split in ("train", "val", "test")])
    assert labels.sort().values.tolist() == list(range(36))


def test_a_validation_set_alone_can_be_tested_on_and_not_trained_on(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "val").symlink_to(photographs / "val")
    data = ImageNet(root=str(tmp_path), num_classes=3, image_size=SIDE, val_split=0.1, num_workers=0)
    with pytest.raises(ValueError, match=r"only images to test with, none to train on"):
        data.setup("fit")
    data.setup("test")
    assert data.num_images == {"train": 0, "val": 0, "test": 12}
    assert torch.equal(everything(data, "test")[0], everything(photographed(photographs), "test")[0])


@pytest.mark.parametrize("share", [24, 2])
def test_a_test_split_that_leaves_a_class_out_is_refused(photographs: Path, share: int) -> None:
    with pytest.raises(ValueError, match=rf"data.test_split={share}: hold out 3 to 21 of the 24"):
        photographed(photographs / "train", test_split=share)


def test_the_test_is_the_validation_folder_in_its_order(photographs: Path) -> None:
    images, labels = everything(photographed(photographs, augmentation=ALEXNET), "test")
    paths = sorted((photographs / "val").rglob("*.JPEG"))
    assert labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    for image, path in zip(images, paths, strict=True):
        shorter = round(256 * SIDE / 224)
        square = torchvision.center_crop(torchvision.resize(Image.open(path), [shorter]), [shorter])
        shown = torchvision.center_crop(square, [SIDE])
        expected = torchvision.normalize(torchvision.to_tensor(shown), MEAN, STD)
        assert (image - expected).abs().max() <= 1.01 / 255 / min(STD)


def test_whatever_a_file_holds_comes_out_in_rgb(photographs: Path, tmp_path: Path) -> None:
    shutil.copytree(photographs, tmp_path, dirs_exist_ok=True)
    grey = Image.linear_gradient("L").resize((50, 50))
    for number, mode in enumerate(("L", "P", "1", "LA")):
        (tmp_path / "val" / "n00000001" / f"n00000001_{number}.JPEG").unlink()
        grey.convert(mode).save(tmp_path / "val" / "n00000001" / f"n00000001_{number}.png")
    shown = photographed(tmp_path, image_size=50).test_images
    for number, tolerance in enumerate((0, 0, 255, 0)):
        image = shown[number].int()
        assert (image - torch.from_numpy(np.asarray(grey).copy()).int()).abs().max() <= tolerance
        assert torch.equal(image[0], image[1])
        assert torch.equal(image[0], image[2])


def test_another_number_of_classes_is_refused_with_the_right_one(photographs: Path) -> None:
    with pytest.raises(ValueError, match=r"found 3 classes in .*, data.num_classes=1000; say data.num_classes=3") as no:
        photographed(photographs, num_classes=1000)
    assert "\n" not in str(no.value)


def test_photographs_of_imagenet_are_shown_as_torchvision_shows_them(
    real_photographs: list[Path], tmp_path: Path
) -> None:
    for split in ("train", "val"):
        for path in real_photographs[::10]:
            (tmp_path / split / path.parent.name).mkdir(parents=True)
            (tmp_path / split / path.parent.name / path.name).symlink_to(path)
    shown = photographed(tmp_path, num_classes=22, image_size=224, augmentation=ALEXNET).test_images
    for number, path in enumerate(real_photographs[::10]):
        image = torchvision.resize(Image.open(path).convert("RGB"), [256])
        expected = torchvision.pil_to_tensor(torchvision.center_crop(image, [224])).int()
        assert (shown[number].int() - expected).abs().max() <= 1
