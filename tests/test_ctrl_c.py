"""Ctrl-C at any moment, from the first imports on: one line at most, and the exit code of a signal."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import as_typed
import pytest
from drawn_sevens import draw_seven

CPU_SECONDS = (0.2, 0.6, 1.2, 2.5, 4.0, 6.0)
"""Of a process before Ctrl-C is pressed; a busy machine does not shift them."""

LINES = [
    "train logger=none trainer=cpu",
    "train -m seed=0,1 logger=none trainer=cpu recipe.epochs=1",
    "evaluate run=run trainer=cpu",
    "predict run=run images=digit.png",
    "report runs=run",
    "describe model=vgg19",
    "doctor data=digits",
    "export model=lenet5 model.weights=MNIST format=safetensors to=exported",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("ctrl_c")
    words = ("recipe.epochs=1", "logger=none", "trainer=cpu", "hydra.run.dir=run")
    assert as_typed.cnnlit(folder, "train", *words).returncode == 0
    draw_seven(folder / "digit.png")
    return folder


def seconds_of(process: "subprocess.Popen[str]") -> float:
    """CPU time that a process has used, in seconds."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="CPU time of a process is read from /proc")
@pytest.mark.parametrize("seconds", CPU_SECONDS)
@pytest.mark.parametrize("line", LINES, ids=lambda line: line.split()[0] + ("_m" if "-m" in line else ""))
def test_ctrl_c_is_one_line_at_any_moment(folder: Path, line: str, seconds: float) -> None:
    command, *words = line.split()
    process = subprocess.Popen(
        [sys.executable, "-m", f"cnnlit.{command}", *words], cwd=folder, env=as_typed.environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    while process.poll() is None and seconds_of(process) < seconds:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=as_typed.TIMEOUT_SECONDS)
    assert "Traceback" not in said
    assert process.returncode in (0, 128 + signal.SIGINT, -signal.SIGINT)  # a shell shows 130 for both of these
    if process.returncode:
        told = [each for each in said.splitlines() if each.startswith("cnnlit: ")]
        assert len(told) <= 1, said
