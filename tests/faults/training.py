"""A short training through the command, and what is bitwise the same in two of them."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from cnnlit.runs.metrics_file import read_metrics

ROOT = Path(__file__).parents[2]
SHORT = ("recipe.epochs=3", "data.passes_per_epoch=4", "recipe.optimizer.lr=0.002", "model.dropout=0.2", "logger=csv")
TWO = ("trainer.accelerator=cpu", "trainer.devices=2", "trainer.strategy=ddp")
BOUND_SECONDS = 240
"""Of every command in here, on a machine that is busy with other things; what hangs, hangs longer."""


def environment(**extra: str) -> dict[str, str]:
    foreign = ("WANDB", "CNNLIT", "HYDRA", "SLURM")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    return {**clean, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **extra}


def start(folder: Path, *arguments: str, **extra: str) -> "subprocess.Popen[str]":
    """The command, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "cnnlit.train", *arguments],
        cwd=folder, env=environment(**extra), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def run(folder: Path, *arguments: str, **extra: str) -> "subprocess.CompletedProcess[str]":
    process = start(folder, *arguments, **extra)
    output, errors = process.communicate(timeout=BOUND_SECONDS)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def await_line(process: "subprocess.Popen[str]", words: str) -> str:
    """What the process wrote on stderr up to a line with these words."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if words in line:
            return "".join(lines)
    raise AssertionError("".join(lines))


def other_rank(process: "subprocess.Popen[str]") -> int:
    """The process that the command starts as its rank 1, once it has; it also starts git."""
    until = time.monotonic() + BOUND_SECONDS
    while time.monotonic() < until and process.poll() is None:
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            with suppress(OSError):  # it has ended
                if b"train_ddp_process_1" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return int(child)
        time.sleep(0.05)
    raise AssertionError("there is no rank 1")


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def assert_same_end(folder: Path, whole: Path) -> None:
    """Weights, optimizer, schedule, curves and test of two runs are equal to the bit; times are not."""
    ends = [torch.load(each / "checkpoints" / "last.ckpt", weights_only=True) for each in (folder, whole)]
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch"):
        assert same(ends[0][part], ends[1][part]), part
    assert (folder / "test.json").read_text() == (whole / "test.json").read_text()
    tables = [[{**row, "seconds": "", "seconds_waiting": ""} for row in read_metrics(each)] for each in (folder, whole)]
    assert tables[0] == tables[1]
    assert not list(folder.rglob(".*.ckpt.*")), "nothing half-written is left"
    assert json.loads((folder / "run.json").read_text())["state"] == "finished"
