"""Profiles of layers show what was measured, epoch by epoch, in the order of the network."""

import numpy as np
import pytest

from cnnlit.drawings.layer_profiles import draw_layers, measured_layers


def measured(num_layers: int, epochs: int = 2) -> list[dict[str, str | float]]:
    gradients = [
        {f"gradient_norm/c{n}": str(0.1**n / (1 + epoch)) for n in range(num_layers)} for epoch in range(epochs)
    ]
    return [{"epoch": epoch, **each, "saturation/c1": 0.25 * epoch} for epoch, each in enumerate(gradients)]


def test_layers_are_told_by_what_was_measured_of_them() -> None:
    assert measured_layers(measured(3)) == {"gradient_norm": ["c0", "c1", "c2"], "saturation": ["c1"]}
    assert measured_layers([]) == {}


def test_each_epoch_is_a_line_from_the_first_layer_to_the_last() -> None:
    gradients, saturation, *_ = draw_layers(measured(3)).axes
    assert [line.get_ydata().tolist() for line in gradients.lines] == [
        pytest.approx([1, 0.1, 0.01]),
        pytest.approx([0.5, 0.05, 0.005]),
    ]
    assert [label.get_text() for label in gradients.get_xticklabels()] == ["c0", "c1", "c2"]
    assert [line.get_ydata().tolist() for line in saturation.lines] == [[0.0], [0.25]]
    assert (gradients.get_yscale(), saturation.get_yscale()) == ("log", "linear")


def test_a_value_that_is_missing_is_a_gap() -> None:
    rows = measured(3)
    rows[0]["gradient_norm/c1"] = ""
    assert np.isnan(draw_layers(rows).axes[0].lines[0].get_ydata()).tolist() == [False, True, False]


def test_of_many_layers_the_panels_stand_one_above_the_other() -> None:
    for num_layers, above in ((3, False), (30, True)):
        figure = draw_layers(measured(num_layers))
        figure.draw_without_rendering()
        first, second, *_ = (axes.get_position() for axes in figure.axes)
        assert (first.y0 > second.y1) == above
        assert (first.x1 < second.x0) != above
