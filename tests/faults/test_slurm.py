"""SLURM for real: its warning at any moment of a job, of which the queue then makes the rest, to the same bits."""

import os
import random
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm import Cluster, why_not
from test_death import alive
from training import BOUND_SECONDS, ROOT, SHORT, assert_same_end, environment, run

from cnnlit.runs.reading import read
from cnnlit.runs.sweep_folder import read_jobs

pytestmark = [pytest.mark.slow, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]

MOMENTS = 20
OVER = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.end()


def script(folder: Path, *words: str) -> Path:
    """The one of docs/interruptions.md, which trains something smaller."""
    page = (ROOT / "docs" / "interruptions.md").read_text()
    (text,) = re.findall(r"^#!/bin/bash$.*?(?=^```$)", page, re.MULTILINE | re.DOTALL)
    path = folder / "job.sh"
    path.write_text(text.replace("model=alexnet", " ".join(words)))
    return path


class Job:
    """A submitted script, whose run is below its home, where the script puts it."""

    def __init__(
        self, cluster: Cluster, home: Path, *options: str, words: tuple[str, ...] = SHORT, **variables: str
    ) -> None:
        self.cluster = cluster
        self.output = home / "output"
        self.folder = home / "runs" / "alexnet"
        path = script(home, *words)
        self.number = cluster.submit(path, self.output, *options, **environment(HOME=str(home), **variables))

    def hears(self) -> list[int]:
        """Its processes, once the first has its own answer to SIGUSR1."""
        until = time.monotonic() + BOUND_SECONDS
        while time.monotonic() < until:
            found = self.cluster.processes(self.number)
            if found and all(map(_hears, found)):
                return found
            time.sleep(0.02)
        raise AssertionError(self.output.read_text())

    def end(self) -> str:
        """Its state, once it is over."""
        until = time.monotonic() + BOUND_SECONDS
        while (state := self.cluster.state(self.number)) not in OVER:
            assert time.monotonic() < until, self.output.read_text()
            time.sleep(0.5)
        return state


def _hears(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return bool(int(status.partition("SigCgt:")[2].split()[0], 16) >> (signal.SIGUSR1 - 1) & 1)


@pytest.fixture(scope="module", params=[1, 2])
def uninterrupted(
    request: pytest.FixtureRequest, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> tuple[int, Path, float]:
    """The number of tasks of a job that nothing happened to, its run, and its seconds from the first line on."""
    job = Job(cluster, tmp_path_factory.mktemp("uninterrupted"), f"--ntasks={request.param}")
    job.hears()
    began = time.monotonic()
    assert job.end() == "COMPLETED", job.output.read_text()
    return request.param, job.folder, time.monotonic() - began


@pytest.mark.parametrize("moment", range(MOMENTS // 2))
def test_slurms_warning_at_any_moment_ends_with_the_same_bits(
    cluster: Cluster, tmp_path: Path, uninterrupted: tuple[int, Path, float], moment: int
) -> None:
    tasks, whole, seconds = uninterrupted
    job = Job(cluster, tmp_path, f"--ntasks={tasks}")
    processes = job.hears()
    time.sleep(random.Random(moment).uniform(moment, moment + 1) * seconds / (MOMENTS // 2))
    if cluster.state(job.number) == "RUNNING":
        cluster.run("scancel", "--signal=USR1", job.number)
    state = job.end()
    said = job.output.read_text()
    assert state == "COMPLETED", said
    assert "Traceback" not in said
    assert_same_end(job.folder, whole)
    assert not any(map(alive, processes))


def test_a_sweep_is_queued_as_jobs_of_one_task_that_start_their_other_processes(
    cluster: Cluster, tmp_path: Path
) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    words = (
        "-m", "hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=2", "hydra.launcher.timeout_min=20",
        "hydra.launcher.mem_gb=null", "trainer.devices=1,2", "trainer.strategy=ddp", *SHORT, "recipe.epochs=1",
        "hydra.sweep.dir=mine",
    )  # fmt: skip
    outcome = run(tmp_path, *words, **cluster.variables)
    assert outcome.returncode == 0, outcome.stderr
    assert "Traceback" not in outcome.stderr
    for job in "01":
        assert read(tmp_path / "mine" / job)["state"] == "finished"
    told = [(job["overrides"][0], job["state"]) for job in read_jobs(tmp_path / "mine")]
    assert told == [("trainer.devices=1", "finished"), ("trainer.devices=2", "finished")]


def test_an_element_of_an_array_is_queued_again_by_itself(cluster: Cluster, tmp_path: Path) -> None:
    homes = [tmp_path / str(number) for number in (0, 1)]
    for home in homes:
        home.mkdir()
    path = script(tmp_path, *SHORT)
    path.write_text(path.read_text().replace("run=$HOME", "run=$HOME/$SLURM_ARRAY_TASK_ID"))
    output = tmp_path / "output"
    job = cluster.submit(path, output, "--array=0-1", "--open-mode=append", **environment(HOME=str(tmp_path)))
    until = time.monotonic() + BOUND_SECONDS
    while not all((home / "runs" / "alexnet" / "run.json").is_file() for home in homes):
        assert time.monotonic() < until
        time.sleep(0.1)
    cluster.run("scancel", "--signal=USR1", f"{job}_1")
    while not all(read(home / "runs" / "alexnet")["state"] == "finished" for home in homes):
        assert time.monotonic() < until + BOUND_SECONDS, output.read_text()
        time.sleep(0.5)
    assert output.read_text().count(f"SLURM queues job {job}_1 again") == 1
    assert [len(read(home / "runs" / "alexnet").get("resumed", [])) for home in homes] == [0, 1]


def test_a_first_machine_whose_name_does_not_resolve_is_refused_in_one_line(cluster: Cluster, tmp_path: Path) -> None:
    job = Job(cluster, tmp_path, "--nodes=2", "--ntasks=2", "--no-requeue")
    assert job.end() == "FAILED"
    said = job.output.read_text()
    assert "cnnlit: MASTER_ADDR=a: this host name does not resolve" in said
    assert "Traceback" not in said
    assert not job.folder.exists()


def test_two_nodes_train_together(cluster: Cluster, tmp_path: Path) -> None:
    job = Job(cluster, tmp_path, "--nodes=2", "--ntasks=2", words=(*SHORT, "recipe.epochs=1"), MASTER_ADDR="localhost")
    assert job.end() == "COMPLETED", job.output.read_text()
    assert read(job.folder)["state"] == "finished"
    assert job.output.read_text().count("epoch 1/1") == 1


def test_a_job_that_is_cancelled_says_how_it_goes_on(cluster: Cluster, tmp_path: Path) -> None:
    job = Job(cluster, tmp_path, words=(*SHORT, "recipe.epochs=1000"))
    job.hears()
    until = time.monotonic() + BOUND_SECONDS
    while "epoch 1/1000" not in job.output.read_text():
        assert time.monotonic() < until
        time.sleep(0.1)
    cluster.run("scancel", job.number)
    assert job.end() == "CANCELLED"
    until = time.monotonic() + BOUND_SECONDS
    while cluster.processes(job.number) and time.monotonic() < until:
        time.sleep(0.1)
    said = job.output.read_text()
    assert "cnnlit: SIGTERM; this goes on with the run: python -m cnnlit.train resume=" in said
    assert "Traceback" not in said
    assert read(job.folder)["state"] == "interrupted"
    assert os.path.exists(job.folder / "checkpoints" / "last.ckpt")
