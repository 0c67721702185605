"""What other systems than this one lack is behind names of ours: without it, the default run still works."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import as_typed
import pytest

from cnnlit.files import LOCK, Lock, is_locked
from cnnlit.systems import portable

WITHOUT = """
    import errno, os, select, selectors, signal, subprocess, sys
    import multiprocessing.connection, multiprocessing.util

    ABSENT = {"fcntl", "msvcrt", "resource", "termios", "pwd"}
    for name in ABSENT:
        sys.modules.pop(name, None)

    class Refuse:
        def find_spec(self, name, path=None, target=None):
            if name in ABSENT:
                raise ImportError(f"no module named {name}")

    sys.meta_path.insert(0, Refuse())
    def take(module, names):
        taken = {name: vars(module).pop(name) for name in names if name in vars(module)}

        def lookup(name):  # other packages ask for the name of the system, and get what this one has
            if name not in taken or f"{os.sep}cnnlit{os.sep}" in sys._getframe(1).f_code.co_filename:
                raise AttributeError(name)
            return taken[name]

        module.__getattr__ = lookup

    take(os, ("killpg", "sched_getaffinity", "sched_setaffinity", "pread", "posix_fadvise", "pidfd_open", "getpgid"))
    take(signal, ("SIGUSR1", "SIGKILL", "pthread_sigmask"))
    take(select, ("poll", "epoll"))

    def refusing(function, refuses, number):
        def call(path, *others, **keywords):
            if refuses(path):
                raise OSError(number, "not on this system", str(path))
            return function(path, *others, **keywords)
        return call

    is_folder, in_proc = os.path.isdir, lambda path: str(path).startswith("/proc")
    os.open = refusing(os.open, lambda path: is_folder(path), errno.EACCES)
    os.readlink = refusing(os.readlink, in_proc, errno.ENOENT)
    os.stat = refusing(os.stat, in_proc, errno.ENOENT)
"""
"""Takes from Python, when it starts, what Windows or macOS do not have."""


@pytest.fixture
def elsewhere(tmp_path: Path) -> dict[str, str]:
    """Environment of a Python on another system."""
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(WITHOUT))
    return {"PYTHONPATH": f"{as_typed.ROOT}{os.pathsep}{tmp_path}"}


def test_this_python_lacks_what_the_test_takes_from_it(tmp_path: Path, elsewhere: dict[str, str]) -> None:
    program = "from cnnlit.systems import portable; print(portable.EARLY_WARNING, portable.fcntl)\nimport fcntl"
    shown = subprocess.run(
        [sys.executable, "-c", program], env=as_typed.environment(**elsewhere), capture_output=True, text=True
    )
    assert shown.stdout == "None None\n"
    assert "ImportError: no module named fcntl" in shown.stderr


@pytest.mark.slow
def test_the_default_run_trains_is_resumed_and_reported_on_another_system(
    tmp_path: Path, elsewhere: dict[str, str]
) -> None:
    words = (
        "logger=none",
        "data.passes_per_epoch=1",
        "hydra.run.dir=run",
        "recipe/schedule=constant",
        "recipe.epochs=1",
    )
    trained = as_typed.cnnlit(tmp_path, "train", *words, **elsewhere)
    assert trained.returncode == 0, trained.stderr
    longer = as_typed.cnnlit(tmp_path, "train", "resume=run", "recipe.epochs=2", **elsewhere)
    assert longer.returncode == 0, longer.stderr
    assert json.loads((tmp_path / "run" / "run.json").read_text())["state"] == "finished"
    assert (tmp_path / "run" / "metrics.csv").read_text().count("\n") == 3
    assert as_typed.cnnlit(tmp_path, "report", "runs=run", **elsewhere).returncode == 0


@pytest.mark.slow
def test_a_sweep_runs_on_another_system(tmp_path: Path, elsewhere: dict[str, str]) -> None:
    words = ("-m", "seed=0,1", "logger=none", "data.passes_per_epoch=1", "recipe.epochs=1", "hydra.sweep.dir=sweep")
    done = as_typed.cnnlit(tmp_path, "train", *words, **elsewhere)
    assert done.returncode == 0, done.stderr
    states = [json.loads(path.read_text())["state"] for path in (tmp_path / "sweep").glob("*/run.json")]
    assert states == ["finished", "finished"]


HOLDS = """
import fcntl, sys, time
from pathlib import Path
from cnnlit.systems.portable import LOCKED_BYTE
file = Path(sys.argv[1]).open("ab")
fcntl.lockf(file, fcntl.LOCK_EX, 1, LOCKED_BYTE)
print("held", flush=True)
sys.stdin.read()
"""


def _locking(descriptor: int, how: int, length: int) -> None:
    """Windows' msvcrt.locking by record locks: of so many bytes, from where the file is."""
    import fcntl

    reads = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY  # no hindrance to Windows
    fcntl.lockf(
        descriptor, how | (fcntl.LOCK_SH if reads else fcntl.LOCK_EX), length, os.lseek(descriptor, 0, os.SEEK_CUR)
    )


@pytest.mark.skipif(portable.fcntl is None, reason="stands for Windows' locks by those of other systems")
def test_windows_locks_a_byte_that_nobody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=_locking, LK_NBLCK=portable.fcntl.LOCK_NB))
    monkeypatch.setattr(portable, "fcntl", None)
    mine = Lock(tmp_path)
    assert mine.take()
    mine.give_back()
    with _holding(tmp_path / LOCK) as other:
        assert is_locked(tmp_path)
        assert not Lock(tmp_path).take()
        other.stdin.close()
        other.wait()
    assert is_locked(tmp_path) is False


def _holding(path: Path) -> Any:
    held = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(path)], env=as_typed.environment(), stdin=-1, stdout=-1, text=True
    )
    stdout: IO[str] | None = held.stdout
    assert stdout
    assert stdout.readline() == "held\n"
    return held


@pytest.mark.parametrize("has", [True, False])
def test_bytes_are_read_from_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has: bool) -> None:
    if not has:
        monkeypatch.delattr(os, "pread")
    (tmp_path / "file").write_bytes(b"0\r\n123456789")
    descriptor = portable.open_bytes(tmp_path / "file")
    assert [portable.read_at(descriptor, 3, offset) for offset in (6, 0)] == [b"456", b"0\r\n"]
    os.close(descriptor)
