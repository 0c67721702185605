"""What training costs on many devices: networks are counted, not run; the rest follows from constants."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from torch import nn

from cnnlit.description.layer_table import LayerTable
from cnnlit.description.shape_inference import Outlined
from cnnlit.models.alexnet import AlexNet
from cnnlit.models.googlenet import GoogLeNet
from cnnlit.models.resnet import ResNet
from cnnlit.models.vgg import VGG
from cnnlit.parallel.communication import gradient_bytes
from cnnlit.reports.inspection_page import GPU_IMAGES_PER_SECOND

IMAGE = (3, 224, 224)
DEVICES = (8, 64, 1024)
NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "AlexNet": AlexNet,
    "VGG16": partial(VGG, configuration="D"),
    "GoogLeNet": GoogLeNet,
    "ResNet-50": partial(ResNet, depth=50),
    "ResNet-152": partial(ResNet, depth=152),
}

EPOCHS = 90
IMAGENET, IMAGENET_21K = 1_281_167, 14_200_000
CLASSES_21K = 21_841
DEVICES_PER_MACHINE = 8
BATCH_PER_DEVICE = 32
RESNET50_IMAGES_PER_SECOND = GPU_IMAGES_PER_SECOND["ResNet-50"]
FLOPS_PER_MAC = 3 * 2
"""A multiplication and an addition, once in the forward and twice in the backward pass."""
WITHIN_MACHINE, BETWEEN_MACHINES = 450e9, 50e9
"""Bytes per second, in one direction."""
NAME_BYTES = 31
"""The length of a path such as n01440764/n01440764_10026.JPEG."""
HE2015_BATCH, HE2015_RATE = 256, 0.1


class Store(NamedTuple):
    """A way of storing photographs on disk.

    Attributes:
        milliseconds: per image, on one core.
        size: bytes per image.
    """

    milliseconds: float
    size: float


STORES = {
    "folder": Store(2.78, 147_897_477_120 / IMAGENET),
    "prepared, 256 px": Store(0.93, 34e9 / IMAGENET),
    "prepared, 384 px": Store(1.81, 68e9 / IMAGENET),
    "prepared, raw": Store(0.11, 256 * 256 * 3),
}


class Network(NamedTuple):
    """What training a network costs.

    Attributes:
        outline: the network, on the meta device.
        macs: of the forward pass for one image, including auxiliary heads.
        parameters: including auxiliary heads.
    """

    outline: nn.Module
    macs: int
    parameters: int

    @classmethod
    def of(cls, build: Callable[..., nn.Module], num_classes: int = 1000, **keywords: str) -> "Network":
        with Outlined():
            outline = build(num_classes=num_classes, **keywords).to("meta")
        table = LayerTable(outline, IMAGE)
        return cls(outline, sum(layer.macs for layer in table.rows("layers")), table.parameters)

    @property
    def images_per_second(self) -> float:
        """Throughput of a device that waits for nothing."""
        return flop_rate() / (FLOPS_PER_MAC * self.macs)

    def images_that_hide(self, devices: int) -> float:
        """Images per device and step with which all gradients are sent by the end of the backward pass."""
        return 1.5 * self.step(devices).gradients * self.images_per_second

    def step(self, devices: int) -> "Step":
        compute = BATCH_PER_DEVICE / self.images_per_second
        return Step(devices, compute, ring_seconds(gradient_bytes(self.outline, devices), devices))


class Step(NamedTuple):
    """A step of training on several devices; compute and gradients in seconds."""

    devices: int
    compute: float
    gradients: float

    @property
    def hidden(self) -> float:
        """The share of the gradients' time that overlaps the backward pass, two thirds of the compute."""
        return min(1.0, self.compute * 2 / 3 / self.gradients)

    @property
    def seconds(self) -> float:
        return self.compute + self.gradients * (1 - self.hidden)

    @property
    def images_per_second(self) -> float:
        return self.devices * BATCH_PER_DEVICE / self.seconds


def flop_rate() -> float:
    """Operations per second that a device sustains, from the public figure for torchvision's ResNet-50."""
    macs = Network.of(partial(ResNet, depth=50), variant="torchvision").macs
    return RESNET50_IMAGES_PER_SECOND * FLOPS_PER_MAC * macs


def ring_seconds(sent: int, devices: int) -> float:
    """Seconds in which each device sends `sent` bytes through the slowest link of the ring, ignoring latency."""
    return sent / (WITHIN_MACHINE if devices <= DEVICES_PER_MACHINE else BETWEEN_MACHINES)
