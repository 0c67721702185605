"""Outlines have the shapes of what torch computes, and cost neither memory nor torch's compiler."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from cnnlit.description.shape_inference import Outlined
from cnnlit.models.layers import Activation, activation_layer

OPERATIONS = {
    "convolution": lambda x: functional.conv2d(
        x, x.new_ones(4, 3, 3, 5), stride=(2, 3), padding=(1, 2), dilation=2, groups=2
    ),
    "max pooling": lambda x: functional.max_pool2d(x, 3, 2, padding=1),
    "max pooling, overhanging": lambda x: functional.max_pool2d(x, 2, 2, ceil_mode=True),
    "max pooling, padded and overhanging": lambda x: functional.max_pool2d(x, 3, 3, padding=1, ceil_mode=True),
    "average pooling": lambda x: functional.avg_pool2d(x, 3, ceil_mode=True),
    "pooling to a size": lambda x: functional.adaptive_avg_pool2d(x, (3, 2)),
    "mean": lambda x: x.mean((2, 3)),
    "mean, kept": lambda x: x.mean((2, -1), keepdim=True),
    "sum of all": lambda x: x.sum(),
    "concatenation": lambda x: torch.cat([x, x[:, :2]], dim=-3),
    "broadcast": lambda x: x + x.new_ones(13),
    "in place": lambda x: x.mul_(2).add_(x),
    "linear": lambda x: functional.linear(x.flatten(1), x.new_ones(7, 6 * 13 * 13), x.new_ones(7)),
    "linear, no bias": lambda x: functional.linear(x.flatten(1), x.new_ones(7, 6 * 13 * 13)),
    "padding": lambda x: functional.pad(x, (0, 1, 2, 3)),
    "slices": lambda x: x[:, :, ::2, 1:],
    "one that torch is asked about": lambda x: torch.cdist(x.flatten(1), x.flatten(1)),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_outline_has_the_shape_of_the_result(name):
    real = OPERATIONS[name](torch.rand(2, 6, 13, 13))
    with Outlined(), torch.no_grad():
        outline = OPERATIONS[name](torch.empty(2, 6, 13, 13))
    assert outline.is_meta
    assert outline.shape == real.shape
    assert outline.dtype == real.dtype


@pytest.mark.parametrize("name", Activation.__args__)
def test_activations_keep_the_shape(name):
    with Outlined(), torch.no_grad():
        assert activation_layer(name)(torch.empty(2, 3, 4)).shape == (2, 3, 4)


@pytest.mark.parametrize("training", [True, False])
def test_layers_with_statistics_and_chance_keep_the_shape(training):
    with Outlined(), torch.no_grad():
        network = nn.Sequential(nn.BatchNorm2d(6), nn.Dropout(0.5)).to("meta").train(training)
        assert network(torch.empty(2, 6, 5, 5)).shape == (2, 6, 5, 5)


def test_parameters_are_outlines_and_constants_are_real():
    with Outlined():
        layer = nn.Linear(10**6, 10**6)  # 4 TB
        constant = torch.arange(4) // 2
    assert layer.weight.is_meta
    assert constant.tolist() == [0, 0, 1, 1]


def test_no_compiler_is_imported():
    program = (
        "import sys\n"
        "from cnnlit.models.googlenet import GoogLeNet\n"
        "from cnnlit.models.lenet5 import LeNet5\n"
        "from cnnlit.models.resnet import ResNet\n"
        "from cnnlit.description.layer_table import LayerTable\n"
        "from cnnlit.description.shape_inference import Outlined\n"
        "for build, image in ((GoogLeNet, (3, 224, 224)), (ResNet, (3, 224, 224)), (LeNet5, (1, 32, 32))):\n"
        "    with Outlined():\n"
        "        network = build().to('meta')\n"
        "    LayerTable(network, image)\n"
        "print({'sympy', 'torch._dynamo', 'torch._inductor'} & set(sys.modules))\n"
    )
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert outcome.stdout == "set()\n", outcome.stderr
