"""Processes that need not be this one's children: whether they have ended, and how; on Linux alone."""

import os
import select
import struct
from contextlib import suppress
from pathlib import Path

EXIT_CODE, STATE = 49, 0
"""Columns of /proc/<pid>/stat, counted from the one after the name; see proc_pid_stat(5)."""
GET_INFO = 0xC040FF0B
"""What Linux's pidfd.h calls PIDFD_GET_INFO, for the 64 bytes of its first version."""
INFO_EXIT = 1 << 3


class Other:
    """Another process of this machine, which is told from later ones of its number.

    Args:
        pid: its number in this process's own namespace.

    Raises:
        OSError: if there is no such process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.descriptor = os.pidfd_open(pid)
        """Readable once the process has ended."""

    def has_ended(self) -> bool:
        """Whether it has."""
        return bool(select.select([self.descriptor], [], [], 0)[0])

    def exit_code(self) -> int | None:
        """How it ended, as subprocess counts: a signal is negative. None if that can no longer be known.

        Until its parent asks for it, /proc says so; later Linux does, since version 6.15.
        """
        status = self._of_zombie()
        if status is None:
            status = self._of_reaped()
        return None if status is None else os.waitstatus_to_exitcode(status)

    def _of_zombie(self) -> int | None:
        with suppress(OSError, IndexError):
            columns = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            if columns[STATE] in "ZX":
                return int(columns[EXIT_CODE])
        return None

    def _of_reaped(self) -> int | None:
        info = bytearray(struct.pack("=Q56x", INFO_EXIT))
        with suppress(OSError, ImportError):
            from fcntl import ioctl

            ioctl(self.descriptor, GET_INFO, info)
            known, status = struct.unpack("=Q52xi", info)
            if known & INFO_EXIT:
                return int(status)
        return None
