"""Locks, signals, folders, bytes and processes, by names that mean the same on Linux, macOS and Windows."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock as ThreadLock
from typing import IO, Any, NoReturn

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

EARLY_WARNING: int | None = getattr(signal, "SIGUSR1", None)
"""SLURM's, before it ends a job; Windows has none."""

KILL: int = getattr(signal, "SIGKILL", signal.SIGTERM)
"""Ends a process whatever it does."""

LOCKED_BYTE = 1 << 30
"""Windows locks bytes of a file, which nobody can then read: one far behind its end."""

_one_reader = ThreadLock()


def lock(file: IO[bytes], *, shared: bool = False) -> None:
    """Lock an open file until it is closed or the process ends, without waiting.

    Raises:
        BlockingIOError, PermissionError: if another process holds the lock.
        OSError: where there are no locks.
    """
    if fcntl:
        fcntl.lockf(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    else:
        _lock_byte(file)


def _lock_byte(file: IO[bytes]) -> None:
    try:
        import msvcrt
    except ImportError:
        raise OSError("this system has no locks") from None
    windows: Any = msvcrt  # whose names type checkers know on Windows alone
    os.lseek(file.fileno(), LOCKED_BYTE, os.SEEK_SET)
    windows.locking(file.fileno(), windows.LK_NBLCK, 1)


def sync_folder(folder: Path) -> None:
    """Let a new name in a folder outlive a power cut, where a folder can be opened."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # Windows
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_unread(stream: IO[str]) -> bool:
    """Whether nobody reads a pipe any more; where that cannot be asked, a pipe that broke is taken for this one."""
    if not hasattr(select, "poll"):
        return True
    reader = select.poll()
    reader.register(stream, 0)
    return bool(reader.poll(0))


def open_bytes(path: str | Path) -> int:
    """A descriptor from which a file's bytes are read as they are."""
    return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))


def read_at(descriptor: int, length: int, offset: int) -> bytes:
    """Bytes of an open file, from whichever thread."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, length, offset)
    with _one_reader:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, length)


def signal_tree(process: "subprocess.Popen[bytes]", number: int) -> None:
    """Send a signal to a process that leads a group of its own, and to all that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, number)
        else:
            subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], check=False, capture_output=True)


def end_own_group() -> NoReturn:
    """End this process, and where there are groups of processes all of its own."""
    if hasattr(os, "killpg"):
        os.killpg(0, KILL)
    os._exit(128 + KILL)


def become(command: Sequence[str]) -> NoReturn:
    """Replace this process by another command; where there is no such thing, end as that one does."""
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "nt":
        sys.exit(subprocess.call(list(command)))
    os.execv(command[0], list(command))


def namespace() -> str:
    """In which the numbers of processes mean what they mean here."""
    with suppress(OSError):
        return os.readlink("/proc/self/ns/pid")
    return ""
