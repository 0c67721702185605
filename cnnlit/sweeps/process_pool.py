"""Jobs as processes: each a tree of its own, several at once, watched to its end and ended with the sweep."""

import os
import re
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Literal, NoReturn

from cnnlit.sweeps.jobs import Job
from cnnlit.sweeps.resources import Resources
from cnnlit.systems import portable

PARENT = "CNNLIT_SWEEP_PROCESS"
"""The environment variable that tells a job which process started it."""

WATCH = "watch of the sweep's process"
"""Name of the thread in a job that notices when that process is gone."""

GRACE_SECONDS = 60.0
"""How long a job that is told to end may take to save its state."""

POLL_SECONDS = 0.1

NOT_INHERITED = re.compile(
    r"((LOCAL|GROUP|NODE|ROLE)_)?(RANK|WORLD_SIZE)|(MASTER|PL|TORCHELASTIC)_.*|WANDB_RUN_ID"
    r"|SLURM_(NTASKS.*|PROCID|LOCALID|NODEID)"
)
"""Environment variables that would make a job part of whatever started the sweep."""

COMPLAINT = re.compile(r"cnnlit: (.*)|((?:[\w.]+\.)?\w*(?:Error|Exception|Interrupt)\b.*)")
"""A line that says what went wrong: a refusal, or the last line of a traceback."""


@dataclass
class _Process:
    job: Job
    popen: "subprocess.Popen[bytes]"
    began: float
    log_begins: int


