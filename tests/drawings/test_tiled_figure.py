"""Figures of tiles: rows as even as can be, pixels as whole squares, names that fit."""

import pytest
import torch

from cnnlit.drawings.tiled_figure import TiledFigure, shortened


def test_rows_are_as_even_as_can_be() -> None:
    corners = TiledFigure("title", "legend", tiles=9, columns=8, cell=(84, 122)).corners
    rows = [sum(y == row for _, y in corners) for row in sorted({y for _, y in corners})]
    assert rows == [5, 4]


def test_cells_neither_overlap_nor_leave_the_page() -> None:
    figure = TiledFigure("title", "legend", tiles=7, columns=3, cell=(100, 130))
    width, height = figure.axes.get_xlim()[1], figure.axes.get_ylim()[0]
    for number, (x, y) in enumerate(figure.corners):
        assert 0 <= x <= width - 100
        assert 0 <= y <= height - 130
        assert all(abs(x - left) >= 100 or abs(y - top) >= 130 for left, top in figure.corners[:number])


@pytest.mark.parametrize(("side", "shown"), [(28, 84), (50, 50), (84, 84), (168, 84)])
def test_small_images_are_magnified_by_whole_numbers_and_large_ones_reduced(side: int, shown: int) -> None:
    figure = TiledFigure("", "", tiles=1, columns=1, cell=(84, 84))
    assert figure.show(torch.zeros(side, side), 10, 20, 84, (0, 1)) == (10 + shown, 20 + shown)


def test_long_names_end_in_an_ellipsis() -> None:
    assert shortened(["cat", "king penguin"], 6) == ["cat", "king …"]
