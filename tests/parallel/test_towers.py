"""AlexNet on two devices is AlexNet on one."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from parallel.processes import together
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD
from torch.utils._python_dispatch import TorchDispatchMode

from cnnlit.models.alexnet import AlexNet
from cnnlit.parallel.towers import Towers
from cnnlit.training.optimizers import limit_filters

SMALL: Any = {"num_classes": 7, "image_size": 64, "width": 0.125}
PAPER: Any = {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4}
HE: Any = {"initialization": "he2015"}
KNOBS: dict[str, Any] = {
    "paper": {**HE, "dropout": 0.0},
    "dropout": {**HE, "dropout": 0.5},
    "other_layers": {**HE, "dropout": 0.0, "activation": "tanh", "pooling": "average", "normalization": "batch"},
}


# Relative, and for what is close to zero absolute. Of 18 networks in float32 none was further off than 3e-6.
TOLERANCES = {torch.float64: (1e-9, 1e-12), torch.float32: (1e-5, 1e-5)}


def network(dtype: torch.dtype = torch.float64, **knobs: Any) -> AlexNet:
    torch.manual_seed(3)
    return AlexNet(**SMALL, **knobs).to(dtype)


def batch(number: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(number)
    return torch.randn(6, 3, 64, 64, generator=random).to(dtype), torch.randint(7, (6,), generator=random)


def whole(tensor: Tensor) -> Tensor:
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach().clone()


def trained(model: nn.Module, steps: int = 20) -> dict[str, Tensor]:
    """Outputs and gradients of the first step, and the state after some steps of the paper's optimizer."""
    optimizer = SGD(model.parameters(), **PAPER)
    dtype = next(model.parameters()).dtype
    result: dict[str, Tensor] = {}
    for step in range(steps):
        images, labels = batch(step, dtype)
        torch.manual_seed(step)  # as the task does before each step
        logits = model(images)
        optimizer.zero_grad()
        functional.cross_entropy(logits, labels).backward()
        if not step:
            result |= {f"gradient {name}": whole(p.grad) for name, p in model.named_parameters()}  # type: ignore[arg-type]
            result["logits"] = logits.detach()
        clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        limit_filters(model, 0.1)
    return result | {f"after {name}": whole(value) for name, value in model.state_dict().items()}


def on_two_devices() -> dict[tuple[str, torch.dtype], dict[str, Tensor]]:
    mesh = init_device_mesh("cpu", (2,))
    results = {}
    for name, dtype in itertools.product(KNOBS, TOLERANCES):
        placed = network(dtype, **KNOBS[name])
        Towers(placed, mesh)
        results[name, dtype] = trained(placed)
    return results


class Sent(TorchDispatchMode):
    """Counts the bytes that a device gives into each kind of collective."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: dict[str, list[int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace in ("_c10d_functional", "c10d") and not func.__name__.startswith(("wait", "_wrap")):
            self.bytes.setdefault(func.__name__.partition(".")[0], []).append(args[0].nbytes)
        return func(*args, **(kwargs or {}))


def exchange() -> tuple[dict[str, dict[str, int]], dict[str, list[int]]]:
    towers = Towers(network(**KNOBS["paper"]), init_device_mesh("cpu", (2,)))
    images, labels = batch(0)
    with Sent() as sent:
        functional.cross_entropy(towers.network(images), labels).backward()
    return towers.exchanged, sent.bytes


@pytest.fixture(scope="module")
def two_devices(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return together(on_two_devices, tmp_path_factory.mktemp("towers"))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("case", KNOBS)
def test_two_towers_equal_one_device_in_outputs_gradients_and_twenty_steps(
    two_devices: Any, case: str, dtype: torch.dtype
) -> None:
    rtol, atol = TOLERANCES[dtype]
    one = trained(network(dtype, **KNOBS[case]))
    assert {f"gradient {layer}.bias" for layer in ("conv1", "conv3", "fc7", "fc8")} <= one.keys()
    for tower in two_devices:
        assert tower[case, dtype].keys() == one.keys()
        for name, expected in one.items():
            torch.testing.assert_close(
                tower[case, dtype][name], expected, rtol=rtol, atol=atol, msg=lambda m, n=name: f"{n}: {m}"
            )


@pytest.mark.slow
def test_the_towers_talk_before_conv3_and_the_fully_connected_layers_alone(tmp_path: Path) -> None:
    counted, sent = together(exchange, tmp_path)[0]
    batch_size, maps2, maps5, units, bytes_each = 6, 32 // 2, 32 // 2, 512 // 2, 8
    conv3 = batch_size * maps2 * 3 * 3 * bytes_each  # pool2 leaves 3 x 3 of 64 x 64 pixels
    fc6 = batch_size * maps5 * 1 * 1 * bytes_each
    fc7 = batch_size * units * bytes_each
    assert counted == {
        "conv3": {"forward": conv3, "backward": conv3},
        "fc6": {"forward": fc6, "backward": fc6},
        "fc7": {"forward": fc7, "backward": fc7},
        "fc8": {"forward": fc7, "backward": 0},
    }
    # What torch was seen to send: of what is scattered, half stays.
    assert sum(sent.pop("all_gather_into_tensor")) == sum(layer["forward"] for layer in counted.values())
    assert sum(sent.pop("reduce_scatter_tensor")) == 2 * sum(layer["backward"] for layer in counted.values())
    assert not sent


@pytest.mark.parametrize("model", [AlexNet(**SMALL, groups=1), nn.Linear(2, 2)], ids=["one_group", "another_model"])
def test_a_network_without_towers_does_not_fit(model: nn.Module) -> None:
    assert not Towers.fit(model)
    assert Towers.fit(network())
