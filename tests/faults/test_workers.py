"""Processes that decode images are killed, stopped, or have no room to hand over batches: one line."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_death import SOON_SECONDS, alive
from training import BOUND_SECONDS, ROOT, TWO, await_line, environment, start

from cnnlit.runs.reading import read

pytestmark = pytest.mark.slow

TWO_WORKERS = (
    "model=resnet_cifar", "model.depth=8", "data=folder", "data.num_classes=2", "data.image_size=96",
    "data.num_workers=2", "data.val_split=8", "recipe.batch_size=32", "logger=csv",
)  # fmt: skip
SMALL = "mount -t tmpfs -o size=1m tmpfs /dev/shm"
NAMESPACE = ("unshare", "-m", "sh", "-c")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of 40 training and 6 test pictures."""
    root = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    for split, count in (("train", 40), ("val", 6)):
        for name in ("one", "two"):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 255, (130, 134, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{number}.jpg")
    return root


def workers_of(pid: int) -> list[int]:
    """The data workers of a process: its children that run its own command line."""
    line = Path(f"/proc/{pid}/cmdline").read_bytes()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if Path(f"/proc/{child}/cmdline").read_bytes() == line]


def await_workers(pid: int) -> list[int]:
    until = time.monotonic() + BOUND_SECONDS
    while time.monotonic() < until:
        with suppress(OSError):
            if len(found := workers_of(pid)) == 2:
                return found
        time.sleep(0.05)
    raise AssertionError("there are no workers")


def await_end(workers: list[int]) -> None:
    until = time.monotonic() + SOON_SECONDS
    while any(map(alive, workers)):
        assert time.monotonic() < until, f"{workers}: left behind"
        time.sleep(0.1)


def the_line(errors: str) -> str:
    assert "Traceback" not in errors, errors
    (line,) = [line for line in errors.splitlines() if line.startswith("cnnlit: ") and "goes on" not in line]
    return line


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGKILL, "was killed by SIGKILL; most likely the machine ran out of memory"),
        (signal.SIGSTOP, "is stopped"),
    ],
)
def test_a_worker_that_is_killed_or_stopped_ends_the_run(
    photographs: Path, tmp_path: Path, number: signal.Signals, words: str
) -> None:
    long = ("recipe.epochs=1000", "timeout_seconds=5")
    process = start(tmp_path, *TWO_WORKERS, f"data.root={photographs}", *long, f"hydra.run.dir={tmp_path}/run")
    workers = await_workers(process.pid)
    os.kill(workers[0], number)
    _, errors = process.communicate(timeout=BOUND_SECONDS)
    assert process.returncode == 1
    assert words in the_line(errors)
    assert read(tmp_path / "run")["state"] == "failed"
    await_end(workers)


def can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*NAMESPACE, SMALL], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="no right to mount a small /dev/shm")
def test_a_small_shared_memory_is_named_with_what_a_batch_needs(photographs: Path, tmp_path: Path) -> None:
    words = [*TWO_WORKERS, f"data.root={photographs}", f"hydra.run.dir={tmp_path}/run"]
    line = [*NAMESPACE, f'{SMALL} && exec "$0" "$@"', sys.executable, "-m", "cnnlit.train", *words]
    outcome = subprocess.run(
        line, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=BOUND_SECONDS
    )
    assert outcome.returncode == 1
    said = the_line(outcome.stderr)
    assert "/dev/shm, through which workers hand over batches, has 1.0 MB" in said
    assert "a batch needs 2.0 MB" in said
    assert "data.num_workers=0" in said


SILENT = """
import builtins, io, os
real = builtins.open
def asked(path, *arguments, **options):
    if str(path).endswith(".jpg") and os.path.exists(os.environ["SILENT"]):
        os.open(os.environ["SILENT"], os.O_RDONLY)  # of a pipe into which nobody writes
    return real(path, *arguments, **options)
builtins.open = asked
"""
"""A disk that answers until the pipe is there."""


@pytest.mark.parametrize(("workers", "processes", "patience"), [(0, 1, 10), (1, 1, 10), (1, 2, 60)])
def test_a_disk_that_no_longer_answers_ends_the_run(
    photographs: Path, tmp_path: Path, workers: int, processes: int, patience: int
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SILENT)
    pipe = tmp_path / "pipe"
    words = (*TWO_WORKERS, f"data.num_workers={workers}", f"data.root={photographs}", f"hydra.run.dir={tmp_path}/run")
    several = (*TWO[:1], f"trainer.devices={processes}")
    process = start(
        tmp_path, *words, *several, "recipe.epochs=1000", f"timeout_seconds={patience}",
        PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}", SILENT=str(pipe),
    )  # fmt: skip
    await_line(process, "epoch 1/1000")
    silent_since = time.monotonic()
    os.mkfifo(pipe)
    _, errors = process.communicate(timeout=BOUND_SECONDS)
    assert process.returncode == 1
    assert time.monotonic() - silent_since < patience + SOON_SECONDS
    lines = [line for line in errors.splitlines() if line.startswith("cnnlit: ") and "goes on" not in line]
    said = f"no batch has come for {patience} s (timeout_seconds): a thread waits, perhaps for a disk"
    assert said in lines[0]
    assert "Traceback" not in errors
    assert read(tmp_path / "run")["state"] == "failed"
    assert said in read(tmp_path / "run")["error"]
