"""Startup time: to import the package, to print the help, and from the command to the first training step.

Both are CPU seconds of a whole child process, user and system, including its own children. The child that trains exits
where its first step would begin. It is compared with a process that imports lightning and torchvision and exits as
abruptly: what any such script pays before it does anything.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.timing import Claim, Cost, interleaved, ratio, seconds

ROUNDS = 3  # of twenty seconds each

IMPORTS = "import os, lightning, torchvision; os._exit(42)"

TO_THE_FIRST_STEP = """
import os, runpy, sys
from cnnlit.training.module import ImageClassification
ImageClassification.on_train_batch_start = lambda *_: os._exit(42)
sys.argv = ["cnnlit.train", "logger=csv", *sys.argv[1:]]
runpy.run_module("cnnlit.train", run_name="__main__")
"""


def measure(root: str) -> list[Claim]:
    """The claims on startup. MNIST plays no part: the command's default data are scikit-learn's digits."""
    with tempfile.TemporaryDirectory() as folder:
        first_step = ["-c", TO_THE_FIRST_STEP, f"run_root={folder}"]
        costs = interleaved(
            {
                "front door": lambda: child(["-c", "import cnnlit"], ends_with=0),
                "nothing": lambda: child(["-c", "pass"], ends_with=0),
                "help": lambda: child(["-m", "cnnlit.train", "--help"], ends_with=0),
                "imports": lambda: child(["-c", IMPORTS], ends_with=42),
                "first step": lambda: child(first_step, ends_with=42),
            },
            ROUNDS,
        )
    return [
        seconds("import cnnlit, Python's own start included", costs, "front door", bound=0.15),
        seconds("  Python's own start", costs, "nothing"),
        seconds("python -m cnnlit.train --help", costs, "help", bound=0.6),
        ratio("first step / import lightning, torchvision", costs, "first step", "imports", bound=1.2, at_most=True),
        seconds("  import lightning, torchvision", costs, "imports"),
        seconds("  python -m cnnlit.train logger=csv, to its first step", costs, "first step"),
    ]


def child(arguments: list[str], *, ends_with: int) -> Cost:
    """Run Python with these arguments.

    Raises:
        RuntimeError: if the exit code is not `ends_with`.
    """
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    before, began = _cpu_of_children(), time.perf_counter()
    child = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment, check=False)
    wall = time.perf_counter() - began
    if child.returncode != ends_with:
        raise RuntimeError(f"{' '.join(arguments)} ended with {child.returncode}: {child.stderr}")
    return Cost(_cpu_of_children() - before, wall)


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
