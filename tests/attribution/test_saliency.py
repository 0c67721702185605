"""The saliency of a pixel is how much the score of the class changes with it."""

import pytest
import torch

from cnnlit.attribution.saliency import saliency_map
from cnnlit.models.lenet5 import LeNet5


def test_of_a_linear_network_it_is_the_largest_weight_over_the_colours() -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 4 * 5, 7))
    weight = network[1].weight[2].view(3, 4, 5)
    assert torch.equal(saliency_map(network, torch.rand(3, 4, 5), 2), weight.abs().amax(dim=0))


def test_it_is_the_slope_that_small_changes_show() -> None:
    network, image = LeNet5(initialization="eblearn").double().eval(), torch.rand(1, 32, 32, dtype=torch.float64)
    found = saliency_map(network, image, 3)
    assert found.shape == (32, 32)
    row, column = divmod(int(found.argmax()), 32)
    changed = image.clone()
    changed[0, row, column] += 1e-5
    with torch.no_grad():
        slope = (network(changed[None]) - network(image[None]))[0, 3] / 1e-5
    assert abs(float(slope)) == pytest.approx(float(found[row, column]), rel=1e-3)
    assert all(parameter.grad is None for parameter in network.parameters())
