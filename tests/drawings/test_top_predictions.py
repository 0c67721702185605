"""Below each image are its answers, their bars as long as they are probable, the right one marked."""

from typing import Any

import pytest
import torch
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import Rectangle

from cnnlit.drawings.top_predictions import BAR, FRAME, RIGHT, TILE, TopPredictions, draw_top_predictions

ANSWER = TopPredictions(["tench", "goldfish", "cock"], [0.6, 0.3, 0.001], label="goldfish")


def test_a_bar_is_as_long_as_its_answer_is_probable_and_the_right_one_is_marked() -> None:
    figure = draw_top_predictions([torch.zeros(3, 40, 30, dtype=torch.uint8)], [ANSWER], "answers")
    bars = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle) and patch.get_fill()]
    assert [bar.get_width() for bar in bars] == pytest.approx([0.6 * TILE, 0.3 * TILE, 1.0])
    assert [to_hex(bar.get_facecolor()) for bar in bars] == [BAR, RIGHT, BAR]
    words = [text.get_text() for text in figure.axes[0].texts]
    assert {"tench", "goldfish", "cock", "60%", "30%", "0%"} <= set(words)


def test_without_the_truth_an_image_is_named_and_no_bar_marked() -> None:
    unknown = TopPredictions(["tench", "cock"], [0.9, 0.1], caption="holiday.jpg")
    figure = draw_top_predictions([torch.zeros(28, 28, dtype=torch.uint8)] * 2, [unknown] * 2, "answers")
    assert [text.get_text() for text in figure.axes[0].texts].count("holiday.jpg") == 2
    assert RIGHT not in {to_hex(patch.get_facecolor()) for patch in figure.axes[0].patches}


def test_each_image_has_its_answer() -> None:
    with pytest.raises(ValueError, match="1 answers for 2 images"):
        draw_top_predictions([torch.zeros(28, 28, dtype=torch.uint8)] * 2, [ANSWER], "answers")


def test_what_the_network_saw_of_an_image_is_framed() -> None:
    part = ANSWER._replace(seen=(0.25, 0.0, 0.75, 1.0))
    whole = ANSWER._replace(seen=(0.0, 0.0, 1.0, 1.0))
    figure = draw_top_predictions([torch.zeros(3, 112, 224, dtype=torch.uint8)] * 2, [part, whole], "answers")
    axes = figure.axes[0]
    (frame,) = (patch for patch in axes.patches if to_hex(patch.get_edgecolor()) == FRAME)
    left, _, _, top = axes.images[0].get_extent()
    assert isinstance(frame, Rectangle)
    assert (frame.get_x() - left, frame.get_y() - top) == (TILE / 4, 0)
    assert (frame.get_width(), frame.get_height()) == (TILE / 2, TILE / 2)
    assert any("frame: what the network saw" in text.get_text() for text in axes.texts)


def luminance(color: Any) -> float:
    """Relative luminance, 0 to 1. Source: WCAG 2.2."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_what_is_written_on_a_bar_can_be_read() -> None:
    sure = TopPredictions(["tench", "cock"], [1.0, 1.0], label="cock")
    axes = draw_top_predictions([torch.zeros(3, 40, 30, dtype=torch.uint8)], [sure], "answers").axes[0]
    written = [
        text for text in axes.texts if text.get_text() in ("tench", "cock", "100.0%") and text.get_weight() != "bold"
    ]
    bars = [luminance(patch.get_facecolor()) for patch in axes.patches if patch.get_fill()]
    assert len(written) == 4
    for text in written:
        dark = luminance(text.get_color())
        assert all((bar + 0.05) / (dark + 0.05) >= 4.5 for bar in bars), text.get_text()


def test_images_stand_in_as_many_columns_as_are_asked_for() -> None:
    images = [torch.zeros(3, 40, 30, dtype=torch.uint8)] * 6
    figure = draw_top_predictions(images, [ANSWER] * 6, "answers", columns=2)
    assert len({image.get_extent()[0] for image in figure.axes[0].images}) == 2
