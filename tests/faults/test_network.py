"""W&B's server out of reach, refusing, or gone half-way: training goes on, and what is on the disk can be sent."""

import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from training import BOUND_SECONDS, SHORT, await_line, run, start
from wandb_server import WandbServer

from cnnlit.runs.metrics_file import read_metrics
from cnnlit.runs.reading import read

pytestmark = pytest.mark.slow

TRACKED = (*SHORT, "logger=wandb")


@pytest.fixture
def server() -> Iterator[WandbServer]:
    server = WandbServer()
    yield server
    server.close()


def account(url: str) -> dict[str, str]:
    return {"WANDB_BASE_URL": url, "WANDB_API_KEY": "a" * 40}


def assert_whole(folder: Path, said: str) -> None:
    """The run is finished, and what W&B lacks is there, with the command that sends it."""
    assert read(folder)["state"] == "finished"
    assert len(read_metrics(folder)) == 3
    command = re.search(r"wandb sync (\S+)", said)
    assert command, said
    assert list(Path(command[1]).glob("*.wandb"))


@pytest.mark.parametrize("broken", [401, 403, 429, 500, "dropped", "garbage", "refused", "silent"])
def test_a_server_that_does_not_take_the_run_leaves_it_offline(
    tmp_path: Path, server: WandbServer, broken: int | str
) -> None:
    folder = tmp_path / "run"
    server.broken = broken
    if broken == "refused":
        server.close()
    began = time.monotonic()
    outcome = run(tmp_path, *TRACKED, f"hydra.run.dir={folder}", **account(server.url))
    assert outcome.returncode == 0, outcome.stderr
    assert time.monotonic() - began < BOUND_SECONDS
    assert "the run is kept offline" in outcome.stderr
    assert_whole(folder, outcome.stdout)


@pytest.fixture
def black_hole() -> Iterator[str]:
    """An address whose packets nobody answers: the queue of a listener who takes no connections is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as waiting:
        address = listener.getsockname()
        for _ in range(3):
            caller = waiting.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(address)
        yield f"http://127.0.0.1:{address[1]}"


def test_a_server_behind_a_black_hole_leaves_the_run_offline(tmp_path: Path, black_hole: str) -> None:
    folder = tmp_path / "run"
    outcome = run(tmp_path, *TRACKED, f"hydra.run.dir={folder}", **account(black_hole))
    assert outcome.returncode == 0, outcome.stderr
    assert "the run is kept offline" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert_whole(folder, outcome.stdout)


FAR = "http://wandb.invalid"
"""A proxy is not asked for what is on this machine."""


def test_a_proxy_of_the_environment_is_asked(tmp_path: Path, server: WandbServer) -> None:
    folder = tmp_path / "run"
    proxied = {**account(FAR), "HTTP_PROXY": server.url, "HTTPS_PROXY": server.url}
    outcome = run(tmp_path, *TRACKED, f"hydra.run.dir={folder}", **proxied)
    assert outcome.returncode == 0, outcome.stderr
    assert server.asked_for == {"wandb.invalid"}
    (rows,) = server.runs.values()
    assert sum("val/error" in row for row in rows) == 3


def test_a_proxy_that_is_not_there_leaves_the_run_offline(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with socket.create_server(("127.0.0.1", 0)) as free:
        proxy = f"http://127.0.0.1:{free.getsockname()[1]}"
    outcome = run(tmp_path, *TRACKED, f"hydra.run.dir={folder}", **account(FAR), HTTP_PROXY=proxy, HTTPS_PROXY=proxy)
    assert outcome.returncode == 0, outcome.stderr
    assert "the run is kept offline" in outcome.stderr
    assert_whole(folder, outcome.stdout)


def services_of(pid: int) -> list[int]:
    """W&B's own processes of a run."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"wandb-core" in Path(f"/proc/{child}/cmdline").read_bytes()]


