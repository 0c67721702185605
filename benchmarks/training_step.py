"""A training step (forward, backward, update) of each network, against torchvision's closest one.

ours:        cnnlit's network as published; for AlexNet and GoogLeNet, where torchvision's is a different network, also
             `variant="torchvision"`, which is the same one.
torchvision: its network with random weights, trained by the same loop on the same images.

Both in float32, channels_last, SGD with momentum.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.timing import Claim, Clock, Cost, interleaved, ratio, seconds
from cnnlit.models.alexnet import AlexNet
from cnnlit.models.googlenet import GoogLeNet
from cnnlit.models.resnet import ResNet
from cnnlit.models.vgg import VGG
from cnnlit.parallel.devices import keep_freed_memory

BATCH = 8
ROUNDS = 7
NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module]]] = {
    "AlexNet (torchvision's)": (partial(AlexNet, variant="torchvision"), torchvision.models.alexnet),
    "AlexNet (the paper's)": (AlexNet, torchvision.models.alexnet),
    "VGG A": (partial(VGG, configuration="A"), torchvision.models.vgg11),
    "GoogLeNet (torchvision's)": (
        partial(GoogLeNet, variant="torchvision", transform_input=False),
        partial(torchvision.models.googlenet, init_weights=False),
    ),
    "GoogLeNet (the paper's)": (GoogLeNet, partial(torchvision.models.googlenet, init_weights=False)),
    "ResNet-18": (partial(ResNet, depth=18), torchvision.models.resnet18),
    "ResNet-50 (v1.5)": (partial(ResNet, depth=50, variant="torchvision"), torchvision.models.resnet50),
}


class Step:
    """A training step; each call runs one and returns its cost.

    Args:
        network: the network to train.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network.train().to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=1e-3, momentum=0.9)
        random = torch.Generator().manual_seed(0)
        images = torch.randn(BATCH, 3, 224, 224, generator=random)
        self.images = images.to(memory_format=torch.channels_last)
        self.labels = torch.randint(1000, (BATCH,), generator=random)
        self()

    def __call__(self) -> Cost:
        clock = Clock()
        clock.start()
        outputs: Any = self.network(self.images)
        heads: list[Tensor] = list(outputs) if isinstance(outputs, tuple) else [outputs]
        loss: Any = functional.cross_entropy(heads[0], self.labels)
        for head in heads[1:]:
            loss = loss + 0.3 * functional.cross_entropy(head, self.labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return clock.stop()


def measure(root: str) -> list[Claim]:
    """The claims on a training step; needs no data."""
    keep_freed_memory()
    claims = []
    for name, (ours, theirs) in NETWORKS.items():
        costs = interleaved({name: Step(ours()), "torchvision": Step(theirs())}, ROUNDS)
        claims.append(ratio(f"{name} / torchvision", costs, name, "torchvision", bound=1.05, at_most=True))
        claims += [seconds(f"  {variant}, per step", costs, variant, per=1e-3, unit="ms") for variant in costs]
    return claims
