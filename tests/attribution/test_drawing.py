"""Heat maps lie where the square was, and projections beside the parts of the image that they come from."""

import pytest
import torch

from cnnlit.attribution.deconvnet import Projections
from cnnlit.attribution.drawing import PATCH, TILE, draw_occlusion, draw_projections

IMAGE = torch.arange(3 * 32 * 32).remainder(256).view(3, 32, 32).to(torch.uint8)


def test_the_heat_map_lies_over_the_centres_of_the_square() -> None:
    figure = draw_occlusion([IMAGE], [torch.linspace(0.1, 0.9, 49).view(7, 7)], ["dog 90%"], square=8, stride=4)
    image, heat = figure.axes[0].get_images()
    scale = TILE / 32
    left, right, bottom, top = heat.get_extent()
    beside = image.get_extent()[0] + TILE + 4
    # A square of 8 pixels has seven positions in 32 pixels, with centres 4, 8, ... 28.
    assert (left - beside, right - beside) == pytest.approx((2 * scale, 30 * scale))
    assert (top - image.get_extent()[3], bottom - top) == pytest.approx((2 * scale, 28 * scale))
    assert {"dog 90%", "10% to 90%"} <= {text.get_text() for text in figure.axes[0].texts}


def test_a_projection_stands_beside_its_part_of_the_image() -> None:
    pixels = torch.zeros(1, 3, 32, 32)
    pixels[0, :, 4:12, 8:24] = 2
    pixels[0, 0, 4, 8] = -4
    found = Projections(torch.tensor([17]), torch.tensor([1.0]), pixels, torch.tensor([[8, 4, 24, 12]]))
    figure = draw_projections([IMAGE], [found], ["dog"], "conv5")
    _, projection, patch = figure.axes[0].get_images()
    drawn = torch.as_tensor(projection.get_array().filled())
    assert drawn.shape == (8, 16, 3)
    assert drawn[0, 0].tolist() == [0, 0.75, 0.75]  # the largest magnitude is black, and 0 would be mid-grey
    assert torch.equal(torch.as_tensor(patch.get_array().filled()), IMAGE[:, 4:12, 8:24].movedim(0, -1) / 255)
    left, right, _, _ = projection.get_extent()
    assert right - left == PATCH
    assert "17" in {text.get_text() for text in figure.axes[0].texts}
