"""W&B's server out of reach, refusing, or gone half-way: training goes on, and what is on the disk can be sent."""

import json
import re
import time
from collections.abc import Iterator
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


@pytest.mark.parametrize("broken", [401, 403, 429, 500, "dropped", "refused"])
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


def test_a_malformed_key_leaves_the_run_offline(tmp_path: Path, server: WandbServer) -> None:
    folder = tmp_path / "run"
    extra = {**account(server.url), "WANDB_API_KEY": "short"}
    outcome = run(tmp_path, *TRACKED, f"hydra.run.dir={folder}", **extra)
    assert outcome.returncode == 0, outcome.stderr
    assert_whole(folder, outcome.stdout)


@pytest.mark.parametrize("broken", [403, 429, "dropped"])
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
