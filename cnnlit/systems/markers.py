"""Where a file system has no locks: a file that names the process that holds one."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock

ENDING = ".held"


def take_marker(path: Path, seconds: float) -> "BaseFileLock | None":
    """Make the file beside `path`, for as long as the returned lock is not released.

    That of a process of this machine that has ended is taken over; of another machine's nobody here can know.

    Args:
        path: of the file that is to be locked.
        seconds: how long to wait for another process.

    Returns:
        None if another process holds it.
    """
    from filelock import SoftFileLock, Timeout

    marker = SoftFileLock(f"{path}{ENDING}", thread_local=False)
    try:
        marker.acquire(timeout=seconds)
    except Timeout:
        return None
    return marker


def doubt_about(path: Path) -> str:
    """What whoever is refused has to know where a marker stands for a lock; else empty."""
    marker = Path(f"{path}{ENDING}")
    if not marker.exists():
        return ""
    return f"; this file system has no locks: if that process has ended, remove {marker}"
