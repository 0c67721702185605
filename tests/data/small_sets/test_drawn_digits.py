"""Whoever draws a digit with whichever pen on whichever paper, the network sees much the same."""

import json

import as_typed
import numpy as np
import pytest
import torch
from drawn_manners import MANNERS, blank, marker, mixed, scribble, strokes
from PIL import Image

from cnnlit.data.small_sets.drawn_digits import find_drawing
from cnnlit.data.small_sets.sklearn_digits import read_digits
from cnnlit.experiment.prediction import read_pixels


@pytest.fixture
def seen(tmp_path):
    def look(image):
        image.save(tmp_path / "drawing.png")
        return find_drawing(read_pixels(str(tmp_path / "drawing.png"), on_white=True))

    return look


def likeness(one, other):
    """The highest correlation of two digits, up to a pixel of shift."""
    flat = one.float().flatten()
    shifted = [other.roll((dy, dx), (0, 1)).float().flatten() for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    return max(float(torch.corrcoef(torch.stack([flat, each]))[0, 1]) for each in shifted)


@pytest.mark.parametrize("manner", MANNERS, ids=lambda manner: manner.__name__)
def test_every_pen_and_paper_gives_the_digit(seen, manner):
    images, labels, *_ = read_digits()
    labels = torch.as_tensor(labels)
    random = np.random.default_rng(0)
    for digit in range(10):
        given = images[labels == digit][3].numpy()
        drawing = seen(manner(given, random))
        assert drawing.why_none is None
        assert likeness(drawing.digit, seen(marker(given, random)).digit) > 0.75
        assert drawing.dark == (manner.__name__ not in ("blackboard", "inverted"))


def test_a_digit_of_the_sets_own_size_is_kept_to_the_bit():
    given = torch.randint(0, 256, (28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    given[0], given[-1], given[:, 0], given[:, -1] = 0, 0, 0, 0
    assert torch.equal(find_drawing(given.expand(3, -1, -1)).digit, given)


def test_blank_paper_two_digits_and_scribbles_are_no_digit(seen):
    random = np.random.default_rng(0)
    assert {seen(blank(random)).why_none for _ in range(10)} == {"nothing is drawn"}
    in_any_light = np.random.default_rng(1)
    assert {seen(blank(in_any_light)).why_none for _ in range(40)} == {"nothing is drawn"}
    one, other = (strokes(read_digits()[0][number].numpy(), 140, at=(0.5, at)) for number, at in ((3, 0), (5, 1)))
    assert seen(mixed(np.maximum(one, other), 255, 0)).why_none == "more than one drawing"
    assert sum(seen(scribble(random)).why_none is not None for _ in range(10)) >= 8


@pytest.mark.slow
def test_none_of_these_is_said_with_its_reason(tmp_path):
    outcome = as_typed.here(tmp_path, "train", "recipe.epochs=8", "logger=none", "trainer=cpu", "hydra.run.dir=run")
    assert outcome.returncode == 0, outcome.stderr
    random = np.random.default_rng(0)
    (tmp_path / "given").mkdir()
    blank(random).save(tmp_path / "given" / "blank.png")
    scribble(random).save(tmp_path / "given" / "scribble.png")
    marker(read_digits()[0][0].numpy(), random).save(tmp_path / "given" / "zero.png")
    Image.fromarray(read_digits()[0][0].numpy()).save(tmp_path / "given" / "zero_28.png")
    outcome = as_typed.here(tmp_path, "predict", "run=run", "images=given", "format=json")
    found = {each["image"].removeprefix("given/")[:-4]: each for each in json.loads(outcome.stdout)}
    assert found["blank"]["none_of_these"] == "nothing is drawn"
    assert found["scribble"]["none_of_these"]
    assert "none_of_these" not in found["zero_28"]
    outcome = as_typed.here(tmp_path, "predict", "run=run", "images=given/blank.png", "to=null")
    assert "none of these" in outcome.stdout
    assert "nothing is drawn" in outcome.stdout


@pytest.mark.parametrize("shape", [(8, 8), (12, 20), (1, 1), (3, 28)])
def test_small_pictures_are_fitted_into_the_box_as_they_are(shape: tuple[int, int]) -> None:
    """Among them scikit-learn's digits, 8x8: a shipped network knows nine in ten of these."""
    picture = torch.zeros(3, *shape, dtype=torch.uint8)
    picture[:, : max(1, shape[0] // 2)] = 200
    drawn = find_drawing(picture)
    assert drawn.digit.shape == (28, 28)
    assert drawn.digit.max() > 150 or drawn.why_none == "nothing is drawn"


def test_the_digits_of_another_set_are_known() -> None:
    from sklearn.datasets import load_digits

    from cnnlit.experiment.trained_network import load

    digits = load_digits()
    pictures = list((digits.images[::20] * 255 / 16).astype("uint8"))
    answers = load("CompactNet.MNIST").predict(pictures, top=1)
    right = [answer.name == str(label) for answer, label in zip(answers, digits.target[::20], strict=True)]
    assert sum(right) > 0.85 * len(right)


def test_a_dot_is_a_drawing_whose_stroke_is_not_narrowed_away() -> None:
    sheet = torch.full((3, 112, 112), 255, dtype=torch.uint8)
    sheet[:, 50:58, 50:58] = 0
    assert find_drawing(sheet).digit.max() == 255
