"""What the papers print about their networks, as printed, and why a count differs where it does.

Each number stands beside the layer that it is about, so that our table can be read against theirs. Outputs are given
as maps x rows x columns.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

Numbers = Mapping[str, str]
"""Quantity of a Layer -> number as printed. A number without a unit is exact, unless preceded by `about`."""


class PaperNumbers(NamedTuple):
    """What a paper prints about one network.

    Args:
        source: where.
        layers: layer -> its numbers; a size without maps holds for everything in the layer.
        totals: numbers for the whole network, without auxiliary heads.
        notes: `layer.quantity` (`.quantity` for the whole) -> why the network has a different number.
        form: keyword -> values for which a model is this network; all other keywords have their defaults.
        kilo: what K stands for.
    """

    source: str
    layers: Mapping[str, Numbers]
    totals: Numbers
    notes: Mapping[str, str] = {}
    form: Mapping[str, tuple[Any, ...]] = {}
    kilo: int = 1000


def _each(quantity: str, **printed: str) -> dict[str, Numbers]:
    return {layer: {quantity: number} for layer, number in printed.items()}


LENET5 = PaperNumbers(
    source="LeCun, Bottou, Bengio, Haffner 1998, Sec. II-B; multiply-adds: Fig. 11",
    layers={
        "c1": {"parameters": "156", "connections": "122,304"},
        "s2": {"parameters": "12", "connections": "5,880"},
        "c3": {"parameters": "1,516", "connections": "151,600"},
        "s4": {"parameters": "32", "connections": "2,000"},
        "c5": {"parameters": "48,120", "connections": "48,120"},
        "f6": {"parameters": "10,164", "connections": "10,164"},
        "output": {"connections": "840"},
    },
    totals={"parameters": "60,000", "connections": "340,908", "macs": "401K"},
    notes={
        ".macs": "The 401K multiply-adds of Fig. 11 follow from no count of the network's weights or connections: the "
        "layers of Sec. II-B, which add up to the paper's own 340,908 connections, have 326,520."
    },
)

ALEXNET = PaperNumbers(
    source="Krizhevsky, Sutskever, Hinton 2012, Abstract and Sec. 3.5",
    layers=_each(
        "units",
        conv1="253,440",
        conv2="186,624",
        conv3="64,896",
        conv4="64,896",
        conv5="43,264",
        fc6="4096",
        fc7="4096",
        fc8="1000",
    ),
    totals={"parameters": "60 million", "units": "about 650,000"},
    notes={
        "conv1.units": "253,440 = 96 x 55 x 48 is a slip for 96 x 55 x 55 = 290,400; only with that do the layers add "
        "up to the paper's own 650,000."
    },
    form={"groups": (None, 2), "normalization": (None, "lrn")},
)

ZFNET = PaperNumbers(
    source="Zeiler, Fergus 2013, Fig. 3",
    layers=_each(
        "output",
        conv1="96x110x110",
        pool1="96x55x55",
        conv2="256x26x26",
        pool2="256x13x13",
        conv3="384x13x13",
        conv4="384x13x13",
        conv5="256x13x13",
        pool5="256x6x6",
        fc6="4096",
        fc7="4096",
    ),
    totals={},
    form={"normalization": (None, "lrn")},
)


def _vgg(parameters: str, *configurations: str) -> PaperNumbers:
    return PaperNumbers(
        source="Simonyan, Zisserman 2014, Table 2",
        layers={},
        totals={"parameters": parameters},
        form={"configuration": configurations},
    )


STEM = (
    "9,408 weights and 118.0M multiply-adds follow from 7x7x3x64. The paper's 2.7K and 34M would be those of "
    "(7+7)x3x64 = 2,688 weights."
)
REDUCED = (
    "The paper's row is conv2_reduce and conv2 together: 4,096 + 110,592 weights = 112 x 1024, 360M multiply-adds."
)
ROWS = (
    "Table 1 counts weights without biases, K = 1024. This one does not follow from the numbers of filters in its own "
    "row; the multiply-adds that the paper gives for the row do."
)
LAST = "1072K and the 54M multiply-adds belong together; the filters of the row make 1018K and 51M."

GOOGLENET = PaperNumbers(
    source="Szegedy et al. 2014, Table 1 (params are weights, K = 1024; ops are multiply-adds); budget: Sec. 1",
    layers={
        "conv1": {"output": "64x112x112", "weights": "2.7K", "macs": "34M"},
        "pool1": {"output": "64x56x56"},
        "conv2": {"output": "192x56x56", "weights": "112K", "macs": "360M"},
        "pool2": {"output": "192x28x28"},
        "inception_3a": {"output": "256x28x28", "weights": "159K", "macs": "128M"},
        "inception_3b": {"output": "480x28x28", "weights": "380K", "macs": "304M"},
        "pool3": {"output": "480x14x14"},
        "inception_4a": {"output": "512x14x14", "weights": "364K", "macs": "73M"},
        "inception_4b": {"output": "512x14x14", "weights": "437K", "macs": "88M"},
        "inception_4c": {"output": "512x14x14", "weights": "463K", "macs": "100M"},
        "inception_4d": {"output": "528x14x14", "weights": "580K", "macs": "119M"},
        "inception_4e": {"output": "832x14x14", "weights": "840K", "macs": "170M"},
        "pool4": {"output": "832x7x7"},
        "inception_5a": {"output": "832x7x7", "weights": "1072K", "macs": "54M"},
        "inception_5b": {"output": "1024x7x7", "weights": "1388K", "macs": "71M"},
        "average": {"output": "1024x1x1"},
        "fc": {"weights": "1000K", "macs": "1M"},
    },
    totals={"macs": "1.5 billion"},
    notes={f"inception_{row}.weights": ROWS for row in ("3b", "4a", "4b", "4c", "4d", "4e", "5b")}
    | {f"conv1.{quantity}": STEM for quantity in ("weights", "macs")}
    | {f"conv2.{quantity}": REDUCED for quantity in ("weights", "macs")}
    | {f"inception_5a.{quantity}": LAST for quantity in ("weights", "macs")},
    form={"normalization": (None, "lrn")},
    kilo=1024,
)


def _resnet(depth: int, macs: str) -> PaperNumbers:
    shortcuts = (None, "A", "B", "none") if depth < 50 else (None, "B")
    return PaperNumbers(
        source="He, Zhang, Ren, Sun 2015, Table 1 (FLOPs are multiply-adds)",
        layers=_each("output", conv1="112x112", conv2_x="56x56", conv3_x="28x28", conv4_x="14x14", conv5_x="7x7"),
        totals={"macs": macs},
        form={"depth": (depth,), "shortcut": shortcuts, "bottleneck_stride": (None, "1x1")},
    )


def _cifar_resnet(depth: int, parameters: str) -> PaperNumbers:
    return PaperNumbers(
        source="He, Zhang, Ren, Sun 2015, Sec. 4.2 and Table 6",
        layers=_each("output", conv1="32x32", conv2_x="32x32", conv3_x="16x16", conv4_x="8x8"),
        totals={"parameters": parameters},
        form={"depth": (depth,)},
    )


PUBLISHED: Mapping[str, tuple[PaperNumbers, ...]] = {
    "LeNet5": (LENET5,),
    "AlexNet": (ALEXNET,),
    "ZFNet": (ZFNET,),
    "VGG": (
        _vgg("133 million", "A", "A-LRN"),
        _vgg("133 million", "B"),
        _vgg("134 million", "C"),
        _vgg("138 million", "D"),
        _vgg("144 million", "E"),
    ),
    "GoogLeNet": (GOOGLENET,),
    "ResNet": (
        _resnet(18, "1.8e9"),
        _resnet(34, "3.6e9"),
        _resnet(50, "3.8e9"),
        _resnet(101, "7.6e9"),
        _resnet(152, "11.3e9"),
    ),
    "CifarResNet": (
        _cifar_resnet(20, "0.27M"),
        _cifar_resnet(32, "0.46M"),
        _cifar_resnet(44, "0.66M"),
        _cifar_resnet(56, "0.85M"),
        _cifar_resnet(110, "1.7M"),
        _cifar_resnet(1202, "19.4M"),
    ),
}
"""Name of a model's class -> what is published about the networks that it can be."""
