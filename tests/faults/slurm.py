"""SLURM itself, of two nodes that are both this machine, where its programs are installed."""

import os
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "scancel")
"""Debian's slurmctld, slurmd, slurm-client and munge."""
WAIT_SECONDS = 60

CONFIGURATION = """
ClusterName=cnnlit
SlurmctldHost=localhost
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=10
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
NodeName=a NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4 State=UNKNOWN
NodeName=b NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[2]} CPUs=4 State=UNKNOWN
PartitionName=all Nodes=a,b Default=YES MaxTime=INFINITE State=UP
"""
"""A job that is queued again starts ten seconds later, and not two minutes."""


def why_not() -> str | None:
    """Why there can be no cluster here; None if there can."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"SLURM is not installed: no {missing[0]}"
    return "SLURM's daemons are started by root alone" if os.geteuid() else None


class Cluster:
    """SLURM's daemons, from `start` to `end`.

    Args:
        folder: for all that they write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.variables = {"SLURM_CONF": str(folder / "slurm.conf")}

    def start(self) -> None:
        ports = [_free_port() for _ in range(3)]
        for name in ("munge", "state", "spool.a", "spool.b"):
            (self.folder / name).mkdir()
        (self.folder / "slurm.conf").write_text(CONFIGURATION.format(folder=self.folder, ports=ports))
        munge = self.folder / "munge"
        (munge / "key").write_bytes(os.urandom(128))
        (munge / "key").chmod(0o400)
        places = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        self.run("munged", "--force", *(f"--{option}={munge / name}" for option, name in places.items()))
        self.run("slurmctld")
        for node in ("a", "b"):
            self.run("slurmd", "-N", node)
        until = time.monotonic() + WAIT_SECONDS
        while self.run("sinfo", "-h", "-o", "%T").split() != ["idle"]:
            assert time.monotonic() < until, self.run("scontrol", "show", "nodes")
            time.sleep(0.5)

    def end(self) -> None:
        until = time.monotonic() + WAIT_SECONDS
        with suppress(subprocess.SubprocessError):
            self.run("scancel", "--user=root")
            while self.run("squeue", "-h") and time.monotonic() < until:
                self.run("scancel", "--full", "--signal=KILL", "--user=root")
                time.sleep(1)
        for name in ("slurmd.a.pid", "slurmd.b.pid", "slurmctld.pid", "munge/pid"):
            with suppress(OSError):
                os.kill(int((self.folder / name).read_text()), 15)

    def run(self, *words: str, **extra: str) -> str:
        """What one of SLURM's commands prints."""
        outcome = subprocess.run(
            words, env={**os.environ, **self.variables, **extra}, check=True, capture_output=True, text=True,
            timeout=WAIT_SECONDS,
        )  # fmt: skip
        return outcome.stdout

    def submit(self, script: Path, output: Path, *options: str, **variables: str) -> str:
        """The number of a new job, which has these variables alone."""
        words = ["sbatch", "--parsable", f"--output={output}", f"--chdir={output.parent}", *options, str(script)]
        outcome = subprocess.run(
            words, env={**variables, **self.variables}, check=True, capture_output=True, text=True, timeout=WAIT_SECONDS
        )
        return outcome.stdout.strip()

    def state(self, job: str) -> str:
        """PENDING, RUNNING, COMPLETED and so on, of a job or of an element of an array."""
        words = self.run("scontrol", "show", "job", "--oneliner", job).split()
        return dict(word.partition("=")[::2] for word in words)["JobState"]

    def processes(self, job: str) -> list[int]:
        """The trainings that a job has running."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                line, variables = ((place / name).read_bytes() for name in ("cmdline", "environ"))
                if (
                    b"\0cnnlit.train\0" in line
                    and b"srun" not in line
                    and f"SLURM_JOB_ID={job}\0".encode() in variables
                ):
                    found.append(int(place.name))
        return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
