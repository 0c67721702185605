"""The layer table counts what the papers count, and what a forward pass computes."""

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
