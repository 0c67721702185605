"""A run whose processes are killed or told to stop, at any moment, ends soon and goes on to the same bits."""

import csv
import os
import random
import signal
import time
from pathlib import Path

import pytest
from training import BOUND_SECONDS, SHORT, TWO, assert_same_end, await_line, other_rank, run, start

from cnnlit.runs.reading import read

pytestmark = pytest.mark.slow

MOMENTS = 20
"""Of each kind of death."""
SOON_SECONDS = 30
"""In which the other processes of a run end, on a machine that is busy."""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def assert_goes(pid: int) -> None:
    until = time.monotonic() + SOON_SECONDS
    while alive(pid):
        assert time.monotonic() < until, f"process {pid} is left behind"
        time.sleep(0.1)


def go_on(folder: Path, *arguments: str) -> None:
    """Resume a run, or begin it again if it was killed before it had written anything."""
    known = (folder / "run.json").is_file()
    outcome = run(folder.parent, *([f"resume={folder}"] if known else [*arguments, f"hydra.run.dir={folder}"]))
    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_kill_of_a_run_of_one_process_at_a_random_moment(tmp_path: Path, whole: Path, moment: int) -> None:
    folder = tmp_path / "run"
    process = start(tmp_path, *SHORT, f"hydra.run.dir={folder}")
    until = time.monotonic() + BOUND_SECONDS
    while not (folder / "run.json").is_file() and time.monotonic() < until:
        time.sleep(0.01)
    seconds = read(whole)["seconds"]
    time.sleep(random.Random(moment).uniform(0, seconds))
    process.kill()
    process.communicate(timeout=SOON_SECONDS)
    state = read(folder)["state"]
    if state != "finished":  # or it was done before, or killed on its way out
        assert process.returncode == -signal.SIGKILL
        assert state == "interrupted"
        go_on(folder, *SHORT)
    assert_same_end(folder, whole)


@pytest.mark.parametrize("moment", range(MOMENTS))
@pytest.mark.parametrize("rank", [0, 1])
def test_kill_of_either_process_at_a_random_moment(tmp_path: Path, whole_of_two: Path, rank: int, moment: int) -> None:
    folder = tmp_path / "run"
    process = start(tmp_path, *SHORT, *TWO, f"hydra.run.dir={folder}")
    child = other_rank(process)
    time.sleep(random.Random(moment).uniform(0, read(whole_of_two)["seconds"]))
    if process.poll() is None:
        os.kill(child if rank else process.pid, signal.SIGKILL)
    _, errors = process.communicate(timeout=SOON_SECONDS)
    assert_goes(child)
    if process.returncode:
        if rank == 1:
            assert "process 1" in errors, errors
            assert "was killed by SIGKILL" in errors, errors
            assert process.returncode == 1
        state = read(folder)["state"]
        if state != "finished":  # or it was killed on its way out
            assert state == ("failed" if rank else "interrupted")
            go_on(folder, *SHORT, *TWO)
    assert_same_end(folder, whole_of_two)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_run_that_is_told_to_stop_saves_first(tmp_path: Path, whole: Path, number: signal.Signals) -> None:
    folder = tmp_path / "run"
    process = start(tmp_path, *SHORT, f"hydra.run.dir={folder}")
    await_line(process, "epoch 1/3")
    told = time.time()
    process.send_signal(number)
    _, errors = process.communicate(timeout=BOUND_SECONDS)
    assert process.returncode == 128 + number, errors
    assert (folder / "checkpoints" / "last.ckpt").stat().st_mtime > told
    assert read(folder)["state"] == "interrupted"
    go_on(folder)
    assert_same_end(folder, whole)


@pytest.mark.parametrize("to", ["the_first_process", "the_group", "the_other_process"])
def test_two_processes_that_are_told_to_stop_save_first(tmp_path: Path, whole_of_two: Path, to: str) -> None:
    folder = tmp_path / "run"
    process = start(tmp_path, *SHORT, *TWO, f"hydra.run.dir={folder}")
    await_line(process, "epoch 1/3")
    child = other_rank(process)
    if to == "the_group":
        os.killpg(process.pid, signal.SIGTERM)
    else:
        os.kill(child if to == "the_other_process" else process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=BOUND_SECONDS)
    assert process.returncode == 143, errors
    assert_goes(child)
    assert read(folder)["state"] == "interrupted"
    go_on(folder)
    assert_same_end(folder, whole_of_two)


RAISES = """
from cnnlit.models.lenet5 import LeNet5
import os

class Raises(LeNet5):
    steps = 0

    def forward(self, images):
        self.steps += self.training
        if self.steps == 30 and os.environ.get("LOCAL_RANK") == "1":
            raise RuntimeError("the thirtieth step")
        return super().forward(images)
"""


def test_an_error_in_one_process_ends_the_other_and_is_shown(tmp_path: Path) -> None:
    (tmp_path / "raises.py").write_text(RAISES)
    folder = tmp_path / "run"
    path = f"{os.environ.get('PYTHONPATH', '')}:{Path(__file__).parents[2]}:{tmp_path}"
    outcome = run(
        tmp_path, *SHORT, *TWO, "model._target_=raises.Raises", f"hydra.run.dir={folder}", PYTHONPATH=path
    )  # fmt: skip
    assert outcome.returncode == 1
    assert "RuntimeError: the thirtieth step" in outcome.stderr
    why, command = outcome.stderr.splitlines()[-2:]
    assert "cnnlit: process 1" in why
    assert "resume=run" in command
    assert read(folder)["state"] == "failed"


def test_a_job_that_slurm_warns_is_queued_again(tmp_path: Path) -> None:
    for name in ("scontrol", "srun"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n')
        (tmp_path / name).chmod(0o755)
    folder = tmp_path / "run"
    process = start(
        tmp_path, *SHORT, "requeue=true", f"hydra.run.dir={folder}",
        PATH=f"{tmp_path}:{os.environ['PATH']}", SLURM_JOB_ID="123",
    )  # fmt: skip
    assert "srun" not in await_line(process, "epoch 1/3"), "advice of Lightning's"
    process.send_signal(signal.SIGUSR1)
    process.communicate(timeout=BOUND_SECONDS)
    assert process.returncode == 128 + signal.SIGUSR1
    assert (tmp_path / "asked").read_text() == "requeue 123\n"


def test_two_processes_do_not_go_on_with_one_run(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start(tmp_path, *SHORT, "recipe.epochs=30", f"hydra.run.dir={folder}")
    try:
        await_line(process, "epoch 1/30")
        assert read(folder)["state"] == "running"
        second = run(tmp_path, f"resume={folder}")
        assert second.returncode == 2
        assert f"process {process.pid} on" in second.stderr
        assert "is at work on this run" in second.stderr
    finally:
        process.kill()
        process.communicate(timeout=SOON_SECONDS)
    assert read(folder)["state"] == "interrupted"


def test_the_time_before_a_kill_counts(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start(tmp_path, *SHORT, "recipe.epochs=30", f"hydra.run.dir={folder}")
    await_line(process, "epoch 3/30")
    process.kill()
    process.communicate(timeout=SOON_SECONDS)
    with (folder / "metrics.csv").open(newline="") as file:
        trained = [float(row["seconds"]) for row in csv.DictReader(file) if row["seconds"]]
    assert read(folder)["seconds"] >= trained[1] > 0
