"""The errors of classes and pairs are drawn, the largest first, with their counts."""

import torch
from drawings.made_answers import DIGITS, answers, texts

from cnnlit.drawings.class_errors import MOST_BARS, draw_class_errors
from cnnlit.runs.evaluations import Answers, most_confused


def test_the_worst_class_and_the_most_frequent_pair_come_first() -> None:
    labels, predicted, confidence = answers(100, {4: 6, 14: 6, 24: 9, 31: 7})
    confused = most_confused([Answers(labels.numpy(), predicted.numpy(), confidence.numpy())])
    figure = draw_class_errors(labels, predicted, DIGITS, confused)
    classes, pairs = figure.axes
    assert [tick.get_text() for tick in classes.get_yticklabels()][:2] == ["4", "1"]
    assert [tick.get_text() for tick in pairs.get_yticklabels()] == ["4 \u2192 6", "1 \u2192 7", "4 \u2192 9"]
    assert [bar.get_width() for bar in pairs.patches] == [2, 1, 1]
    written = texts(figure)
    assert {"30.0%, 3 of 10", "10.0%, 1 of 10", "0.0%, 0 of 10"} <= set(written)


def test_of_many_classes_the_worst_are_drawn_and_none_that_was_not_tested() -> None:
    labels = torch.arange(50)
    predicted = labels.clone()
    predicted[30:] = 0
    names = [f"class {number}" for number in range(60)]
    confused = most_confused([Answers(labels.numpy(), predicted.numpy(), labels.numpy() / 50)])
    classes, pairs = draw_class_errors(labels, predicted, names, confused).axes
    assert [tick.get_text() for tick in classes.get_yticklabels()] == names[30:50]
    assert len(pairs.patches) == MOST_BARS


def test_a_network_without_errors_has_its_figure_too() -> None:
    classes, pairs = draw_class_errors(torch.arange(3), torch.arange(3), ["a", "b", "c"], []).axes
    assert len(classes.patches) == 3
    assert not pairs.patches
