"""The filters of the first layer are drawn on a common scale."""

import numpy as np
import pytest
import torch

from cnnlit.drawings.first_filters import draw_filters


def test_grey_filters_share_a_scale_with_zero_in_its_middle() -> None:
    weights = torch.zeros(6, 1, 5, 5)
    weights[2, 0, 1, 3] = -0.5
    (axes,) = draw_filters(weights).axes
    assert len(axes.images) == 6
    assert all(image.get_clim() == (0, 1) for image in axes.images)
    assert axes.images[0].get_array().max() == 0.5
    assert axes.images[2].get_array()[1, 3] == 0


def test_colour_filters_are_rescaled_to_colours() -> None:
    weights = torch.randn(96, 3, 11, 11, generator=torch.Generator().manual_seed(0), requires_grad=True)
    (axes,) = draw_filters(weights).axes
    assert len(axes.images) == 96
    shown = np.stack([image.get_array() for image in axes.images])
    assert shown.shape == (96, 11, 11, 3)
    assert shown.min() >= 0
    assert shown.max() <= 1
    assert np.allclose(
        (shown - 0.5).transpose(0, 3, 1, 2) * 2 * weights.abs().max().item(), weights.detach(), atol=1e-5
    )


def test_filters_on_other_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="16 channels"):
        draw_filters(torch.zeros(8, 16, 3, 3))


def test_filters_stand_in_as_many_columns_as_are_asked_for() -> None:
    (axes,) = draw_filters(torch.zeros(48, 1, 5, 5), columns=8).axes
    lefts, tops = ({round(image.get_extent()[place]) for image in axes.images} for place in (0, 3))
    assert (len(lefts), len(tops)) == (8, 6)
