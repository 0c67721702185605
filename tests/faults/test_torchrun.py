"""Under torchrun a process that is killed is named, and with restarts the run goes on, to the same bits."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from test_death import alive, assert_goes
from training import BOUND_SECONDS, SHORT, TWO, assert_same_end, await_line, environment

from cnnlit.runs.reading import read

pytestmark = pytest.mark.slow

MOMENTS = 10


def torchrun(folder: Path, *arguments: str, processes: int = 2, restarts: int = 0) -> "subprocess.Popen[str]":
    launcher = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}")
    return subprocess.Popen(
        [sys.executable, *launcher, f"--max-restarts={restarts}", "-m", "cnnlit.train", *arguments],
        cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def ranks_of(process: "subprocess.Popen[str]", count: int) -> dict[int, int]:
    """The number of each process that torchrun has started, by rank."""
    until = time.monotonic() + BOUND_SECONDS
    found: dict[int, int] = {}
    while len(found) < count and process.poll() is None:
        assert time.monotonic() < until
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            with suppress(OSError, KeyError):  # it has ended, or not begun
                variables = Path(f"/proc/{child}/environ").read_bytes().decode().split("\0")
                found[int(dict(each.partition("=")[::2] for each in variables)["RANK"])] = int(child)
        time.sleep(0.05)
    return found


def own_lines(errors: str) -> list[str]:
    return [line for line in errors.splitlines() if line.startswith("cnnlit: ")]


def test_the_process_that_is_killed_is_named_with_its_signal(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = (*SHORT, "recipe.epochs=100", *TWO[:1], f"hydra.run.dir={folder}")
    process = torchrun(tmp_path, *words, processes=3)
    ranks = ranks_of(process, 3)
    await_line(process, "epoch 1/100")
    os.kill(ranks[1], signal.SIGKILL)
    _, errors = process.communicate(timeout=BOUND_SECONDS)
    assert process.returncode == 1
    said = "process 1 was killed by SIGKILL; without it the run cannot go on"
    command = f"cnnlit: failed; this goes on with the run: python -m cnnlit.train resume={folder.name}"
    assert sorted(own_lines(errors)) == sorted([f"cnnlit: {said}", command, f"cnnlit: process 2 ends: {said}"])
    assert (read(folder)["state"], read(folder)["error"]) == ("failed", said)
    for rank in ranks.values():
        assert_goes(rank)


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_a_process_that_is_killed_is_started_again_to_the_same_bits(
    tmp_path: Path, whole_of_two: Path, moment: int
) -> None:
    folder = tmp_path / "run"
    process = torchrun(tmp_path, *SHORT, *TWO[:1], f"hydra.run.dir={folder}", restarts=2)
    ranks = ranks_of(process, 2)
    # Of the first seconds, the imports and the meeting are a part that run.json does not count.
    time.sleep(random.Random(moment).uniform(0, 2 * read(whole_of_two)["seconds"]))
    victim = ranks[moment % 2]
    if alive(victim):
        os.kill(victim, signal.SIGKILL)
    _, errors = process.communicate(timeout=BOUND_SECONDS)
    assert process.returncode == 0, errors
    assert_same_end(folder, whole_of_two)
    for rank in ranks.values():
        assert_goes(rank)
