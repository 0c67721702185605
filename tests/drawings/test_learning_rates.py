"""The schedule is drawn over the epochs; by factors of ten on a logarithmic axis."""

from cnnlit.drawings.learning_rates import draw_schedule


def test_a_schedule_by_steps_has_a_logarithmic_axis_and_a_smooth_one_has_not() -> None:
    epochs = [number / 10 for number in range(30)]
    (steps,) = draw_schedule(epochs, [0.1] * 10 + [0.01] * 10 + [0.001] * 10).axes
    assert steps.get_yscale() == "log"
    (smooth,) = draw_schedule(epochs, [0.1 * (30 - number) / 30 for number in range(30)]).axes
    assert smooth.get_yscale() == "linear"
    assert smooth.get_ylim()[0] == 0
    assert list(smooth.lines[0].get_xdata()) == epochs
    assert smooth.texts[0].get_text() == "0.1"


def test_a_single_rate_is_a_point() -> None:
    (axes,) = draw_schedule([1.0], [0.05]).axes
    assert axes.lines[0].get_marker() == "o"
