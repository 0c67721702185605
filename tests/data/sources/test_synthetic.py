"""Drawn images are always the same, balanced, and can be told apart."""

import pytest
import torch
from torch.nn import functional

from cnnlit.data.sources.synthetic import class_names, draw_images


@pytest.mark.parametrize(("num_classes", "image_size"), [(2, 17), (10, 64), (1000, 32)])
def test_any_number_of_classes_and_size_can_be_drawn(num_classes: int, image_size: int) -> None:
    images, labels = draw_images(25, num_classes=num_classes, image_size=image_size, seed=0, split=0)
    assert images.shape == (25, 3, image_size, image_size)
    assert images.dtype == torch.uint8
    assert labels.tolist() == [number % num_classes for number in range(25)]
    assert len(set(class_names(num_classes))) == num_classes


def test_an_image_depends_on_its_number_and_seed_and_split_alone() -> None:
    options = {"num_classes": 10, "image_size": 300}  # of which five are drawn at once
    few, _ = draw_images(7, seed=1, split=0, **options)
    many, _ = draw_images(12, seed=1, split=0, **options)
    assert torch.equal(many[:7], few)
    for seed, split in ((2, 0), (1, 1)):
        assert not (draw_images(7, seed=seed, split=split, **options)[0] == few).flatten(1).all(dim=1).any()


def test_classes_can_be_told_apart_by_what_was_learned_of_others() -> None:
    # By the nearest training image of 8x8 pixels: chance is a tenth.
    options = {"num_classes": 10, "image_size": 64, "seed": 0}
    (train, labels), (test, answers) = draw_images(500, split=0, **options), draw_images(100, split=1, **options)
    small = [functional.avg_pool2d(images.float(), 8).flatten(1) for images in (train, test)]
    nearest = torch.cdist(small[1], small[0]).argmin(dim=1)
    assert (labels[nearest] == answers).float().mean() > 0.6