def test_training_goes_on_when_wandbs_own_process_is_killed(tmp_path: Path, server: WandbServer) -> None:
    folder = tmp_path / "run"
    process = start(tmp_path, *TRACKED, f"hydra.run.dir={folder}", **account(server.url))
    await_line(process, "epoch 1/3")
    (service,) = services_of(process.pid)
    os.kill(service, signal.SIGKILL)
    _, errors = process.communicate(timeout=BOUND_SECONDS)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert "W&B has not taken all of the run" in errors
    assert_whole(folder, errors)


def test_a_malformed_key_leaves_the_run_offline(tmp_path: Path, server: WandbServer) -> None:
    folder = tmp_path / "run"
    extra = {**account(server.url), "WANDB_API_KEY": "short"}
    outcome = run(tmp_path, *TRACKED, f"hydra.run.dir={folder}", **extra)
    assert outcome.returncode == 0, outcome.stderr
    assert_whole(folder, outcome.stdout)


@pytest.mark.parametrize("broken", [403, 429, 500, "dropped", "silent"])
def test_a_server_that_is_lost_half_way_gets_the_rest_later(
    tmp_path: Path, server: WandbServer, broken: int | str
) -> None:
    folder = tmp_path / "run"
    process = start(tmp_path, *TRACKED, f"hydra.run.dir={folder}", **account(server.url))
    await_line(process, "epoch 1/3")
    server.broken = broken
    _, errors = process.communicate(timeout=BOUND_SECONDS)
    assert process.returncode == 0, errors
    assert "W&B has not taken all of the run" in errors
    assert_whole(folder, errors)


def test_a_run_that_is_resumed_is_the_same_one_in_wandb(tmp_path: Path, server: WandbServer) -> None:
    folder = tmp_path / "run"
    process = start(tmp_path, *TRACKED, f"hydra.run.dir={folder}", **account(server.url))
    await_line(process, "epoch 2/3")
    process.terminate()
    _, errors = process.communicate(timeout=BOUND_SECONDS)
    assert process.returncode == 143, errors
    outcome = run(tmp_path, f"resume={folder}", **account(server.url))
    assert outcome.returncode == 0, outcome.stderr
    (rows,) = server.runs.values()
    validated = [row["trainer/global_step"] for row in rows if "val/error" in row]
    trained = [row["trainer/global_step"] for row in rows if "train/error" in row]
    assert validated == trained == sorted(set(validated))
    assert len(validated) == 3
    steps = [row["_step"] for row in rows]
    assert steps == sorted(set(steps)), "no step twice"


@pytest.mark.parametrize("wanted", [True, False])
def test_the_tested_network_is_kept_where_that_is_wanted(tmp_path: Path, server: WandbServer, wanted: bool) -> None:
    folder = tmp_path / "run"
    words = (*TRACKED, f"logger.log_model={str(wanted).lower()}", f"hydra.run.dir={folder}")
    outcome = run(tmp_path, *words, **account(server.url))
    assert outcome.returncode == 0, outcome.stderr
    if not wanted:
        assert not server.artifacts
        return
    ((name, said),) = server.artifacts.items()
    assert name == f"network-{read(folder)['id']}"
    assert said["artifactTypeName"] == "model"
    assert json.loads(said["metadata"]) == json.loads((folder / "test.json").read_text())
    assert server.uploaded["last.ckpt"] == (folder / "checkpoints" / "last.ckpt").read_bytes()
    assert server.uploaded["config.yaml"] == (folder / "config.yaml").read_bytes()


def test_a_server_that_does_not_know_artifacts_does_not_fail_the_run(
    tmp_path: Path, server: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_of_artifacts", lambda asked: {})
    folder = tmp_path / "run"
    words = (*TRACKED, "logger.log_model=true", f"hydra.run.dir={folder}")
    outcome = run(tmp_path, *words, **account(server.url))
    assert outcome.returncode == 0, outcome.stderr
    assert "logger.log_model: W&B has not taken the network" in outcome.stderr
    assert read(folder)["state"] == "finished"
