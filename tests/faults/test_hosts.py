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
from training import BOUND_SECONDS, SHORT, environment

from cnnlit.runs.reading import read

pytestmark = pytest.mark.slow

SOON_SECONDS = 150
ADDRESSES = {"IPv4": ("10.87.0.1/24", "10.87.0.2/24"), "IPv6": ("fd87::1/64", "fd87::2/64")}


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@pytest.fixture(params=["IPv4"])
def hosts(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """The names of two namespaces that see each other by addresses of one kind."""
    names = [f"cnnlit{os.getpid()}{letter}" for letter in "ab"]
    ends = [f"v{os.getpid() % 100000}{letter}" for letter in "ab"]
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for name, end, address in zip(names, ends, ADDRESSES[request.param], strict=True):
            ip("link", "set", end, "netns", name)
            ip("-n", name, "link", "set", end, "name", "eth0")
            ip("-n", name, "addr", "add", address, "dev", "eth0", *(["nodad"] if request.param == "IPv6" else []))
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespaces here: {getattr(error, 'stderr', error)}")
    yield names
    for name in names:
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def start(
    host: str, rank: int, processes: int, folder: Path, kind: str = "IPv4", epochs: int = 200
) -> "subprocess.Popen[str]":
    first, _, _ = ADDRESSES[kind][0].partition("/")
    variables = {"MASTER_ADDR": first, "MASTER_PORT": "29511", "NODE_RANK": str(rank), "GLOO_SOCKET_IFNAME": "eth0"}
    arguments = [
        *SHORT, f"recipe.epochs={epochs}", "trainer.accelerator=cpu", "trainer.strategy=ddp", "trainer.num_nodes=2",
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


@pytest.mark.parametrize("hosts", ["IPv6"], indirect=True)
def test_two_hosts_that_have_addresses_of_ipv6_alone_train_together(tmp_path: Path, hosts: list[str]) -> None:
    runs = [start(host, rank, 1, tmp_path / "run", "IPv6", epochs=1) for rank, host in enumerate(hosts)]
    try:
        for each in runs:
            said, _ = each.communicate(timeout=BOUND_SECONDS)
            assert each.returncode == 0, said
    finally:
        for each in runs:
            if each.poll() is None:
                os.killpg(each.pid, signal.SIGKILL)
            each.communicate()
    assert read(tmp_path / "run")["state"] == "finished"
