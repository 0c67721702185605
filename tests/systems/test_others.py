"""How a process ended is known before its parent has asked, and on later Linux also after."""

import os
import platform
import signal
import subprocess
import sys
import time

import pytest

from cnnlit.systems.others import Other

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux's alone")

TELLS_AFTERWARDS = tuple(int(part) for part in platform.release().split(".")[:2] if part.isdecimal()) >= (6, 15)


@pytest.mark.parametrize(("deed", "code"), [("os.kill(os.getpid(), 9)", -signal.SIGKILL), ("os._exit(3)", 3)])
@pytest.mark.parametrize("asked", [False, True])
def test_how_another_process_ended(deed: str, code: int, asked: bool) -> None:
    process = subprocess.Popen([sys.executable, "-c", f"import os; input(); {deed}"], stdin=subprocess.PIPE)
    other = Other(process.pid)
    assert not other.has_ended()
    assert process.stdin
    process.stdin.write(b"\n")
    process.stdin.flush()
    until = time.monotonic() + 20
    while not other.has_ended():
        assert time.monotonic() < until
        time.sleep(0.01)
    if asked:
        process.wait()
    assert other.exit_code() == (code if TELLS_AFTERWARDS or not asked else None)
    process.wait()


def test_a_process_that_is_not_there() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    with pytest.raises(ProcessLookupError):
        Other(process.pid)
