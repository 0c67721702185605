"""The layer table counts what the papers count, and sees as far as gradients do."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cnnlit.description.layer_table import LayerTable
from cnnlit.description.shape_inference import Outlined
from cnnlit.models.alexnet import AlexNet
from cnnlit.models.googlenet import GoogLeNet
from cnnlit.models.lenet5 import LeNet5
from cnnlit.models.resnet import CifarResNet, ResNet
from cnnlit.models.vgg import VGG
from cnnlit.models.zfnet import ZFNet


def table_of(build, image=(3, 224, 224)):
    with Outlined():
        return LayerTable(build().to("meta"), image)


def rows_of(build, image=(3, 224, 224), detail="layers"):
    return {row.name: row for row in table_of(build, image).rows(detail)}


@pytest.mark.parametrize(
    ("build", "parameters", "macs", "units"),
    [
        (AlexNet, 60_965_224, "0.724", 659_272),
        (partial(AlexNet, groups=1), 62_378_344, "1.135", 659_272),
        (ZFNet, 62_357_608, "1.168", 1_516_904),
        (partial(ZFNet, variant="slides"), 107_627_624, "2.477", 1_689_960),
        (partial(VGG, configuration="A"), 132_863_336, "7.609", 7_435_240),
        (partial(VGG, configuration="B"), 133_047_848, "11.308", 12_252_136),
        (partial(VGG, configuration="C"), 133_638_952, "11.771", 13_556_712),
        (partial(VGG, configuration="D"), 138_357_544, "15.470", 13_556_712),
        (partial(VGG, configuration="E"), 143_667_240, "19.632", 14_861_288),
        (GoogLeNet, 6_998_552, "1.583", 3_227_160),
        (partial(ResNet, depth=18, shortcut="none"), 11_515_688, "1.795", 2_309_096),
        (partial(ResNet, depth=18), 11_689_512, "1.814", 2_484_712),
        (partial(ResNet, depth=34, shortcut="A"), 21_623_848, "3.644", 3_563_496),
        (partial(ResNet, depth=34), 21_797_672, "3.664", 3_739_112),
        (partial(ResNet, depth=34, shortcut="C"), 22_716_840, "3.831", 4_943_336),
        (ResNet, 25_557_032, "3.858", 10_588_136),
        (partial(ResNet, variant="torchvision"), 25_557_032, "4.089", 11_114_984),
        (partial(ResNet, depth=101), 44_549_160, "7.570", 15_706_088),
        (partial(ResNet, depth=152), 60_192_808, "11.282", 22_028_264),
    ],
    ids=str,
)
def test_totals_are_those_of_the_papers_networks(build, parameters, macs, units):
    table = table_of(build)
    assert table.parameters_inference == parameters
    assert f"{table.macs / 1e9:.3f}" == macs
    assert table.units == units
    assert sum(share.parameters for share in table.shares.values()) == parameters
    assert sum(share.macs for share in table.shares.values()) == table.macs


def test_lenet5_has_the_papers_connections_and_no_multiply_adds_in_sub_sampling():
    table = table_of(LeNet5, (1, 32, 32))
    rows = table.rows("blocks")
    assert [row.name for row in rows] == ["c1", "s2", "c3", "s4", "c5", "f6", "output"]
    assert [row.parameters for row in rows] == [156, 12, 1516, 32, 48120, 10164, 0]
    assert [row.connections for row in rows] == [122304, 5880, 151600, 2000, 48120, 10164, 840]
    assert [row.macs for row in rows] == [117600, 0, 150000, 0, 48000, 10080, 840]
    assert (table.connections, table.macs, table.units) == (340_908, 326_520, 8_094)


def test_auxiliary_heads_are_rows_of_the_training_alone():
    table = table_of(GoogLeNet)
    heads = [row for row in table.rows("blocks") if row.training_only]
    assert [row.name for row in heads] == ["auxiliary_4a", "auxiliary_4d"]
    assert [row.parameters for row in heads] == [3_188_840, 3_190_888]
    assert table.parameters == 13_378_280
    assert table.parameters_inference == 6_998_552
    assert not [row for row in table_of(partial(GoogLeNet, auxiliary_weight=0)).rows("blocks") if row.training_only]


def test_modules_of_googlenet_have_the_weights_that_follow_from_table_1():
    rows = rows_of(GoogLeNet, detail="blocks")
    weights = [row.weights for name, row in rows.items() if name.startswith("inception")]
    assert weights == [163328, 388096, 375552, 448512, 509440, 604672, 867328, 1042432, 1442816]
    assert rows["inception_4e"].output == (832, 14, 14)


def test_blocks_are_the_sums_of_their_layers():
    for build in (GoogLeNet, partial(ResNet, depth=18)):
        table = table_of(build)
        blocks, layers = table.rows("blocks"), table.rows("layers")
        assert len(blocks) < len(layers)
        for quantity in ("parameters", "weights", "macs", "units", "connections", "activation_bytes"):
            assert sum(getattr(row, quantity) for row in blocks) == sum(getattr(row, quantity) for row in layers)


SMALL = {
    "alexnet": (partial(AlexNet, width=0.05), (3, 224, 224)),
    "alexnet, torchvision": (partial(AlexNet, width=0.05, variant="torchvision"), (3, 200, 200)),
    "zfnet": (partial(ZFNet, width=0.05, pooling="average"), (3, 224, 224)),
    "vgg": (partial(VGG, width=0.05, configuration="C", normalization="batch", image_size=64), (3, 64, 64)),
    "googlenet": (partial(GoogLeNet, width=0.1), (3, 224, 224)),
    "googlenet, torchvision": (partial(GoogLeNet, width=0.1, variant="torchvision", image_size=96), (3, 96, 96)),
    "googlenet, naive": (partial(GoogLeNet, width=0.1, reductions=False, image_size=64), (3, 64, 64)),
    "resnet": (partial(ResNet, width=0.1), (3, 64, 64)),
    "resnet, shortcut A": (partial(ResNet, width=0.1, depth=18, shortcut="A"), (3, 65, 65)),
    "cifar resnet": (partial(CifarResNet, width=0.5, activation="gelu"), (3, 32, 32)),
    "lenet5": (partial(LeNet5, normalization="batch", head="linear", c3="full", pooling="max"), (1, 32, 32)),
}


@pytest.mark.parametrize("name", SMALL)
def test_outlines_are_what_a_real_forward_pass_makes(name):
    build, image = SMALL[name]
    network = build().eval()
    made, handles = {}, []
    for path, module in network.named_modules():
        handles.append(module.register_forward_hook(lambda m, i, o, path=path: made.update({path: tuple(o.shape[1:])})))
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(torch.rand(1, *image))
    table = table_of(build, image)
    rows = [row for row in table.rows("layers") if not row.training_only]
    assert rows
    assert {row.module: row.output for row in rows} == {row.module: made[row.module] for row in rows}
    assert table.macs == counter.get_total_flops() / 2
    assert table.parameters == sum(p.numel() for p in network.parameters())
    assert table.activation_bytes == sum(4 * math.prod(made[row.module]) for row in rows)


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


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, images):
        return self.conv(self.conv(images))


def test_shared_weights_are_counted_once_and_their_work_twice():
    with Outlined():
        table = LayerTable(Twice().to("meta"), (2, 8, 8))
    assert [row.parameters for row in table.rows("layers")] == [38, 0]
    assert [row.receptive_field for row in table.rows("layers")] == [3, 5]
    assert table.parameters == 38
    assert table.macs == 2 * 36 * 64


def test_the_table_leaves_the_network_as_it_was():
    network = AlexNet(width=0.05).train()
    with Outlined():
        other = AlexNet(width=0.05).to("meta").train()
    LayerTable(other, (3, 224, 224))
    assert other.training
    assert not [hooks for module in other.modules() if (hooks := module._forward_hooks or module._forward_pre_hooks)]
    assert {name: p.shape for name, p in other.named_parameters()} == {
        name: p.shape for name, p in network.named_parameters()
    }