class ProcessPool:
    """Runs jobs, several at once, and ends them when this process is told to end.

    Args:
        command: the start of a job's command line, before its own arguments.
        at_once: how many jobs may run at the same time.
        on_error: whether the other jobs go on when one fails.
        shown: whether the jobs write to the terminal; otherwise to log.txt in their folders.
        resources: of the machine, to be divided among the jobs; None to let each job use all of it.
        environment: variables for every job, unless they are set already.
        tell: called with a line about each start and each end.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        at_once: int = 1,
        on_error: Literal["stop", "continue"] = "continue",
        shown: bool = False,
        resources: Resources | None = None,
        environment: dict[str, str] | None = None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._command = list(command)
        self._at_once = at_once
        self._on_error = on_error
        self._shown = shown
        self._resources = resources
        self._environment = environment or {}
        self._tell = tell
        self._running: list[_Process] = []
        self._received: int | None = None
        self._deadline: float | None = None

    def run(self, jobs: Sequence[Job]) -> None:
        """Run the jobs that are not finished yet; each job's state says how it went.

        Raises:
            ValueError: before any job starts, if one of them cannot.
        """
        waiting: deque[tuple[Job, list[str]]] = deque()
        for job, arguments in [(job, job.arguments()) for job in jobs]:
            if arguments is None:
                job.read()
                self._tell(f"job {job.number} was finished before: {job.label}")
            else:
                waiting.append((job, arguments))
        with self._answering_signals():
            try:
                while self._running or (waiting and not self.stopped):
                    while waiting and len(self._running) < self._at_once and not self.stopped:
                        self._start(*waiting.popleft())
                    time.sleep(POLL_SECONDS)
                    self._poll()
            except BaseException:  # raised by another signal handler, such as submitit's
                self._stop()
                while self._running:
                    time.sleep(POLL_SECONDS)
                    self._poll()
                raise

    @property
    def stopped(self) -> bool:
        """Whether it starts no more jobs."""
        return self._deadline is not None or self._received is not None

    @property
    def received(self) -> int | None:
        """The signal that told this process to end."""
        return self._received

    def _start(self, job: Job, arguments: list[str]) -> None:
        environment = {name: value for name, value in os.environ.items() if not NOT_INHERITED.fullmatch(name)}
        environment = {**self._environment, **environment, PARENT: str(os.getpid())}
        cores: list[int] = []
        if self._resources:
            gpus, cores = self._resources.allocate(job.number, job.settings.get("trainer", {}))
            environment.setdefault("OMP_NUM_THREADS", str(len(cores)))
            if gpus is not None:
                environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
        job.folder.mkdir(parents=True, exist_ok=True)
        with open(os.devnull if self._shown else job.log, "ab") as log:
            output = None if self._shown else log
            # In its own process group, so that the whole tree can be ended, and Ctrl-C reaches this process alone.
            popen = subprocess.Popen(
                [*self._command, *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,
            )
            self._running.append(_Process(job, popen, time.monotonic(), log.tell()))
        job.state = "running"
        goes_on = arguments[0].startswith("resume=")
        self._tell(f"job {job.number} {'goes on' if goes_on else 'starts'}: {job.label}")
        if cores and hasattr(os, "sched_setaffinity"):
            with suppress(OSError):  # it has already ended
                os.sched_setaffinity(popen.pid, cores)

    def _poll(self) -> None:
        """See which jobs have ended, and kill those that took too long to end."""
        if self._received is not None and self._deadline is None:
            self._tell("the jobs that run save their state and end; a second signal ends them at once")
            self._stop()
        for process in list(self._running):
            if process.popen.poll() is not None:
                self._running.remove(process)
                self._end(process)
            elif self._deadline is not None and time.monotonic() > self._deadline:
                portable.signal_tree(process.popen, portable.KILL)

    def _end(self, process: _Process) -> None:
        job, code = process.job, process.popen.returncode
        if self._resources:
            self._resources.release(job.number)
        job.seconds = round(time.monotonic() - process.began, 1)
        if code == 0 and job.read():
            self._tell(f"job {job.number} finished in {job.seconds:.0f} s: {job.result}")
            return
        portable.signal_tree(process.popen, portable.KILL)  # whatever its ranks left behind
        stopped = code in (-signal.SIGTERM, 128 + signal.SIGTERM, 128 + signal.SIGINT)
        if self.stopped or stopped:
            job.state = "interrupted"
            self._tell(f"job {job.number} interrupted: {job.label}")
            return
        job.state = "failed"
        job.reason = self._reason(process)
        log = "" if self._shown else f"; log: {job.log}"
        self._tell(f"job {job.number} failed after {job.seconds:.0f} s: {job.reason}; {job.label}{log}")
        if self._on_error == "stop":
            self._stop()

    def _reason(self, process: _Process) -> str:
        """Why a job failed: the error it recorded, or else its last complaint, or else how its process ended."""
        job, code = process.job, process.popen.returncode
        if failure := job.failure():
            return failure
        ended = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if self._shown:
            return f"{ended}; what it said is above"
        with job.log.open("rb") as file:
            file.seek(process.log_begins)
            lines = file.read().decode(errors="replace").splitlines()
        complaints = [next(filter(None, match.groups())) for line in lines if (match := COMPLAINT.match(line))]
        return complaints[-1] if complaints else ended

    def _stop(self) -> None:
        """Start no more jobs, and tell the running ones to save their state and end."""
        if self._deadline is None:
            self._deadline = time.monotonic() + GRACE_SECONDS
            for process in self._running:
                # Only rank 0 is told; it tells the others, at a step that they agree on.
                with suppress(ProcessLookupError):
                    process.popen.terminate()

    @contextmanager
    def _answering_signals(self) -> Iterator[None]:
        """A signal to this process ends its jobs: the first one lets them save their state, the second kills them."""

        def answer(number: int, frame: FrameType | None) -> None:
            if self._received is not None:
                self._deadline = 0.0
            else:  # handled at the next poll, when no job is half started and no file half written
                self._received = number

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, answer) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def become(command: Sequence[str]) -> NoReturn:
    """Replace this process by another command; a job of a sweep stays one."""
    if any(thread.name == WATCH for thread in threading.enumerate()):
        os.environ[PARENT] = str(os.getppid())
    portable.become(command)


def end_with_parent() -> bool:
    """In a job: end as on SIGTERM once the process that started it is gone, for instance killed.

    Returns:
        Whether this process is a job of a sweep.
    """
    parent = os.environ.pop(PARENT, None)  # not for this process's own children
    if parent:
        threading.Thread(target=_watch, args=(int(parent),), name=WATCH, daemon=True).start()
    return parent is not None


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    portable.end_own_group()
