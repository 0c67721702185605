"""On a GPU: networks step as on the CPU, commands train, resume to the bit and use several processes.

`pytest -m gpu` takes about three minutes on one GPU; `pytest -m gpu --small` runs the same code on a CPU.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional

from cnnlit.models.alexnet import AlexNet
from cnnlit.models.compact import CompactNet
from cnnlit.models.googlenet import GoogLeNet
from cnnlit.models.lenet5 import LeNet5
from cnnlit.models.resnet import CifarResNet, ResNet
from cnnlit.models.vgg import VGG
from cnnlit.models.zfnet import ZFNet
from tests.as_typed import cnnlit

pytestmark = pytest.mark.gpu

SMALL: dict[str, Any] = {"num_classes": 4, "image_size": 64}
NETWORKS = {
    "LeNet-5": (lambda: LeNet5(initialization="lecun1998_sqrt"), (8, 1, 32, 32)),
    "LeNet-5, modern": (lambda: LeNet5(pooling="max", head="linear", activation="relu"), (8, 1, 32, 32)),
    "CompactNet": (CompactNet, (8, 1, 32, 32)),
    "AlexNet": (lambda: AlexNet(width=0.25, dropout=0.0, initialization="he2015", **SMALL), (8, 3, 64, 64)),
    "ZFNet": (lambda: ZFNet(width=0.25, dropout=0.0, initialization="he2015", **SMALL), (8, 3, 64, 64)),
    "VGG": (lambda: VGG(configuration="A", width=0.25, dropout=0.0, initialization="he2015", **SMALL), (8, 3, 64, 64)),
    "GoogLeNet": (lambda: GoogLeNet(dropout=0.0, **SMALL), (8, 3, 64, 64)),
    "ResNet-18": (lambda: ResNet(depth=18, **SMALL), (8, 3, 64, 64)),
    "ResNet-50": (lambda: ResNet(depth=50, **SMALL), (8, 3, 64, 64)),
    "ResNet-20": (lambda: CifarResNet(depth=20, num_classes=4), (8, 3, 32, 32)),
}

PRECISIONS = {"float32": (torch.float32, 1e-3), "bfloat16": (torch.bfloat16, 0.1), "float16": (torch.float16, 0.02)}
"""Type of the products, and how far loss and gradient may be from float32's on the CPU, relative."""


