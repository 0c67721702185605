"""The confusion matrix shows which classes are mistaken for which."""

import warnings
from pathlib import Path

import numpy as np
import torch
from drawings.made_answers import DIGITS, answers, texts

from cnnlit.drawings.confusion_matrix import draw_confusion_matrix


def test_confusion_matrix_writes_each_count_at_its_label_and_answer() -> None:
    labels, predicted, _ = answers(100, {4: 9, 14: 9, 3: 5})
    (axes,) = draw_confusion_matrix(labels, predicted, DIGITS).axes
    written = {(int(text.get_position()[1]), int(text.get_position()[0])): text.get_text() for text in axes.texts}
    assert written[4, 9] == "2"
    assert written[3, 5] == "1"
    assert written[4, 4] == "8"
    assert len(written) == 10 + 2  # zeros stay blank
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("label", "predicted")


def test_confusion_matrix_colours_errors_by_the_largest_error() -> None:
    labels, predicted, _ = answers(1000, {4: 9, 14: 9, 3: 5})
    (axes,) = draw_confusion_matrix(labels, predicted, DIGITS).axes
    colours = axes.images[-1]
    shown = np.ma.filled(colours.get_array(), 0)
    assert colours.norm.vmax == shown.max() == 2
    assert shown.sum() == 3
    assert (shown.diagonal() == 0).all()


def test_confusion_matrix_is_titled_with_error_and_number() -> None:
    labels, predicted, _ = answers(1000, {4: 9, 14: 9, 3: 5})
    assert texts(draw_confusion_matrix(labels, predicted, DIGITS))[-1] == "Test error 0.30 %: 3 of 1,000"


def test_confusion_matrix_of_many_classes_has_a_colour_bar_and_no_counts() -> None:
    labels = torch.arange(300) % 30
    figure = draw_confusion_matrix(labels, labels.roll(1), [str(number) for number in range(30)])
    assert len(figure.axes) == 3  # the matrix, the list, the bar
    assert not figure.axes[0].texts


def test_of_many_classes_the_most_frequent_confusions_are_listed() -> None:
    labels = torch.arange(3000) % 300
    predicted = labels.clone()
    predicted[labels == 7] = 250
    predicted[(labels == 8).nonzero()[:4]] = 9
    predicted[300:306] = 299  # one each of the first classes
    names = [f"class {number}, of a name that is long" for number in range(300)]
    names[250] = "alp"
    written = draw_confusion_matrix(labels, predicted, names).axes[1].texts[0].get_text().splitlines()
    assert written[2:4] == ["  10  class 7, of a name …->alp", "   4  class 8, of a name …->class 9, of a name …"]
    assert written[4].split()[0] == "1"
    assert len(written) == 2 + 2 + 6


def test_confusion_matrix_of_a_thousand_classes_has_no_text_over_the_matrix(tmp_path: Path) -> None:
    labels = torch.arange(5000) % 1000
    figure = draw_confusion_matrix(labels, labels.roll(1), ["a name of thirty characters …"] * 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(tmp_path / "confusion_matrix.png")
    matrix, beside, _ = figure.axes
    written = beside.texts[0].get_window_extent()
    assert written.x0 >= matrix.get_window_extent().x1
    assert figure.bbox.x0 <= written.x0
    assert written.x1 <= figure.bbox.x1
    assert matrix.get_window_extent().width >= 1000  # a pixel for each class
