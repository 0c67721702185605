"""Heat maps lie where the square was, and projections beside the parts of the image that they come from."""

import pytest
import torch

from cnnlit.attribution.deconvnet import Projections
from cnnlit.attribution.drawing import (
    GAP,
    MOST_MAPS,
    PATCH,
    TILE,
    draw_feature_maps,
    draw_occlusion,
    draw_projections,
    draw_saliency,
)

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


def test_saliency_stands_beside_the_image_brightest_where_it_is_largest() -> None:
    saliency = torch.rand(32, 32)
    figure = draw_saliency([IMAGE], [saliency], ["dog 90%"])
    image, drawn = figure.axes[0].get_images()
    assert torch.equal(torch.as_tensor(drawn.get_array().filled()), saliency / saliency.max())
    assert drawn.get_extent()[0] - image.get_extent()[1] == GAP
    assert "dog 90%" in {text.get_text() for text in figure.axes[0].texts}


def test_maps_stand_side_by_side_and_units_are_one_bitmap() -> None:
    c1, f6 = torch.rand(1, 6, 24, 24), torch.rand(1, 84)
    figure = draw_feature_maps([IMAGE], {"c1": c1, "f6": f6, "output": torch.rand(1, 10)}, ["4.png"])
    _, maps, units, _ = (image.get_array() for image in figure.axes[0].get_images())
    strip = torch.as_tensor(maps.filled(float("nan")))
    for number in range(6):
        tile = strip[:PATCH, number * (PATCH + GAP) :][:, :PATCH]
        assert torch.equal(tile[1::3, 1::3], c1[0, number])
    assert strip[:, PATCH : PATCH + GAP].isnan().all()
    bitmap = torch.as_tensor(units.filled(float("nan")))
    assert torch.equal(bitmap[3:72:6, 3:42:6], f6.view(12, 7))  # as the codes of LeNet-5's digits are drawn
    written = {text.get_text() for text in figure.axes[0].texts}
    assert any(text.startswith("c1: 6 maps of 24x24, ") for text in written)
    assert any(text.startswith("f6: 84 units, ") for text in written)


def test_of_many_maps_the_strongest_are_drawn_in_their_order() -> None:
    maps = torch.zeros(1, 200, 4, 4)
    maps[0, 100:] = torch.arange(100, 200)[:, None, None]
    figure = draw_feature_maps([IMAGE], {"conv5": maps}, ["4.png"])
    strip = torch.as_tensor(figure.axes[0].get_images()[1].get_array().filled(float("nan")))
    drawn = [
        float(strip[row * (PATCH + GAP), column * (PATCH + GAP)])
        for row in range(MOST_MAPS // 16)
        for column in range(16)
    ]
    assert drawn == list(range(136, 200))
    assert any("the strongest 64 of 200 maps of 4x4" in text.get_text() for text in figure.axes[0].texts)
