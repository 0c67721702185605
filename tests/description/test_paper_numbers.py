"""The papers' numbers: read with the precision that they have; each difference explained."""

import inspect

import pytest

from cnnlit.description.layer_table import LayerTable
from cnnlit.description.network import Description
from cnnlit.description.paper_check import agreement, find
from cnnlit.description.paper_numbers import PUBLISHED
from cnnlit.description.shape_inference import Outlined
from cnnlit.models.alexnet import AlexNet
from cnnlit.models.googlenet import GoogLeNet
from cnnlit.models.lenet5 import LeNet5
from cnnlit.models.resnet import CifarResNet, ResNet
from cnnlit.models.vgg import VGG
from cnnlit.models.zfnet import ZFNet

MODELS = (LeNet5, AlexNet, ZFNet, VGG, GoogLeNet, ResNet, CifarResNet)
FORMS = [
    (model, {key: values[0] for key, values in published.form.items()})
    for model in MODELS
    for published in PUBLISHED[model.__name__]
]


def defaults_of(model):
    return {key: parameter.default for key, parameter in inspect.signature(model).parameters.items()}


def described(model, keywords):
    with Outlined():
        network = model(**keywords).to("meta")
    defaults = defaults_of(model)
    image = (defaults["in_channels"], defaults["image_size"], defaults["image_size"])
    published, unlike = find(model.__name__, {**defaults, **keywords}, defaults)
    return Description("", image, LayerTable(network, image), "blocks", published, dict.fromkeys(unlike))


@pytest.mark.parametrize(
    ("count", "printed", "agrees"),
    [
        (60_965_224, "60 million", True),  # cut off
        (59_600_000, "60 million", True),  # rounded
        (61_000_000, "60 million", False),
        (659_272, "about 650,000", True),
        (622_312, "about 650,000", False),
        (60_000, "60,000", True),
        (60_001, "60,000", False),
        (4096, "4096", True),
        (3_857_973_248, "3.8e9", True),
        (4_089_184_256, "3.8e9", False),
        (269_722, "0.27M", True),
        (279_722, "0.27M", True),
        (280_000, "0.27M", False),
        (1_582_671_872, "1.5 billion", True),
        (1_024_000, "1000K", False),
    ],
)
def test_a_count_agrees_as_far_as_digits_are_printed(count, printed, agrees):
    assert agreement(count, printed) is agrees


def test_googlenets_k_is_1024():
    assert agreement(1_024_000, "1000K", kilo=1024)
    assert agreement(163_328, "159K", kilo=1024)
    assert not agreement(388_096, "380K", kilo=1024)


@pytest.mark.parametrize(("model", "keywords"), FORMS, ids=str)
def test_every_number_has_its_layer_and_every_difference_its_reason(model, keywords):
    description = described(model, keywords)
    statements = description.statements()
    published = description.published
    rows = [layer.name for layer in description.layers]
    for name in published.layers:
        assert any(row == name or row.startswith(f"{name}.") for row in rows), name
    numbers = sum(len(quantities) for quantities in published.layers.values()) + len(published.totals)
    assert len(statements) >= numbers > 0
    different = {f"{each.layer}.{each.quantity}" for each in statements if not each.agrees}
    assert different == set(published.notes)


@pytest.mark.parametrize(
    ("model", "keywords", "different"),
    [
        (LeNet5, {}, {".macs"}),
        (AlexNet, {}, {"conv1.units"}),
        (ZFNet, {}, set()),
        (VGG, {"configuration": "E"}, set()),
        (ResNet, {"depth": 34, "shortcut": "A"}, set()),
        (CifarResNet, {"depth": 56}, set()),
    ],
)
def test_what_differs_is_known(model, keywords, different):
    statements = described(model, keywords).statements()
    assert {f"{each.layer}.{each.quantity}" for each in statements if not each.agrees} == different


def test_lenet5_is_stated_layer_by_layer():
    stated = {(each.layer, each.quantity): each.printed for each in described(LeNet5, {}).statements()}
    assert stated["c3", "parameters"] == "1,516"
    assert stated["s2", "connections"] == "5,880"
    assert stated["", "parameters"] == "60,000"


def test_a_stage_is_compared_block_by_block():
    layers = {each.layer for each in described(ResNet, {"depth": 18}).statements()}
    assert {"conv1", "conv2_x.0", "conv2_x.1", "conv5_x.1", ""} <= layers


@pytest.mark.parametrize(
    ("model", "keywords", "unlike"),
    [
        (AlexNet, {"groups": 2, "normalization": "lrn", "dropout": 0.1, "activation": "tanh"}, None),
        (AlexNet, {"groups": 1}, ["groups"]),
        (AlexNet, {"variant": "torchvision", "width": 0.5}, ["variant", "width"]),
        (ResNet, {"depth": 34, "shortcut": "C"}, ["shortcut"]),
        (VGG, {"configuration": "C", "num_classes": 37}, ["num_classes"]),
        (ZFNet, {"variant": "slides"}, ["variant"]),
    ],
)
def test_another_network_has_no_numbers_of_the_paper(model, keywords, unlike):
    defaults = defaults_of(model)
    published, found = find(model.__name__, defaults | keywords, defaults)
    assert (published is None) == (unlike is not None)
    assert found == (unlike or [])


def test_a_model_of_no_paper_is_described_without():
    assert find("SomethingElse", {"width": 1}, {"width": 1}) == (None, [])


def test_a_difference_without_a_reason_is_seen():
    description = described(AlexNet, {})
    bare = description.published._replace(notes={})
    other = Description("", description.image, description.table, "blocks", bare, {})
    assert [each.note for each in other.statements() if not each.agrees] == [None]
