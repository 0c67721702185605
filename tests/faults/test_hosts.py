"""Two machines, as two network namespaces on this one: one of them is cut off, both end with a clear error."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from training import SHORT, environment

pytestmark = pytest.mark.slow

SOON_SECONDS = 150
ADDRESSES = ("10.87.0.1", "10.87.0.2")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """The names of two namespaces that see each other."""
    names = [f"cnnlit{os.getpid()}{letter}" for letter in "ab"]
    ends = [f"v{os.getpid() % 100000}{letter}" for letter in "ab"]
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for name, end, address in zip(names, ends, ADDRESSES, strict=True):
            ip("link", "set", end, "netns", name)
            ip("-n", name, "link", "set", end, "name", "eth0")
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespaces here: {getattr(error, 'stderr', error)}")
    yield names
    for name in names:
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def start(host: str, rank: int, processes: int, folder: Path) -> "subprocess.Popen[str]":
    variables = {"MASTER_ADDR": ADDRESSES[0], "MASTER_PORT": "29511", "NODE_RANK": str(rank)}
    variables["GLOO_SOCKET_IFNAME"] = "eth0"
    arguments = [
        *SHORT, "recipe.epochs=200", "trainer.accelerator=cpu", "trainer.strategy=ddp", "trainer.num_nodes=2",
        f"trainer.devices={processes}", f"hydra.run.dir={folder}",
    ]  # fmt: skip
    return subprocess.Popen(
        ["ip", "netns", "exec", host, sys.executable, "-m", "cnnlit.train", *arguments],
        cwd=folder.parent, env=environment(**variables), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("cut", ["its_processes_are_killed", "its_cable_is_pulled"])
def test_two_hosts_of_which_one_is_cut_off_end_with_a_clear_error(
    tmp_path: Path, hosts: list[str], processes: int, cut: str
) -> None:
    runs = [start(host, rank, processes, tmp_path / f"run{rank}") for rank, host in enumerate(hosts)]
    try:
        assert runs[0].stdout is not None
        for line in runs[0].stdout:
            if "epoch 1/200" in line:
                break
        if cut == "its_processes_are_killed":
            os.killpg(runs[1].pid, signal.SIGKILL)
            watched = runs[:1]
        else:
            ip("-n", hosts[1], "link", "set", "eth0", "down")
            watched = runs
        until = time.monotonic() + SOON_SECONDS
        for each in watched:
            said, _ = each.communicate(timeout=max(1, until - time.monotonic()))
            assert each.returncode == 1, said
            assert re.search(r"cnnlit: (process \d ends: )?the connection to .* is lost", said), said
            assert "Traceback" not in said, said
    finally:
        for each in runs:
            if each.poll() is None:
                os.killpg(each.pid, signal.SIGKILL)
            each.communicate()
