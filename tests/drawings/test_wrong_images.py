"""The gallery of errors shows each one once, as it is, and readably."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawings.made_answers import DIGITS, answers, random_images, texts
from matplotlib.image import imread
from torch import Tensor

from cnnlit.drawings.wrong_images import draw_errors


def test_gallery_shows_every_error_once() -> None:
    images = random_images(300, 28, 28)
    wrong = {4: 6, 17: 1, 250: 8, 299: 4}
    (axes,) = draw_errors(images, *answers(300, wrong), DIGITS).axes
    shown = [image.get_array() for image in axes.images]
    assert len(shown) == 4
    for pixels, index in zip(shown, sorted(wrong), strict=True):
        assert np.array_equal(pixels, 255 - images[index].numpy())


def test_gallery_writes_label_answer_index_and_confidence() -> None:
    figure = draw_errors(random_images(300, 28, 28), *answers(300, {4: 6, 17: 1, 299: 4}), DIGITS)
    written = texts(figure)
    assert [text for text in written if len(text) == 4 and "->" in text] == ["4->6", "7->1", "9->4"]
    assert {"4", "17", "299", "11%", "15%", "100%"} <= set(written)
    assert "Test error 1.00 %: 3 of 300" in written


def test_gallery_prints_black_ink_and_each_pixel_as_a_whole_square(tmp_path: Path) -> None:
    images = random_images(20, 28, 28)
    figure = draw_errors(images, *answers(20, {7: 1}), DIGITS)
    figure.savefig(tmp_path / "errors.png")
    page = (imread(tmp_path / "errors.png")[..., 0] * 255).round().astype(int)
    left, _, bottom, top = figure.axes[0].images[0].get_extent()
    printed = page[int(top) : int(bottom), int(left) : int(left) + 84][1::3, 1::3]  # the middle of each 3x3
    assert (bottom - top) == 84
    # The frame covers the outermost pixels.
    assert np.abs(printed - (255 - images[7].numpy().astype(int)))[1:-1, 1:-1].max() <= 1


def test_gallery_shows_colour_as_it_is() -> None:
    images = random_images(20, 3, 40, 30)
    (axes,) = draw_errors(images, *answers(20, {7: 1}), DIGITS).axes
    assert np.array_equal(axes.images[0].get_array(), images[7].permute(1, 2, 0).numpy())


def test_gallery_past_its_limit_shows_the_most_confident_by_index_and_says_so() -> None:
    test = answers(100, {index: (index + 1) % 10 for index in range(0, 100, 10)})
    test.confidence[[0, 50]] = 1.0
    images = random_images(100, 28, 28)
    figure = draw_errors(images, *test, DIGITS, limit=3)
    shown = [image.get_array() for image in figure.axes[0].images]
    assert [np.array_equal(a, 255 - images[i].numpy()) for a, i in zip(shown, (0, 50, 90), strict=True)] == [True] * 3
    assert "Test error 10.00 %: 10 of 100 (3 of 10 shown: the most confident, in the order of the test set)" in texts(
        figure
    )


def test_gallery_without_errors_says_so() -> None:
    figure = draw_errors(random_images(20, 28, 28), *answers(20, {}), DIGITS)
    assert texts(figure) == ["No error on 20 test images"]
    assert not figure.axes[0].images


def test_gallery_has_no_text_over_another() -> None:
    wrong = {index: (index + 3) % 10 for index in range(0, 500, 7)}
    names = ["a class with a long name", *DIGITS[1:]]
    for class_names in (DIGITS, names):
        figure = draw_errors(random_images(500, 28, 28), *answers(500, wrong), class_names)
        figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in figure.axes[0].texts]
        assert not [1 for number, box in enumerate(boxes) for other in boxes[:number] if box.overlaps(other)]
        assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 for box in boxes)


def test_gallery_writes_long_names_on_two_lines_and_shortens_them() -> None:
    names = ["king penguin, Aptenodytes patagonica", *DIGITS[1:]]
    figure = draw_errors(random_images(20, 3, 64, 64), *answers(20, {10: 6, 17: 0}), names)
    assert {"king penguin,…\n->6", "7\n->king penguin,…"} <= set(texts(figure))


def test_gallery_of_photographs_has_no_text_over_another() -> None:
    wrong = {index: (index + 3) % 10 for index in range(100)}
    names = ["American Staffordshire terrier", "West Highland white terrier", "Madagascar cat", "MRI machine"] + [
        "x"
    ] * 6
    figure = draw_errors(random_images(100, 3, 224, 224), *answers(100, wrong), names)
    assert len(figure.axes[0].images) == 60
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not [1 for number, box in enumerate(boxes) for other in boxes[:number] if box.overlaps(other)]


def test_gallery_magnifies_small_images_by_whole_numbers_and_reduces_large_ones() -> None:
    for side, tile in ((28, 84), (64, 128), (224, 168), (96, 96)):
        (axes,) = draw_errors(random_images(20, 3, side, side), *answers(20, {7: 1}), DIGITS).axes
        left, right, bottom, top = axes.images[0].get_extent()
        assert (right - left, bottom - top) == (tile, tile)


def test_gallery_asks_for_no_image_that_it_does_not_draw() -> None:
    class Lazy:
        """Like photographs, which are decoded only when they are asked for."""

        def __init__(self) -> None:
            self.images = random_images(300, 3, 40, 40)
            self.asked: set[int] = set()

        def __len__(self) -> int:
            return len(self.images)

        def __getitem__(self, index: int) -> Tensor:
            self.asked.add(index)
            return self.images[index]

    images: Any = Lazy()
    draw_errors(images, *answers(300, {4: 6, 17: 1, 250: 8}), DIGITS, limit=2)
    assert images.asked == {0, 17, 250}  # the first, for its size


def test_gallery_refuses_predictions_for_other_images() -> None:
    with pytest.raises(ValueError, match="20 predictions for 30 images"):
        draw_errors(random_images(30, 28, 28), *answers(20, {}), DIGITS)


def test_gallery_frames_what_it_is_told_to_and_says_what_a_frame_means() -> None:
    images, given = random_images(300, 28, 28), answers(300, {4: 6, 17: 1, 299: 4})
    (axes,) = draw_errors(images, *given, DIGITS, columns=2, framed={17, 30}).axes
    wide = [patch for patch in axes.patches if patch.get_linewidth() > 1]
    (shown,) = (image for image in axes.images if np.array_equal(image.get_array(), 255 - images[17].numpy()))
    assert [patch.get_xy() for patch in wide] == [(shown.get_extent()[0], shown.get_extent()[3])]
    assert len({round(image.get_extent()[0]) for image in axes.images}) == 2
    legend = "; framed: wrong in 1998, too"
    assert [text for text in texts(axes.figure) if text.endswith(legend)]
    assert not [text for text in texts(draw_errors(images, *given, DIGITS)) if text.endswith(legend)]
