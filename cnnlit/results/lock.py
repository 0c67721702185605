"""Who is at work on a run: a lock on a file in its folder, which the system gives back when its holder dies."""

import fcntl
import time
from pathlib import Path
from typing import IO

NAME = ".lock"
ATTEMPTS, PAUSE_SECONDS = 10, 0.1
"""A reader that asks who is at work holds the lock itself for a moment."""


class Lock:
    """A run's lock, held from `take` until `give_back` or the end of the process, however that comes.

    The lock belongs to the process alone, not to the workers that it starts. On file systems without locks, it is
    never refused.

    Args:
        folder: the run's.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._file: IO[bytes] | None = None

    def take(self) -> bool:
        """Whether the lock is ours now, and not another process's."""
        self._file = self.path.open("ab")
        for _ in range(ATTEMPTS):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                time.sleep(PAUSE_SECONDS)
            except OSError:  # there are none here
                return True
            else:
                return True
        self.give_back()
        return False

    def give_back(self) -> None:
        """Let others have it."""
        if self._file is not None:
            self._file.close()
            self._file = None


def held(folder: Path) -> bool | None:
    """Whether another process holds the lock of a run, here or on another machine; None where there is no telling.

    Not to be asked by the process that holds it, which would lose it.
    """
    try:
        with (folder / NAME).open("rb") as file:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    except OSError:  # no such file, as of a run before there were locks; or no locks
        return None
    return False
