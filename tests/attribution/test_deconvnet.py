"""The deconvnet is the paper's, step by step; occlusion covers what it says."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from cnnlit.attribution.deconvnet import project
from cnnlit.attribution.occlusion import occlusion_map
from cnnlit.models.alexnet import AlexNet
from cnnlit.models.lenet5 import LeNet5
from cnnlit.models.resnet import ResNet
from cnnlit.models.zfnet import ZFNet


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def zfnet() -> ZFNet:
    torch.manual_seed(0)
    return ZFNet(width=0.1, image_size=97, num_classes=10, initialization="he2015").eval()


def test_the_deconvnet_unpools_rectifies_and_transposes(zfnet: ZFNet) -> None:
    """Zeiler, Fergus 2013, Sec. 2.1, with torch's own unpooling and transposed convolutions."""
    image = noise(3, 97, 97)
    projections = project(zfnet, image, "conv2", num_maps=4)
    first = zfnet.conv1(image[None]).relu()
    small, switches = functional.max_pool2d(first, 3, 2, ceil_mode=True, return_indices=True)
    second = zfnet.conv2(zfnet.lrn1(small))[0]
    for number, activation, pixels in zip(projections.maps, projections.activations, projections.pixels, strict=True):
        chosen = second[number]
        assert activation == chosen.max()
        alone = torch.where(torch.arange(len(second))[:, None, None] == number, second * (second == chosen.max()), 0.0)
        back = functional.conv_transpose2d(alone[None], zfnet.conv2.weight, stride=2)
        back = functional.pad(back, (0, small.shape[3] - back.shape[3], 0, small.shape[2] - back.shape[2]))
        # max_unpool2d lets one of two windows with the same place win; both add here, as values flow back to it.
        unpooled = torch.zeros_like(first).flatten(2)
        unpooled.scatter_add_(2, switches.flatten(2), back.flatten(2))
        rectified = unpooled.view_as(first).relu()
        expected = functional.conv_transpose2d(rectified, zfnet.conv1.weight, stride=2, padding=1)
        side = expected.shape[2]
        torch.testing.assert_close(pixels[:, :side, :side], expected[0].detach(), atol=1e-5, rtol=1e-4)
    assert projections.activations.tolist() == sorted(projections.activations.tolist(), reverse=True)


def test_features_are_projected_of_the_maps_that_are_asked_for_alone(zfnet: ZFNet) -> None:
    image = noise(3, 97, 97)
    every = project(zfnet, image, "conv2", num_maps=1000)
    weak, strong = every.maps[7], every.maps[2]
    chosen = project(zfnet, image, "conv2", maps=[int(weak), int(strong)])
    assert chosen.maps.tolist() == [strong, weak]
    assert torch.equal(chosen.pixels, every.pixels[[2, 7]])
    assert torch.equal(chosen.activations, every.activations[[2, 7]])


def test_a_feature_comes_from_its_receptive_field_alone(zfnet: ZFNet) -> None:
    boxes = project(zfnet, noise(3, 97, 97), "conv1").boxes
    assert ((boxes[:, 2] - boxes[:, 0]) <= 7).all()
    assert ((boxes[:, 3] - boxes[:, 1]) <= 7).all()


def test_the_network_itself_is_left_as_it_was(zfnet: ZFNet) -> None:
    image = noise(1, 3, 97, 97)
    before = zfnet(image)
    project(zfnet, image[0], "conv5")
    assert torch.equal(zfnet(image), before)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in zfnet.parameters())


@pytest.mark.parametrize(
    ("model", "layer"),
    [
        (AlexNet(width=0.1, image_size=97, num_classes=5), "conv5"),
        (ResNet(depth=18, width=0.1, image_size=64, num_classes=5), "conv5_x.0.conv1"),
    ],
)
def test_other_networks_can_be_looked_into(model: nn.Module, layer: str) -> None:
    torch.manual_seed(1)
    side = 97 if isinstance(model, AlexNet) else 64
    projections = project(model, 100 * noise(3, side, side), layer, num_maps=2)
    assert projections.pixels.shape == (2, 3, side, side)
    assert projections.pixels.abs().amax(dim=(1, 2, 3)).min() > 0


def test_what_is_no_rectifier_or_no_convolution_is_refused(zfnet: ZFNet) -> None:
    with pytest.raises(ValueError, match="activation=relu"):
        project(LeNet5(), noise(1, 32, 32), "c1")
    with pytest.raises(ValueError, match="there is conv1, conv2"):
        project(zfnet, noise(3, 97, 97), "conv9")


class Bright(nn.Module):
    """Of class 1 if one particular pixel is bright."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        lit = images[:, 0, 5, 8]
        return torch.stack([torch.zeros_like(lit), 10 * lit], dim=1)


def test_the_probability_falls_where_the_square_covers_what_counts() -> None:
    covered = occlusion_map(Bright(), torch.ones(1, 12, 16), 1, square=4, stride=2)
    assert covered.shape == (5, 7)
    for row, top in enumerate(range(0, 9, 2)):
        for column, left in enumerate(range(0, 13, 2)):
            hidden = top <= 5 < top + 4 and left <= 8 < left + 4
            assert covered[row, column] == pytest.approx(0.5 if hidden else 1, abs=1e-4)


def test_a_square_larger_than_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="17 pixels does not fit"):
        occlusion_map(Bright(), torch.ones(1, 12, 16), 1, square=17, stride=2)
