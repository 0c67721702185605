"""The processes of one run that something else has started: torchrun, srun, a person on each of several machines."""

import os
import secrets
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnnlit.parallel.distributed_internals import word_of_this_start

if TYPE_CHECKING:
    from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment

AGREEMENT_TIMEOUT_SECONDS = 300.0
"""How long the first process may take to come."""

INTERACTIVE_JOBS = ("bash", "interactive")
"""Names of SLURM's jobs in which a person types commands, each for itself."""

OF_MPI = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "JSM_NAMESPACE_SIZE")
"""Variables of launchers whose processes would each train alone."""

_stores: list[Any] = []
"""Kept alive as long as the process, for the others read from them."""


class World(NamedTuple):
    """The processes that a launcher has started for one command."""

    launcher: str
    rank: int
    local_rank: int
    devices: int
    """Processes on each machine."""
    num_nodes: int


def launched() -> World | None:
    """What torchrun or srun has started this process as a part of; None if neither has.

    Raises:
        ValueError: if torchrun has started unequal numbers of processes on its machines.
    """
    have = os.environ
    if {"TORCHELASTIC_RUN_ID", "RANK", "WORLD_SIZE"} <= have.keys():
        local, world = int(have["LOCAL_WORLD_SIZE"]), int(have["WORLD_SIZE"])
        if world % local:
            raise ValueError(f"torchrun has started {local} of {world} processes here: each machine needs as many")
        return World("torchrun", int(have["RANK"]), int(have["LOCAL_RANK"]), local, world // local)
    # Without srun, a batch script has these variables too, and its command is one process.
    tasks = int(have.get("SLURM_NTASKS", "1"))
    if "SLURM_STEP_ID" in have and tasks > 1 and have.get("SLURM_JOB_NAME") not in INTERACTIVE_JOBS:
        nodes = int(have.get("SLURM_STEP_NUM_NODES") or have.get("SLURM_NNODES") or "1")
        if tasks % nodes:
            raise ValueError(f"srun has started {tasks} tasks on {nodes} machines: each machine needs as many")
        return World("srun", int(have["SLURM_PROCID"]), int(have["SLURM_LOCALID"]), tasks // nodes, nodes)
    return None


def started_elsewhere() -> bool:
    """Whether something other than this project starts the run's processes, or there are several machines."""
    by_hand = "MASTER_ADDR" in os.environ and ("RANK" in os.environ or "NODE_RANK" in os.environ)
    return by_hand or launched() is not None


def is_first_process() -> bool:
    """Whether this process is the first of its run, whoever has started it; known before anything is imported."""
    have = os.environ
    of_task = "SLURM_PROCID" if "SLURM_STEP_ID" in have else "RANK"
    return all(have.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "NODE_RANK", of_task))


def in_launched_world(trainer: dict[str, Any], said: Iterable[str], *, again: bool = False) -> dict[str, Any]:
    """The configuration of a trainer on the processes that its launcher has made.

    Args:
        trainer: its configuration.
        said: overrides of the command line.
        again: whether the launcher has started this run before, perhaps with more processes.

    Raises:
        ValueError: one line, if the command line says something else, or the processes cannot find each other.
    """
    world = launched()
    if world is None:
        _refuse_lone_processes(trainer["num_nodes"])
        return trainer
    stated = {} if again else dict(word.partition("=")[::2] for word in said)
    count = {"trainer.devices": world.devices, "trainer.num_nodes": world.num_nodes}
    where = "" if world.num_nodes == 1 else f" on each of {world.num_nodes} machines"
    made = f"{world.launcher} has started {world.devices} processes{where}"
    for key, number in count.items():
        value = trainer[key.partition(".")[2]]
        wanted = len(value) if isinstance(value, list) else value
        if key in stated and str(wanted) not in (str(number), "auto", "-1"):
            raise ValueError(f"{key}={stated[key]}: {made}; leave it out, or say {key}={number}")
    devices = trainer["devices"]
    chosen = isinstance(devices, list) and len(devices) == world.devices
    return {**trainer, "devices": devices if chosen else world.devices, "num_nodes": world.num_nodes}


def _refuse_lone_processes(num_nodes: int) -> None:
    """Refuse to be one of several processes that would each train by itself."""
    for name in OF_MPI:
        if int(os.environ.get(name, "1")) > 1:
            raise ValueError(
                f"{name}={os.environ[name]}: each of these processes would train alone; start them with torchrun or "
                "srun, or one with trainer.devices="
            )
    if "LOCAL_RANK" not in os.environ and int(os.environ.get("NODE_RANK", "0")) >= num_nodes:
        raise ValueError(f"NODE_RANK={os.environ['NODE_RANK']}: trainer.num_nodes={num_nodes} counts from 0")


def cluster_environment() -> "ClusterEnvironment":
    """What tells Lightning which process this is.

    Left to itself, it takes any SLURM job for one of srun's, and gives advice before each run where srun is installed.

    Raises:
        ValueError: one line, if the first machine's name does not resolve.
    """
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    world = launched()
    if started_elsewhere() and "MASTER_ADDR" in os.environ:
        _check_resolves(os.environ["MASTER_ADDR"])
    if world is None:
        return LightningEnvironment()
    if world.launcher == "torchrun":
        return TorchElasticEnvironment()
    # Of the step, where sbatch's words about the job may differ, or be missing.
    os.environ |= {"SLURM_NTASKS_PER_NODE": str(world.devices), "SLURM_NNODES": str(world.num_nodes)}
    if "SLURM_STEP_NODELIST" in os.environ:
        os.environ["SLURM_NODELIST"] = os.environ["SLURM_STEP_NODELIST"]
    if world.num_nodes == 1:  # what the machine is called need not be known to it
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    environment = SLURMEnvironment(auto_requeue=False)
    _check_resolves(environment.main_address)
    return environment


def _check_resolves(address: str) -> None:
    """Refuse a first machine that cannot be found; torch would look for it until its time is up."""
    try:
        socket.getaddrinfo(address, None)
    except socket.gaierror as error:
        raise ValueError(f"MASTER_ADDR={address}: this host name does not resolve ({error.strerror})") from None


def new_run_folder(resume: str | None, root: str) -> str:
    """A run's folder, the same for all of its processes: the one that is resumed, or one that no other run has.

    Args:
        resume: the folder of the run to resume; None for a new run.
        root: where new runs go.
    """
    if resume:
        return str(Path(resume).absolute())
    folder = f"{root}/{datetime.now():%Y-%m-%d/%H-%M-%S}-{secrets.token_hex(4)}"
    return agree("run_folder", folder) if started_elsewhere() else folder


def launch_id() -> str | None:
    """What tells a start of torchrun from all others, and is the same after it has restarted its processes."""
    world = launched()
    return agree("launch", secrets.token_hex(8)) if world and world.launcher == "torchrun" else None


def agree(name: str, value: str) -> str:
    """The first process's value; every process has to call this, where `started_elsewhere` is true.

    The store of torchrun outlives the processes: those that it starts again get the value of the first ones.

    Args:
        name: what is being agreed on.
        value: what this process would use.

    Raises:
        ValueError: one line, if the first process cannot be found.
    """
    store, first = _meet()
    key = f"cnnlit/{name}"
    if first:
        value = store.compare_set(key, "", value).decode()
        store.set(f"{key}/known", value)
        return value
    agreed: str = store.get(f"{key}/known").decode()
    return agreed


def fresh_store() -> Any:
    """A part of torchrun's store in which nothing was said before; None where every start has a store of its own.

    torchrun's outlives the processes, and those that it starts again would look for each other at the addresses of the
    dead. All processes have to call this.

    Raises:
        DistStoreError: if the others do not come.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return None
    from torch import distributed

    if distributed.is_initialized():
        return None
    store = _meet()[0].clone()
    rank, processes = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    word = word_of_this_start(store, rank, processes)
    return distributed.PrefixStore(f"cnnlit/{word}", store)  # type: ignore[attr-defined]  # written in C++


def _meet() -> tuple[Any, bool]:
    """The store that all processes share, and whether this one is the first."""
    from torch.distributed import DistError, TCPStore  # type: ignore[attr-defined]  # written in C++

    rank, address, port = _place()
    agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"  # torchrun has opened the port
    opens = rank == 0 and not agent
    if not _stores:
        try:
            if not opens:
                _await_first_process(address, port)
            store = TCPStore(
                address,
                port,
                is_master=opens,
                timeout=timedelta(seconds=AGREEMENT_TIMEOUT_SECONDS),
                wait_for_workers=False,
                multi_tenant=True,  # torch opens the same port later, in this process
            )
        except (DistError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            taken = "the port is in use" if "EADDRINUSE" in reason or "already in use" in reason else reason
            raise ValueError(f"MASTER_ADDR={address}, MASTER_PORT={port}: {taken}") from None
        _stores.append(store)
    return _stores[0], rank == 0


def _await_first_process(address: str, port: int) -> None:
    """Wait until the first process answers; in Python, where a signal can end the wait."""
    where = f"MASTER_ADDR={address}, MASTER_PORT={port}"
    until = time.monotonic() + AGREEMENT_TIMEOUT_SECONDS
    while True:
        try:
            socket.create_connection((address, port), timeout=5).close()
        except socket.gaierror as error:
            raise ValueError(f"{where}: this host name does not resolve ({error.strerror})") from None
        except OSError as error:
            if time.monotonic() > until:
                reason = f"nobody has answered for {AGREEMENT_TIMEOUT_SECONDS:.0f} s ({error.strerror or error})"
                raise ValueError(f"{where}: {reason}") from None
            time.sleep(0.2)
        else:
            return


def _place() -> tuple[int, str, int]:
    """This process's rank, and the address and port of the first one."""
    world = launched()
    if world is not None and world.launcher == "srun":
        cluster = cluster_environment()
        return world.rank, cluster.main_address, cluster.main_port
    rank = int(os.environ.get("RANK", os.environ.get("NODE_RANK", "0")))
    port = os.environ.get("MASTER_PORT", "")
    if not port.isdecimal():
        raise ValueError(f"MASTER_PORT={port}: must be a port, the same on all machines")
    with suppress(KeyError):
        return rank, os.environ["MASTER_ADDR"], int(port)
    raise ValueError("MASTER_ADDR: must be the address of the first machine, the same on all machines")
