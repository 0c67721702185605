"""Memory freed by one step is reused by the next, and a CPU without bfloat16 is recognized."""

import subprocess
import sys

import pytest
import torch

from cnnlit.models.lenet5 import LeNet5
from cnnlit.parallel import devices
from cnnlit.parallel.devices import chosen_precision, compiling_pays, computing, emulates_bfloat16

STEPS = """
import resource, sys, torch
from cnnlit.parallel.devices import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
for _ in range(9):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(20_000_000), torch.ones(30_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks glibc")
def test_freed_memory_is_not_given_back_to_the_system() -> None:
    faults = {
        how: int(subprocess.run([sys.executable, "-c", STEPS, how], capture_output=True, text=True, check=True).stdout)
        for how in ("keep", "as it is")
    }
    assert faults["keep"] < 100 < faults["as it is"]


@pytest.mark.parametrize(
    ("capabilities", "emulates"),
    [({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, True), ({"avx2": True, "avx512_bf16": True}, False),
     ({"arm_bf16": True}, False), ({}, False)],
)  # fmt: skip
def test_a_cpu_without_bfloat16_is_recognized(monkeypatch, capabilities, emulates) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert emulates_bfloat16() is emulates


def with_gpu(monkeypatch: pytest.MonkeyPatch, *capability: int) -> None:
    """As if there were a GPU of this compute capability."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)


@pytest.mark.parametrize(
    ("capability", "half", "precision"),
    [((8, 0), True, "bf16-mixed"), ((9, 0), True, "bf16-mixed"), ((7, 5), True, "32-true"), ((9, 0), False, "32-true")],
)
def test_auto_is_bfloat16_on_a_gpu_that_has_it_where_the_recipe_allows_it(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], half: bool, precision: str
) -> None:
    with_gpu(monkeypatch, *capability)
    assert chosen_precision("auto", "auto", half=half) == precision
    assert chosen_precision("auto", "cpu", half=half) == "32-true"
    assert chosen_precision("16-mixed", "auto", half=half) == "16-mixed"


def test_a_cpu_compiles_long_trainings_of_one_image_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices.shutil, "which", lambda name: f"/usr/bin/{name}")
    long = {"steps": devices.SINGLE_IMAGE_STEPS, "batch_size": 1, "image_size": 32}
    assert compiling_pays("cpu", **long)
    assert not compiling_pays("cpu", **{**long, "steps": devices.SINGLE_IMAGE_STEPS - 1})
    assert not compiling_pays("cpu", **{**long, "batch_size": 64})
    assert not compiling_pays("mps", **long)
    monkeypatch.setattr(devices.shutil, "which", lambda name: None)
    assert not compiling_pays("cpu", **long)


def test_a_gpu_compiles_long_trainings_on_photographs(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpu(monkeypatch, 8, 0)
    long = {"steps": 10_000, "batch_size": 256, "image_size": 224}
    assert compiling_pays("auto", **long)
    assert not compiling_pays("auto", **{**long, "image_size": 32})
    assert not compiling_pays("auto", **{**long, "steps": 1_000})
    with_gpu(monkeypatch, 7, 0)
    assert not compiling_pays("auto", **long)


def test_how_a_run_computes_is_said_with_tf32_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda", 0)
    with_gpu(monkeypatch, 8, 0)
    with torch.backends.cudnn.flags(allow_tf32=True):
        assert computing("32-true", False, gpu) == ["float32, TF32 in convolutions alone"]
    with torch.backends.cudnn.flags(allow_tf32=False):
        assert computing("32-true", "cuda_graphs", gpu) == ["float32, no TF32", "compile=cuda_graphs"]
        assert computing("bf16-mixed", True, gpu) == ["trainer.precision=bf16-mixed, no TF32", "compile=true"]
    with_gpu(monkeypatch, 7, 0)
    assert computing("32-true", False, gpu) == ["float32, no TF32"]
    assert computing("32-true", False, torch.device("cpu")) == []


@pytest.mark.slow
def test_what_cuda_graphs_are_captured_from_computes_the_same_bits() -> None:
    """The backend `cudagraphs` captures what `aot_eager` calls: the operations of a step, one by one."""
    ends = []
    for compiled in (False, True):
        torch.manual_seed(0)
        network = LeNet5(initialization="lecun1998_sqrt")
        if compiled:
            network.compile(**{**devices.COMPILERS["cuda_graphs"], "backend": "aot_eager"})
        optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
        for _ in range(3):
            optimizer.zero_grad()
            network(torch.rand(8, 1, 32, 32)).square().mean().backward()
            optimizer.step()
        ends.append(network.state_dict())
    assert all(torch.equal(values, ends[1][name]) for name, values in ends[0].items())
