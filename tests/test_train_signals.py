"""python -m cnnlit.train hears signals from its first line on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cnnlit.parallel import signals

ROOT = Path(__file__).parents[1]
BOUND_SECONDS = 120


def hears(process: "subprocess.Popen[str]", number: int) -> bool:
    """Whether a process has its own answer to a signal."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (number - 1) & 1)


def told_at_once(folder: Path, number: int, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command, sent a signal as soon as it can hear one, with a SLURM that writes down what it is asked."""
    (folder / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {folder}/asked\n')
    (folder / "scontrol").chmod(0o755)
    foreign = ("SLURM", "CNNLIT", "MASTER", "TORCHELASTIC")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    extra = {"PYTHONPATH": str(ROOT), "PATH": f"{folder}:{os.environ['PATH']}", "SLURM_JOB_ID": "123"}
    process = subprocess.Popen(
        [sys.executable, "-m", "cnnlit.train", "logger=csv", *arguments],
        cwd=folder, env=clean | extra, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not hears(process, number) and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(number)
    output, errors = process.communicate(timeout=BOUND_SECONDS)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


@pytest.mark.parametrize("said", ["requeue=true", "--requeue=True", "resume="])
def test_slurms_warning_in_the_first_line_queues_the_job_again(tmp_path: Path, said: str) -> None:
    if said == "resume=":
        (tmp_path / "config.yaml").write_text("seed: 0\nrequeue: true\n")
        said += str(tmp_path)
    outcome = told_at_once(tmp_path, signal.SIGUSR1, said)
    assert outcome.returncode == 128 + signal.SIGUSR1
    assert outcome.stderr == "cnnlit: SIGUSR1: SLURM queues job 123 again\n"
    assert (tmp_path / "asked").read_text() == "requeue 123\n"


@pytest.mark.parametrize(("number", "said"), [(signal.SIGTERM, "requeue=true"), (signal.SIGUSR1, "requeue=false")])
def test_what_is_not_asked_for_is_not_queued_again(tmp_path: Path, number: int, said: str) -> None:
    outcome = told_at_once(tmp_path, number, said)
    assert outcome.returncode == 128 + number
    assert not (tmp_path / "asked").exists()
    assert "Traceback" not in outcome.stderr


def test_only_the_first_process_asks_and_only_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda words, **_: asked.append(words))
    monkeypatch.setattr(signals, "_queued_again", type(signals._queued_again)())
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "4")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    monkeypatch.setenv("RANK", "1")
    signals.queue_again()
    assert not asked
    monkeypatch.setenv("RANK", "0")
    signals.queue_again()
    signals.queue_again()
    assert asked == [["scontrol", "requeue", "4_1"]]
