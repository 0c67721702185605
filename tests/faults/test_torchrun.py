"""Under torchrun a process that is killed is named, and with restarts the run goes on, to the same bits."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from test_death import alive, assert_goes
from training import BOUND_SECONDS, SHORT, TWO, assert_same_end, await_line, environment, run

from cnnlit.runs.metrics_file import read_metrics
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


def agents(folder: Path, count: int, *arguments: str) -> "list[subprocess.Popen[str]]":
    """As many machines as these, all of them this one, of which two suffice."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        place = f"127.0.0.1:{free.getsockname()[1]}"
    launcher = ("-m", "torch.distributed.run", f"--nnodes=2:{count}", "--nproc-per-node=1", "--max-restarts=3")
    meeting = ("--rdzv-backend=c10d", f"--rdzv-endpoint={place}", "--rdzv-id=elastic")
    line = [sys.executable, *launcher, *meeting, "-m", "cnnlit.train", *arguments]
    return [
        subprocess.Popen(
            [*line[:3], *(["--rdzv-conf=is_host=1"] if number == 0 else ["--rdzv-conf=is_host=0"]), *line[3:]],
            cwd=folder, env=environment(), stdout=subprocess.DEVNULL, stderr=(folder / str(number)).open("w"),
            text=True, start_new_session=True,
        )
        for number in range(count)
    ]  # fmt: skip


def test_a_run_on_three_machines_that_loses_one_goes_on_with_two(tmp_path: Path) -> None:
    """The batch and the order are unchanged, so without dropout the numbers are those of one device."""
    words = ("recipe.epochs=4", "data.passes_per_epoch=4", "recipe.optimizer.lr=0.002", "logger=csv", *TWO[:1])
    whole, folder = tmp_path / "whole", tmp_path / "run"
    assert run(tmp_path, *words, f"hydra.run.dir={whole}").returncode == 0
    three = agents(tmp_path, 3, *words, f"hydra.run.dir={folder}")
    try:
        until = time.monotonic() + BOUND_SECONDS
        while not (folder / "metrics.csv").is_file() or not read_metrics(folder):
            assert time.monotonic() < until, (tmp_path / "0").read_text()
            time.sleep(0.1)
        lost = [*ranks_of(three[2], 1).values(), three[2].pid]
        for each in lost:
            os.kill(each, signal.SIGKILL)
        for agent in three[:2]:
            assert agent.wait(timeout=BOUND_SECONDS) == 0, (tmp_path / "0").read_text()
    finally:
        for agent in three:
            agent.kill()
            agent.wait()
    assert read(folder)["state"] == "finished"
    assert "trainer.num_nodes" in read(folder)["resumed"][0]["changed"]
    rows, expected = read_metrics(folder), read_metrics(whole)
    assert len(rows) == len(expected) == 4
    for row, other in zip(rows, expected, strict=True):
        for name in ("train/loss", "val/loss", "train/error", "val/error"):
            assert float(row[name]) == pytest.approx(float(other[name]), rel=1e-3), name


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
