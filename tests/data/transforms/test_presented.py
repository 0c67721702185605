"""What is shown of training is what the network gets, and the numbers beside it are those that made it."""

import re
import shutil
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data.presented import ALEXNET, drawn, photographed
from lightning import LightningDataModule
from torch.utils.data import DataLoader
from torchvision.datasets import FakeData
from torchvision.transforms import ToTensor

from cnnlit.data.plain_data import PlainData
from cnnlit.data.small_images import SmallImages
from cnnlit.data.transforms.colours import ColourJitter, Normalize
from cnnlit.data.transforms.distortions import warp
from cnnlit.data.transforms.geometry import Flip, RandomCrop, Windows
from cnnlit.data.transforms.presented import first_presented, reduced, told_of

CIFAR = (RandomCrop(pixels=24, padding=3), Flip(), ColourJitter())


@pytest.mark.parametrize("normalization", ["mean_std", "mean_rgb", "mean_image", "lecun1998"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_scale_of_the_input_is_undone_to_the_byte(normalization: Any, channels: int) -> None:
    normalize = Normalize(normalization)
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).repeat(2, channels, 1, 1)
    normalize.mean_image = 255 * torch.rand(channels, 16, 16)
    assert torch.equal(normalize.undone(normalize(pixels)), pixels)


def test_images_in_memory_are_shown_as_the_first_batches_have_them() -> None:
    data = drawn(augmentation=CIFAR, batch_size=10)
    loader = data.train_dataloader()
    shown = data.training_images(loader, 16)
    batches = list(islice(loader, 2))
    images, labels = (torch.cat(parts)[:16] for parts in zip(*batches, strict=True))
    assert torch.equal(torch.stack([each.shown for each in shown]), data._normalize.undone(images))
    assert [each.label for each in shown] == labels.tolist()
    known = {image.numpy().tobytes() for image in data._splits["train"].pixels}
    assert all(each.original is not None and each.original.numpy().tobytes() in known for each in shown)


def test_the_crop_and_the_mirror_that_are_told_make_what_is_shown() -> None:
    data = drawn(augmentation=CIFAR[:2])
    mirrored = 0
    for each in data.training_images(data.train_dataloader(), 16):
        found = re.fullmatch(r"(?:crop \((\S+), (\S+)\) to \S+ \S+ of 24x24|whole image)(, mirrored)?", each.told)
        assert found, each.told
        left, top = (int((number or "0").replace("\N{MINUS SIGN}", "-")) for number in found.groups()[:2])
        assert each.original is not None
        padded = torch.nn.functional.pad(each.original, (3, 3, 3, 3))[:, top + 3 : top + 27, left + 3 : left + 27]
        assert torch.equal(padded.flip(2) if found[3] else padded, each.shown)
        mirrored += bool(found[3])
        if each.box:
            ends = (max(left, 0) / 24, max(top, 0) / 24, min(left + 24, 24) / 24, min(top + 24, 24) / 24)
            assert each.box == pytest.approx(ends)
        else:
            assert (left, top) == (0, 0)
    assert 3 <= mirrored <= 13


def test_factors_of_colours_are_those_that_were_drawn() -> None:
    low = drawn(augmentation=[ColourJitter(brightness=(0.5, 0.5), contrast=(1, 1), saturation=(1, 1))])
    for each in low.training_images(low.train_dataloader(), 4):
        assert each.told == "whole image, brightness 0.50, contrast 1.00, saturation 1.00"
        assert each.original is not None
        assert (each.shown.float() - each.original.float() / 2).abs().max() <= 0.5


@pytest.mark.parametrize("copies", [None, 3])
def test_the_numbers_of_a_distortion_make_its_map(copies: int | None) -> None:
    data = SmallImages(distortion="affine1998", distortion_copies=copies, batch_size=24, passes_per_epoch=4)
    data.setup()
    loader = data.train_dataloader()
    shown, differences = data.training_images(loader, 24), []
    for each in shown:
        g, q, s, tx, ty = map(float, re.findall(r"[+-]?\d+\.\d+", each.told))
        map_ = torch.tensor([[g * q, s * g / q, g / q, tx, ty]])
        assert each.original is not None
        remade = Normalize("lecun1998").undone(warp(each.original[None], map_, 32))[0, 0]
        differences.append((remade.float() - each.shown.float()).abs().mean())
    # Two decimals are a twentieth of a pixel at the edge of a digit; another digit's map differs by 20 and more.
    assert max(differences) < 3
    images, _ = next(iter(loader))
    assert torch.equal(torch.stack([each.shown for each in shown]), Normalize("lecun1998").undone(images)[:, 0])


def test_photographs_are_shown_as_they_are_decoded_without_those_that_cannot_be(
    photographs: Path, tmp_path: Path
) -> None:
    shutil.copytree(photographs, tmp_path, dirs_exist_ok=True)
    next((tmp_path / "train").rglob("*_0.JPEG")).write_bytes(b"no picture")
    data = photographed(tmp_path, augmentation=ALEXNET, on_unreadable="skip", batch_size=6)
    loader = data.train_dataloader()
    shown = data.training_images(loader, 100)
    assert len(shown) == data.num_images["train"] - 1
    assert data.unreadable == []  # nobody has trained yet
    first = next(iter(loader))
    finished = data._normalize.undone(data._augmentation.finish(first.images, first.draws))
    assert torch.equal(torch.stack([each.shown for each in shown[: len(finished)]]), finished)
    assert all(each.box and re.search(r"crop .*colour [+-]\d+, [+-]\d+, [+-]\d+$", each.told) for each in shown)


def test_the_loader_goes_on_from_where_it_was() -> None:
    data = drawn(augmentation=CIFAR, batch_size=10)
    expected = list(data.train_dataloader())[2:]
    data._batches_to_skip = 2
    loader = data.train_dataloader()
    assert data.training_images(loader)[0].label == drawn(batch_size=10).training_images(loader)[0].label
    for (images, _), (others, _) in zip(loader, expected, strict=True):
        assert torch.equal(images, others)
    loader.sampler.set_epoch(3)
    data.training_images(loader)
    assert loader.sampler.epoch == 3


class Fakes(LightningDataModule):
    def train_dataloader(self) -> Any:
        return DataLoader(FakeData(20, (3, 8, 8), 5, ToTensor()), batch_size=4, shuffle=True)

    test_dataloader = train_dataloader


def test_data_of_ones_own_are_shown_without_an_original() -> None:
    data = PlainData(module=Fakes(), batch_size=4, num_classes=5, image_size=8, in_channels=3)
    data.setup("fit")
    loader = data.train_dataloader()
    shown = data.training_images(loader, 6)
    labels = torch.cat([batch[1] for batch in islice(loader, 2)])
    assert [each.label for each in shown] == labels[:6].tolist()
    assert all(each.original is None and each.shown.shape == (3, 8, 8) and not each.told for each in shown)
    assert first_presented([1, 2], 5, data.present) == []  # a stream


def test_large_photographs_are_kept_no_larger_than_they_are_drawn() -> None:
    assert reduced(np.zeros((300, 900, 3), np.uint8)).shape == (3, 149, 448)
    assert reduced(np.zeros((30, 90, 3), np.uint8)).shape == (3, 30, 90)


def test_windows_are_told_in_pixels_of_the_image() -> None:
    sizes = torch.tensor([[100, 200]])
    whole = Windows.whole(sizes)
    assert told_of(whole, sizes) == ["whole image"]
    assert told_of(whole._replace(box=torch.tensor([[150.5, -2.0, 20.0, 90.0]])), sizes) == [
        "crop (20, \N{MINUS SIGN}2) to (150.5, 90) of 200x100, mirrored"
    ]
