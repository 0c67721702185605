"""The memory that a step frees serves the next one."""

import subprocess
import sys

import pytest

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
