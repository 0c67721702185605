"""The sheet of training images shows each beside its original, with what was done to it."""

import pytest
import torch
from drawings.made_answers import DIGITS, random_images, texts

from cnnlit.data.transforms.presented import PresentedImage
from cnnlit.drawings.training_images import FRAME, MIXED, TILE, draw_training_images

PHOTOGRAPH = torch.randint(256, (3, 100, 200), dtype=torch.uint8)


def test_a_digit_stands_beside_its_original_in_black_ink() -> None:
    shown, original = random_images(1, 32, 32)[0], random_images(1, 28, 28)[0]
    figure = draw_training_images([PresentedImage(shown, 7, original, "scaling 1.05")], DIGITS)
    left, right = figure.axes[0].images
    assert torch.equal(torch.as_tensor(left.get_array().filled()), 255 - original)
    assert torch.equal(torch.as_tensor(right.get_array().filled()), 255 - shown)
    # At the same magnification, so that padding and scale can be seen.
    extents = [image.get_extent() for image in (left, right)]
    assert [(x1 - x0, bottom - top) for x0, x1, bottom, top in extents] == [(84, 84), (96, 96)]
    assert {"7", "scaling 1.05", "left: the original"} <= set(texts(figure))


def test_the_part_of_a_photograph_that_is_shown_is_framed() -> None:
    box = (0.25, 0.1, 0.75, 0.9)
    given = PresentedImage(PHOTOGRAPH[:, :64, :64], 2, PHOTOGRAPH, "crop, mirrored", box)
    figure = draw_training_images([given], [])
    x, right, bottom, top = figure.axes[0].images[0].get_extent()
    assert (right - x, bottom - top) == (TILE, TILE / 2)
    (frame,) = (each for each in figure.axes[0].patches if each.get_edgecolor()[:3] != pytest.approx((0.8, 0.8, 0.8)))
    assert frame.get_x() - x == pytest.approx(0.25 * TILE)
    assert frame.get_width() == pytest.approx(0.5 * TILE)
    assert frame.get_y() - top == pytest.approx(0.1 * TILE / 2)
    assert frame.get_height() == pytest.approx(0.8 * TILE / 2)
    assert FRAME.startswith("#")
    assert "left: the original; framed: the part that is shown" in texts(figure)


def test_long_words_are_wrapped_below_and_nothing_stands_beside_an_unknown_original() -> None:
    told = "crop (17.3, 17.9) to (166, 166.7) of 170x170, mirrored, colour -2, -2, -2"
    both = draw_training_images([PresentedImage(PHOTOGRAPH, 2, PHOTOGRAPH, told)], ["a", "b", "goldfish"], MIXED)
    lines = [text for text in texts(both) if text in told]
    assert len(lines) == 2
    assert " ".join(lines) == told
    assert "goldfish" in texts(both)
    assert "left: the original" + MIXED in texts(both)
    alone = draw_training_images([PresentedImage(PHOTOGRAPH, 2)] * 3, [])
    assert len(alone.axes[0].images) == 3
    assert "2" in texts(alone)
