"""Memory freed by one step is reused by the next, and a CPU without bfloat16 is recognized."""

import subprocess
import sys

import pytest
import torch

from cnnlit.parallel.devices import emulates_bfloat16

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
