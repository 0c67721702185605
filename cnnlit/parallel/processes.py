"""The processes of one run: what they agree on before training, and how all end when one of them fails."""

import ctypes
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cnnlit.parallel.heartbeat import POLL_SECONDS, Heartbeat
from cnnlit.runs.folder import RunError

LAUNCHER = "CNNLIT_LAUNCHER"
"""The environment variable that tells a process which one started it."""
PR_SET_PDEATHSIG = 1
"""What Linux's prctl.h calls it."""

GRACE_SECONDS = 10.0
"""How long a process may take to notice by itself that another one has failed."""

AGREEMENT_TIMEOUT_SECONDS = 300.0

_stores: list[Any] = []
"""Kept alive as long as the process, for the others read from them."""


class OtherProcessError(RunError):
    """Another process of this run failed; the message is that process's error."""


def end_with_launcher() -> None:
    """Make this process end when the one that started it for its run does, however that one ends."""
    launcher = os.environ.get(LAUNCHER)
    if launcher is None or os.environ.get("LOCAL_RANK", "0") == "0":
        return
    with suppress(OSError, AttributeError):  # where this is not Linux, the broken connection ends it
        ctypes.CDLL("libc.so.6").prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(launcher):  # it died before
        os._exit(1)


def started_elsewhere() -> bool:
    """Whether something other than this project starts the run's processes, or there are several machines."""
    several = int(os.environ.get("SLURM_NTASKS", "1")) > 1 and os.environ.get("SLURM_JOB_NAME") not in (
        "bash",
        "interactive",
    )
    return several or ("MASTER_ADDR" in os.environ and ("RANK" in os.environ or "NODE_RANK" in os.environ))


def agree(name: str, value: str) -> str:
    """The first process's value; every process has to call this, where `started_elsewhere` is true.

    Args:
        name: what is being agreed on.
        value: what this process would use.

    Raises:
        torch.distributed.DistError: if the first process does not come.
    """
    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # written in C++

    rank, address, port = _place()
    agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"  # torchrun has opened the port
    store = TCPStore(
        address,
        port,
        is_master=rank == 0 and not agent,
        timeout=timedelta(seconds=AGREEMENT_TIMEOUT_SECONDS),
        wait_for_workers=False,
        multi_tenant=True,  # torch opens the same port later, in this process
    )
    _stores.append(store)
    key = f"cnnlit/{name}/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}"
    if rank == 0:
        store.set(key, value)
    agreed: str = store.get(key).decode()
    return agreed


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


def _place() -> tuple[int, str, int]:
    """This process's rank, and the address and port of the first one."""
    if "RANK" in os.environ or "SLURM_PROCID" not in os.environ:
        rank = int(os.environ.get("RANK", os.environ.get("NODE_RANK", "0")))
        return rank, os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

    cluster = SLURMEnvironment()
    return cluster.global_rank(), cluster.main_address, cluster.main_port


def of_all(values: Iterable[str]) -> list[str]:
    """The values of all the run's processes together, sorted, each once; every process has to call this."""
    from torch import distributed

    own = list(values)
    gathered: list[Any] = [own]
    if distributed.is_initialized():
        gathered = [None] * distributed.get_world_size()
        distributed.all_gather_object(gathered, own)
    return sorted(set().union(*gathered))


@contextmanager
def failing_together(strategy: Any, record: Callable[[str], None]) -> Iterator[None]:
    """Within this block the first error of any process is the error of all, and ends all of them within seconds.

    The process that failed shows its error. The first process raises it as OtherProcessError; the others exit quietly.
    One that is stuck in a collective is ended by force, after `record` was called.

    Args:
        strategy: Lightning's; its launcher knows the processes that this one started.
        record: writes down, in the first process, what ended the run.
    """
    if getattr(strategy, "num_processes", 1) * getattr(strategy, "num_nodes", 1) == 1:
        yield
        return
    watch = _Watch(strategy, record)
    watch.start()
    try:
        yield
    except Exception as error:
        reason = watch.first_failure(error)
        if reason is None:
            raise
        if strategy.global_rank:
            print(f"cnnlit: process {strategy.global_rank} ends: {reason}", file=sys.stderr)  # noqa: T201
            raise SystemExit(1) from None
        raise OtherProcessError(reason) from None
    finally:
        watch.end()


class _Watch(threading.Thread):
    """Watches the other processes while this one computes or waits."""

    def __init__(self, strategy: Any, record: Callable[[str], None]) -> None:
        super().__init__(daemon=True, name="watch")
        self.strategy = strategy
        self.record = record
        self.ended = threading.Event()
        nodes = strategy.num_nodes
        self.heartbeat = Heartbeat(strategy.cluster_environment.node_rank() if nodes > 1 else 0, nodes, self.ended)

    def run(self) -> None:
        self.heartbeat.start()
        while not self.ended.wait(POLL_SECONDS):
            if (reason := self._others_failure()) and not self.ended.wait(GRACE_SECONDS):
                self._end_by_force(reason)

    def end(self) -> None:
        """Stop watching. A thread that is still in a call of torch's when Python exits takes the process down."""
        self.ended.set()
        for thread in (self, self.heartbeat):
            if thread.ident is not None:  # it was started
                thread.join(POLL_SECONDS)

    def first_failure(self, error: Exception) -> str | None:
        """Why another process failed before this one did; None if this one was first, which it then reports."""
        lost = _lost_connection(error)
        # A killed process may take seconds to disappear on a busy machine; the others hear of it from the one that
        # started it.
        if reason := self._await_others_failure(GRACE_SECONDS if lost else 1.0):
            return reason
        rank = self.strategy.global_rank
        self.heartbeat.say(rank, lost or f"process {rank}: {type(error).__name__}: {error}")
        return self._await_others_failure(2.0) or lost

    def _await_others_failure(self, seconds: float) -> str | None:
        """Why another process failed, once that is known; None if it is not in time, or if this process was first."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if reason := self._others_failure():
                return reason
            if (heard := self.heartbeat.heard()) and heard[0] == self.strategy.global_rank:
                return None
            time.sleep(POLL_SECONDS / 10)
        return None

    def _others_failure(self) -> str | None:
        if silence := self.heartbeat.silence():
            return silence
        if heard := self.heartbeat.heard():
            first, reason = heard
            return None if first == self.strategy.global_rank else reason
        if self.heartbeat.broken:
            return "process 0 is gone"
        for rank, process in enumerate(self._children(), self.strategy.global_rank + 1):
            if process.poll():
                code = process.returncode
                how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
                # Had it been able to report an error of its own, it would have done so before it ended.
                self.heartbeat.say(rank, f"process {rank} {how}; without it the run cannot go on")
        return None

    def _children(self) -> list[subprocess.Popen[bytes]]:
        return list(getattr(self.strategy.launcher, "procs", []))

    def _end_by_force(self, reason: str) -> None:
        if self.strategy.global_rank == 0:
            with suppress(OSError):  # the disk may be full
                self.record(reason)
        print(f"cnnlit: process {self.strategy.global_rank} ends: {reason}", file=sys.stderr, flush=True)  # noqa: T201
        for process in self._children():
            process.kill()
        os._exit(1)


def _lost_connection(error: Exception) -> str | None:
    """How to report that a collective found another process gone; None for an error of this process's own."""
    from torch import distributed

    text = str(error)
    if "gloo/transport" not in text and not isinstance(error, distributed.DistNetworkError):
        return None
    detail = re.sub(r"^\[\S*\] ", "", text).partition(". ")[0].partition("\n")[0]
    return f"the connection to another process of this run is lost ({detail})"
