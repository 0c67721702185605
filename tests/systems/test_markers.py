"""On a file system without locks a file stands for one: two resumes of one folder are not both let in."""

import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cnnlit import files
from cnnlit.files import Lock
from tests.as_typed import environment, here

HOLDER = """
import errno, sys, time
from pathlib import Path
from cnnlit import files

def lock(file, *, shared=False):
    raise OSError(errno.ENOLCK, "No locks available")

files.lock = lock
held = files.Lock(Path(sys.argv[1]))
assert held.take()
print("held", flush=True)
time.sleep(120)
"""


@pytest.fixture(autouse=True)
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def lock(file: Any, *, shared: bool = False) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files, "lock", lock)


def holder(folder: Path) -> "subprocess.Popen[str]":
    """Another process, which holds the lock on a folder."""
    line = [sys.executable, "-c", HOLDER, str(folder)]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environment())
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_one_process_has_it_until_it_gives_it_back_or_dies(tmp_path: Path) -> None:
    other = holder(tmp_path)
    mine = Lock(tmp_path)
    assert not mine.take()
    assert mine.doubt.endswith(f"remove {tmp_path / '.lock.held'}")
    other.kill()
    other.wait()
    assert mine.take(), "that of a process that has ended is taken over"
    mine.give_back()
    assert not (tmp_path / ".lock.held").exists()
    assert not mine.doubt


@pytest.mark.slow
def test_a_second_resume_is_refused_in_one_line(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = (
        "data=digits",
        "data.val_split=1373",
        "recipe.epochs=1",
        "recipe.batch_size=16",
        "recipe/schedule=constant",
        "logger=none",
    )
    assert here(tmp_path, "train", *words, f"hydra.run.dir={run}").returncode == 0
    other = holder(run)
    refused = here(tmp_path, "train", f"resume={run}", "recipe.epochs=2")
    other.kill()
    other.wait()
    assert refused.returncode == 2
    said = refused.stderr.strip().splitlines()[-1]
    assert "is at work on this run; this file system has no locks: if that process has ended, remove" in said
    gone_on = here(tmp_path, "train", f"resume={run}", "recipe.epochs=2")
    assert gone_on.returncode == 0, gone_on.stderr
