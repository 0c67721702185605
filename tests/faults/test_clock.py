"""A clock that is set while a run goes on: nothing waits by it, and nothing is measured by it."""

import os
from pathlib import Path

import pytest
from training import ROOT, SHORT, TWO, assert_same_end, run

from cnnlit.runs.reading import read

pytestmark = pytest.mark.slow

JUMPS = """
import itertools, time
real, jumps = time.time, itertools.cycle([0, -3600, 0, 86400])
state = {"calls": 0, "offset": 0}
def told():
    state["calls"] += 1
    if state["calls"] % 20 == 0:
        state["offset"] = next(jumps)
    return real() + state["offset"]
time.time = told
"""
"""Backwards by an hour, forwards by a day, and back."""


def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, whole_of_two: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(JUMPS)
    folder = tmp_path / "run"
    path = f"{ROOT}{os.pathsep}{tmp_path}"
    words = (*SHORT, *TWO, "checkpoint_minutes=0.01", f"hydra.run.dir={folder}")
    outcome = run(tmp_path, *words, PYTHONPATH=path)
    assert outcome.returncode == 0, outcome.stderr
    assert_same_end(folder, whole_of_two)
    assert 0 < read(folder)["seconds"] < 3600