def step(network: nn.Module, images: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The loss of a batch and the norm of its gradient, on the CPU."""
    labels = torch.arange(len(images), device=images.device) % 4
    with torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32):
        outputs = network(images)
        outputs = outputs[0] if isinstance(outputs, tuple) else outputs  # without auxiliary heads
        loss = functional.cross_entropy(outputs.float() / outputs.detach().float().abs().max(), labels)
    loss.backward()
    gradients = [parameter.grad.float() for parameter in network.parameters() if parameter.grad is not None]
    return loss.detach().cpu(), torch.nn.utils.get_total_norm(gradients).cpu()


@pytest.fixture(autouse=True)
def whole_float32() -> Iterator[None]:
    """No TF32, which keeps ten bits of each product."""
    with torch.backends.cudnn.flags(allow_tf32=False):
        yield


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_is_the_cpus(
    gpu: torch.device, name: str, precision: str, layout: torch.memory_format, compiled: bool
) -> None:
    if compiled and (name not in ("LeNet-5", "ResNet-18") or precision == "float16"):
        pytest.skip("compiling takes longest: two networks stand for all")
    if gpu.type == "cpu" and (compiled or precision == "float16"):
        pytest.skip("in small without")
    make, shape = NETWORKS[name]
    images = torch.rand(shape)
    torch.manual_seed(0)
    network = make()
    expected = step(network, images, torch.float32)
    network.zero_grad()
    network.to(gpu).to(memory_format=layout)
    run: Any = torch.compile(network) if compiled else network
    dtype, tolerance = PRECISIONS[precision]
    found = step(run, images.to(gpu).contiguous(memory_format=layout), dtype)
    for value, right in zip(found, expected, strict=True):
        assert value.item() == pytest.approx(right.item(), rel=tolerance)


def trained(folder: Path, gpu: torch.device, *words: str) -> Path:
    """The folder of a run that ended well, on the device that was asked for."""
    run = folder / "run"
    accelerator = "gpu" if gpu.type == "cuda" else "cpu"
    line = (*words, f"trainer.accelerator={accelerator}", "logger=none", f"hydra.run.dir={run}")
    ended = cnnlit(folder, "train", *line)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    return run


def on_the_device(run: Path, gpu: torch.device) -> None:
    device = json.loads((run / "run.json").read_text())["device"]
    assert ("cpu" in device) == (gpu.type == "cpu"), device


COMMANDS = {
    "LeNet-5, distorted": ("data=digits", "recipe.epochs=2", "data.distortion=elastic2003"),
    "the training of 1998": ("experiment=lenet5_1998", "data=digits", "data.val_split=1237", "recipe.epochs=1"),
    "bfloat16": ("data=digits", "recipe.epochs=2", "trainer.precision=bf16-mixed"),
    "photographs": ("model=resnet18", "data=synthetic", "data.drawn_images=64", "data.image_size=64", "recipe.epochs=1",
                    "data.num_classes=4", "data.val_split=8", "recipe.batch_size=16", "channels_last=true"),
}  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_command_trains_on_it(gpu: torch.device, tmp_path: Path, words: tuple[str, ...]) -> None:
    run = trained(tmp_path, gpu, *words)
    on_the_device(run, gpu)
    assert json.loads((run / "test.json").read_text())["test/num_images"] > 0


def losses(run: Path) -> list[str]:
    with (run / "metrics.csv").open(newline="") as file:
        return [row["train/loss"] for row in csv.DictReader(file)]


def test_a_resumed_run_ends_with_the_same_bits(gpu: torch.device, tmp_path: Path) -> None:
    words = ("data=digits", "trainer.deterministic=true", "recipe.optimizer.lr=0.001", "recipe/schedule=constant")
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = trained(tmp_path / "whole", gpu, *words, "recipe.epochs=3")
    parts = trained(tmp_path / "parts", gpu, *words, "recipe.epochs=2")
    ended = cnnlit(tmp_path / "parts", "train", f"resume={parts}", "recipe.epochs=3")
    assert ended.returncode == 0, ended.stderr
    assert losses(whole) == losses(parts)


GRAPHED = {
    "LeNet-5": (),
    "the training of 1998": ("recipe=lecun1998", "data.val_split=1373"),
    "a stack": ("replicas=2", "replicas_as=stack"),
}


@pytest.mark.parametrize("words", GRAPHED.values(), ids=GRAPHED)
def test_cuda_graphs_change_no_bit(gpu: torch.device, tmp_path: Path, words: tuple[str, ...]) -> None:
    if gpu.type == "cpu":
        ended = cnnlit(tmp_path, "train", "data=digits", "compile=cuda_graphs", "trainer.accelerator=cpu", *words)
        assert ended.returncode == 2
        assert "a CUDA graph needs a GPU" in ended.stderr
        return
    always = ("data=digits", "recipe.epochs=2", "trainer.deterministic=true", *words)
    ends = []
    for name in ("false", "cuda_graphs"):
        (tmp_path / name).mkdir()
        run = trained(tmp_path / name, gpu, *always, f"compile={name}")
        ends.append(losses(run / "0" if "replicas=2" in words else run))
    assert ends[0] == ends[1]


def test_auto_is_bfloat16_for_todays_recipe_of_photographs(gpu: torch.device, tmp_path: Path) -> None:
    run = trained(tmp_path, gpu, *COMMANDS["photographs"], "recipe=modern_images")
    kept = yaml.safe_load((run / "config.yaml").read_text())
    modern = gpu.type == "cuda" and torch.cuda.get_device_capability(gpu) >= (8, 0)
    assert kept["trainer"]["precision"] == ("bf16-mixed" if modern else "32-true")
    assert kept["compile"] is False  # so short a training is not worth a minute of compiling


def test_seeds_in_lock_step_are_what_they_are_alone(gpu: torch.device, tmp_path: Path) -> None:
    words = ("data=digits", "recipe.epochs=2", "model.pooling=max", "model.head=linear", "recipe/loss=cross_entropy")
    for name in ("stack", "alone"):
        (tmp_path / name).mkdir()
    stack = trained(tmp_path / "stack", gpu, *words, "replicas=3", "replicas_as=stack")
    alone = trained(tmp_path / "alone", gpu, *words, "seed=1")
    both = zip(losses(stack / "1"), losses(alone), strict=True)
    assert all(float(one) == pytest.approx(float(other), rel=2e-3) for one, other in both)


def test_a_full_memory_is_one_line(gpu: torch.device, tmp_path: Path) -> None:
    if gpu.type == "cpu":
        pytest.skip("the CPU's memory is the system's")
    free = torch.cuda.mem_get_info(gpu)[0]
    batch = free // (50 * 2**20)  # VGG's maps of a photograph take more than 50 MB
    words = ("model=vgg16", "data=synthetic", f"data.drawn_images={2 * batch}", "data.num_classes=4", "recipe.epochs=1",
             f"recipe.batch_size={batch}", "data.val_split=8", "trainer.accelerator=gpu", "logger=none")  # fmt: skip
    ended = cnnlit(tmp_path, "train", *words, f"hydra.run.dir={tmp_path / 'run'}")
    assert ended.returncode == 1
    assert "the memory of the device is full" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_trained_network_answers_from_it(gpu: torch.device, tmp_path: Path) -> None:
    run = trained(tmp_path, gpu, "data=digits", "recipe.epochs=1")
    ended = cnnlit(tmp_path, "evaluate", f"run={run}", "protocol=shifts")
    assert ended.returncode == 0, ended.stderr
    written = json.loads((run / "evaluations" / "shifts.json").read_text())
    assert written["test/num_images"] == 360
