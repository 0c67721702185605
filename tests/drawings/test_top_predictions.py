"""Below each image are its answers, their bars as long as they are probable, the right one marked."""

import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from cnnlit.drawings.top_predictions import BAR, RIGHT, TILE, TopPredictions, draw_top_predictions

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
