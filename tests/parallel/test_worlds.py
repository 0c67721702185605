"""Processes that torchrun or srun has started are one run, or are refused in one line."""

import os
import socket
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from torch import distributed

from cnnlit.parallel import distributed_internals, worlds
from cnnlit.parallel.trainer import build_trainer
from cnnlit.parallel.worlds import World, agree, in_launched_world, is_first_process, launched, started_elsewhere
from cnnlit.runs.folder import Run

TORCHRUN = {"TORCHELASTIC_RUN_ID": "a", "RANK": "3", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "4"}
SBATCH = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NNODES": "2"}
SRUN = SBATCH | {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_NODES": "2", "SLURM_PROCID": "3", "SLURM_LOCALID": "1"}
ALONE = {"accelerator": "cpu", "devices": 1, "num_nodes": 1}


@pytest.fixture
def surroundings(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the variables that a launcher sets, and no others."""

    def set_to(variables: dict[str, str]) -> None:
        for name in list(os.environ):
            if name.startswith(("SLURM_", "MASTER_", "TORCHELASTIC_")) or name.endswith(("RANK", "WORLD_SIZE")):
                monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    set_to({})
    return set_to


@pytest.mark.parametrize(
    ("variables", "world"),
    [
        ({}, None),
        (TORCHRUN, World("torchrun", 3, 1, 2, 2)),
        (SRUN, World("srun", 3, 1, 2, 2)),
        (SRUN | TORCHRUN, World("torchrun", 3, 1, 2, 2)),
        (SBATCH, None),
        (SRUN | {"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, None),
        (SRUN | {"SLURM_JOB_NAME": "interactive", "SLURM_PROCID": "0"}, None),
    ],
    ids=["alone", "torchrun", "srun", "torchrun_within_srun", "a_batch_script", "srun_of_one_task", "a_shell"],
)
def test_a_launcher_is_known_by_its_variables(surroundings: Any, variables: Any, world: World | None) -> None:
    surroundings(variables)
    assert launched() == world
    assert started_elsewhere() == (world is not None)
    assert is_first_process() == (world is None)


@pytest.mark.parametrize("said", [[], ["trainer=ddp"], ["trainer.devices=2"], ["trainer.devices=auto"]])
def test_the_processes_of_a_launcher_are_taken_as_they_are(surroundings: Any, said: list[str]) -> None:
    surroundings(TORCHRUN)
    adopted = in_launched_world(ALONE | {"devices": 2 if said else 1}, said)
    assert (adopted["devices"], adopted["num_nodes"]) == (2, 2)


@pytest.mark.parametrize(
    ("trainer", "said", "refusal"),
    [
        ({"devices": 3}, ["trainer.devices=3"], r"torchrun has started 2 processes on each of 2 machines.*devices=2"),
        ({"num_nodes": 1}, ["trainer.num_nodes=1"], r"or say trainer\.num_nodes=2"),
    ],
)
def test_other_numbers_of_processes_than_the_launchers_are_refused(
    surroundings: Any, trainer: Any, said: list[str], refusal: str
) -> None:
    surroundings(TORCHRUN)
    with pytest.raises(ValueError, match=refusal):
        in_launched_world(ALONE | trainer, said)
    assert in_launched_world(ALONE | trainer, said, again=True)["devices"] == 2, "a restart has what is left"


@pytest.mark.parametrize("name", ["OMPI_COMM_WORLD_SIZE", "JSM_NAMESPACE_SIZE"])
def test_processes_that_would_each_train_alone_are_refused(surroundings: Any, name: str) -> None:
    surroundings({name: "2"})
    with pytest.raises(ValueError, match="each of these processes would train alone"):
        in_launched_world(ALONE, [])


def test_a_machine_beyond_their_number_is_refused(surroundings: Any) -> None:
    surroundings({"MASTER_ADDR": "localhost", "MASTER_PORT": "29500", "NODE_RANK": "1"})
    with pytest.raises(ValueError, match=r"NODE_RANK=1: trainer\.num_nodes=1"):
        in_launched_world(ALONE, [])


def test_where_slurm_is_installed_nothing_is_said_of_it(tmp_path: Path, monkeypatch: Any, surroundings: Any) -> None:
    from types import SimpleNamespace

    from lightning import Trainer

    (tmp_path / "srun").write_text("#!/bin/sh\n")
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    recipe = SimpleNamespace(epochs=1, gradient_clip_norm=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build_trainer(
            lambda **options: Trainer(accelerator="cpu", devices=1, **options),
            Run(tmp_path / "run"), recipe, SimpleNamespace(num_images={"val": 1}), [],
        )  # fmt: skip


def meeting(surroundings: Any, address: str, port: int, rank: int) -> None:
    surroundings({"MASTER_ADDR": address, "MASTER_PORT": str(port), "NODE_RANK": str(rank)})


@pytest.fixture
def nobody_met(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worlds, "_stores", [])
    monkeypatch.setattr(worlds, "AGREEMENT_TIMEOUT_SECONDS", 1.0)


@pytest.mark.usefixtures("nobody_met")
def test_a_host_name_that_does_not_resolve_is_named(surroundings: Any) -> None:
    meeting(surroundings, "nowhere.invalid", 29500, 1)
    with pytest.raises(ValueError, match=r"MASTER_ADDR=nowhere\.invalid.*does not resolve"):
        agree("folder", "here")


@pytest.mark.usefixtures("nobody_met")
def test_a_first_process_that_does_not_come_is_named(surroundings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    meeting(surroundings, "127.0.0.1", port, 1)
    with pytest.raises(ValueError, match=rf"MASTER_PORT={port}: nobody has answered for 1 s"):
        agree("folder", "here")


@pytest.mark.usefixtures("nobody_met")
def test_a_port_in_use_is_named(surroundings: Any) -> None:
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as taken:
        port = taken.getsockname()[1]
        meeting(surroundings, "127.0.0.1", port, 0)
        with pytest.raises(ValueError, match=rf"MASTER_PORT={port}: the port is in use"):
            agree("folder", "here")


@pytest.mark.usefixtures("nobody_met")
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "localhost"])
def test_processes_agree_over_either_kind_of_address(
    surroundings: Any, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    meeting(surroundings, address, port, 0)
    assert agree("folder", "here") == "here"
    first = list(worlds._stores)
    monkeypatch.setattr(worlds, "_stores", [])
    meeting(surroundings, address, port, 1)
    assert agree("folder", "there") == "here"
    assert first


def test_what_earlier_processes_said_in_torchruns_store_is_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    store = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    monkeypatch.setattr(distributed_internals, "MEETING_SECONDS", 20.0)
    words = []
    for _ in range(2):
        with ThreadPoolExecutor() as threads:
            other = threads.submit(distributed_internals.word_of_this_start, store.clone(), 1, 2)
            time.sleep(0.2)  # the second time it finds the answer and the word of the first
            words.append(distributed_internals.word_of_this_start(store, 0, 2))
            assert other.result() == words[-1]
    assert words[0] != words[1]


def test_without_torchruns_store_there_is_nothing_to_agree_on(surroundings: Any) -> None:
    surroundings(TORCHRUN)
    assert worlds.fresh_store() is None
