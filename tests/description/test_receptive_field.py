"""The layer table sees as far as gradients do."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from cnnlit.description.layer_table import LayerTable
from cnnlit.description.shape_inference import Outlined
from cnnlit.models.alexnet import AlexNet
from cnnlit.models.googlenet import GoogLeNet
from cnnlit.models.lenet5 import LeNet5
from cnnlit.models.resnet import ResNet
from cnnlit.models.vgg import VGG
from cnnlit.models.zfnet import ZFNet


def table_of(build, image=(3, 224, 224)):
    with Outlined():
        return LayerTable(build().to("meta"), image)


def rows_of(build, image=(3, 224, 224), detail="layers"):
    return {row.name: row for row in table_of(build, image).rows(detail)}


def seen_rows(network, path, image, positions):
    """For each position of a layer's map, the first and the last row of pixels with a gradient."""
    kept = {}
    network.get_submodule(path).register_forward_hook(lambda m, i, o: kept.update(output=o))
    pixels = torch.rand(1, *image, dtype=torch.float64, requires_grad=True)
    network(pixels)
    for position in positions:
        middle = kept["output"].shape[3] // 2
        (gradient,) = torch.autograd.grad(kept["output"][0, :, position, middle].sum(), pixels, retain_graph=True)
        rows = gradient.abs().amax((0, 1, 3)).nonzero().flatten()
        yield int(rows[0]), int(rows[-1])


# Averages and smooth activations, which let the gradient of every pixel through.
SMOOTH = {"pooling": "average", "activation": "tanh", "initialization": "glorot2010"}
SEEING = [
    ("conv3", partial(AlexNet, width=0.05, **SMOOTH), 224),
    ("pool2", partial(ZFNet, width=0.05, **SMOOTH), 224),
    ("pool4", partial(VGG, width=0.04, image_size=224, **SMOOTH), 224),
    ("inception_3b", partial(GoogLeNet, width=0.1, **SMOOTH), 224),
    ("inception_3b.conv5x5", partial(GoogLeNet, width=0.1, **SMOOTH), 224),
    ("inception_3a.pool_proj", partial(GoogLeNet, width=0.1, **SMOOTH), 224),
    ("conv4_x.0", partial(ResNet, depth=18, width=0.06, **SMOOTH), 224),
    ("conv3_x.1", partial(ResNet, depth=18, width=0.06, shortcut="A", **SMOOTH), 224),
    ("conv3_x.3", partial(ResNet, depth=50, width=0.06, shortcut="none", **SMOOTH), 224),
    ("conv3_x.3", partial(ResNet, depth=50, width=0.06, variant="torchvision", **SMOOTH), 224),
    ("s4", LeNet5, 32),
    ("c5", LeNet5, 32),
]


@pytest.mark.parametrize(("path", "build", "side"), SEEING)
def test_fields_and_strides_are_those_of_gradients(path, build, side):
    torch.manual_seed(0)
    network = build().double().eval()
    channels = 1 if build is LeNet5 else 3
    table = table_of(build, (channels, side, side))
    row = next(row for row in [*table.rows("blocks"), *table.rows("layers")] if row.module == path)
    middle = row.output[1] // 2
    positions = [middle, middle + 1] if row.output[1] > 2 else [0]
    (first, last), *others = seen_rows(network, path, (channels, side, side), positions)
    assert first > 0 or last < side - 1 or row.receptive_field == side, "not cut off at the edges"
    assert last - first + 1 == row.receptive_field
    for next_first, _ in others:
        assert next_first - first == row.stride


def through(*layers):
    """The field after (window, stride) layers, by the sum of windows less one times the strides before them."""
    strides = [math.prod(stride for _, stride in layers[:i]) for i in range(len(layers))]
    return 1 + sum((window - 1) * before for (window, _), before in zip(layers, strides, strict=True))


def bottlenecks(on_first):
    """conv2_x to conv5_x of ResNet-50, with the stride on the 1x1 or on the 3x3 convolution."""
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            yield from [(1, stride), (3, 1), (1, 1)] if on_first else [(1, 1), (3, stride), (1, 1)]


POOL = (3, 2)
TWO, THREE = ([*[(3, 1)] * convolutions, (2, 2)] for convolutions in (2, 3))


@pytest.mark.parametrize(
    ("build", "layer", "field", "known"),
    [
        (partial(VGG, configuration="D"), "pool5", through(*TWO * 2, *THREE * 3), 212),
        (AlexNet, "conv5", through((11, 4), POOL, (5, 1), POOL, (3, 1), (3, 1), (3, 1)), 163),
        (AlexNet, "pool5", through((11, 4), POOL, (5, 1), POOL, (3, 1), (3, 1), (3, 1), POOL), 195),
        (ResNet, "conv5_x.2", through((7, 2), POOL, *bottlenecks(True)), 483),
        (partial(ResNet, variant="torchvision"), "conv5_x.2", through((7, 2), POOL, *bottlenecks(False)), 427),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_fields_are_the_known_ones(build, layer, field, known):
    assert rows_of(build, detail="blocks")[layer].receptive_field == field == known


def test_three_small_convolutions_see_as_far_as_a_large_one():
    stack = nn.Sequential(*(nn.Conv2d(8, 8, 3, padding=1) for _ in range(3)))
    with Outlined():
        rows = LayerTable(stack.to("meta"), (8, 32, 32)).rows("layers")
    assert rows[-1].receptive_field == 7
    assert sum(row.weights for row in rows) == 27 * 8**2


class Branches(nn.Module):
    """Off-centre branches: a row above, and every second row, of a padded image."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, stride=2, dilation=2, padding=2)
        self.pool = nn.AvgPool2d(2, stride=2)

    def forward(self, images):
        shifted = nn.functional.pad(images, (0, 0, 4, 0))[:, :, :-4]
        return self.pool(shifted) + self.conv(images)[:, :, :, :] + images[:, :, ::2, ::2]


class Wrapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.branches = Branches()

    def forward(self, images):
        return self.branches(images)


def test_branches_join_where_they_lie():
    torch.manual_seed(0)
    network = Wrapped().double()
    ((first, last),) = seen_rows(network, "branches", (1, 32, 32), [8])
    with Outlined():
        (row,) = LayerTable(Wrapped().to("meta"), (1, 32, 32)).rows("blocks")
    # Output 8: pixels 12 and 13 through the shifted pool, 14, 16 and 18 through the convolution, 16 itself.
    assert (first, last) == (12, 18)
    assert row.receptive_field == 7
    assert row.stride == 2
