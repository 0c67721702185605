"""Commands as a user types them, in processes of their own, from folders outside the repository."""

import contextlib
import importlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
TIMEOUT_SECONDS = 240


def environment(**extra: str) -> dict[str, str]:
    """This process's, without what other programs told it of W&B, Hydra and cnnlit."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("WANDB", "CNNLIT", "HYDRA"))}
    return {**clean, "PYTHONPATH": str(ROOT), **extra}


def python(folder: Path, *words: str, **extra: str) -> "subprocess.CompletedProcess[str]":
    """`python -m <words>` in a folder, with more environment variables."""
    line = [sys.executable, "-m", *words]
    return subprocess.run(
        line, cwd=folder, env=environment(**extra), capture_output=True, text=True, timeout=TIMEOUT_SECONDS
    )


def cnnlit(folder: Path, command: str, *words: str, **extra: str) -> "subprocess.CompletedProcess[str]":
    """`python -m cnnlit.<command> <words>` in a folder."""
    return python(folder, f"cnnlit.{command}", *words, **extra)


def on_terminal(folder: Path, *words: str, columns: int, **extra: str) -> str:
    """All that `python -m <words>` shows on a terminal of so many columns, its control sequences included."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    clean = {
        key: value for key, value in environment(**{"TERM": "xterm-256color", **extra}).items() if key != "COLUMNS"
    }
    process = subprocess.Popen(
        [sys.executable, "-m", *words], cwd=folder, env=clean, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while part := os.read(ours, 65536):
            said += part
    os.close(ours)
    process.wait(TIMEOUT_SECONDS)
    return said.decode()


class Typed(NamedTuple):
    """What a command did in this process."""

    returncode: int
    stdout: str
    stderr: str


def here(folder: Path, command: str, *words: str) -> Typed:
    """As `cnnlit`, but in this process, which has imported PyTorch already: seconds less."""
    main = importlib.import_module(f"cnnlit.{command}").main
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = [f"{command}.py", *words]
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as stop:
        return Typed(int(stop.code or 0), out.getvalue(), err.getvalue())
    finally:
        sys.argv = before
    return Typed(0, out.getvalue(), err.getvalue())
