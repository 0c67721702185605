"""The folder of a run: claimed once, truthful about how the run ended, never half-written."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from cnnlit.files import write_whole
from cnnlit.runs.folder import Run
from cnnlit.runs.metrics_file import MetricsFile
from cnnlit.runs.reading import read, read_config, read_metrics

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
CONFIG = {"seed": 3, "model": {"pooling": "max", "dropout": 0.5}, "resume": None}


def started(folder):
    run = Run(folder)
    run.open(CONFIG, device=CPU, writes=True, resume=False)
    return run


def test_a_new_run_records_how_it_is_made(tmp_path):
    started(tmp_path / "run")
    record = read(tmp_path / "run")
    assert record["state"] == "running"
    assert record["seed"] == 3
    assert record["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert record["device"].startswith("cpu: ")
    assert record["seconds"] >= 0
    assert {"commit", "command", "started", "id"} <= set(record)
    assert read_config(tmp_path / "run") == CONFIG


def test_a_run_that_ends_without_an_error_is_finished(tmp_path):
    with started(tmp_path) as run:
        run.finish({"test/error": 0.01})
    assert read(tmp_path)["state"] == "finished"
    assert json.loads((tmp_path / "test.json").read_text()) == {"test/error": 0.01}


@pytest.mark.parametrize(
    ("error", "state"),
    [(RuntimeError("out of luck"), "failed"), (KeyboardInterrupt(), "interrupted"), (SystemExit(143), "interrupted")],
)
def test_a_run_that_ends_with_an_error_records_it(tmp_path, error, state):
    with pytest.raises(type(error)), started(tmp_path):
        raise error
    record = read(tmp_path)
    assert record["state"] == state
    assert record.get("error") == ("RuntimeError: out of luck" if state == "failed" else None)


def test_a_run_whose_process_is_gone_is_interrupted(tmp_path):
    started(tmp_path)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    record = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**record, "pid": gone.pid}))
    assert read(tmp_path)["state"] == "interrupted"
    (tmp_path / "run.json").write_text(json.dumps({**record, "pid": gone.pid, "host": "elsewhere"}))
    assert read(tmp_path)["state"] == "interrupted", "nobody holds its lock"
    (tmp_path / ".lock").unlink()
    assert read(tmp_path)["state"] == "running", "without a lock nothing is known about a run on another machine"


HOLDS = """
import pathlib, sys
from cnnlit.files import Lock
lock = Lock(pathlib.Path(sys.argv[1]))
lock.take()
input()
"""


def test_a_run_that_another_process_holds_is_running_and_cannot_be_resumed(tmp_path):
    with pytest.raises(KeyboardInterrupt), started(tmp_path):
        raise KeyboardInterrupt
    record = {**json.loads((tmp_path / "run.json").read_text()), "state": "running", "pid": 1, "host": "elsewhere"}
    (tmp_path / "run.json").write_text(json.dumps(record))
    assert read(tmp_path)["state"] == "interrupted"
    other = subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path)], stdin=subprocess.PIPE, cwd=ROOT)
    until = time.monotonic() + 60
    while read(tmp_path)["state"] == "interrupted" and time.monotonic() < until:
        time.sleep(0.05)
    assert read(tmp_path)["state"] == "running"
    with pytest.raises(ValueError, match="process 1 on elsewhere is at work on this run"):
        Run(tmp_path).open(CONFIG, device=CPU, writes=True, resume=True)
    other.kill()
    other.wait()
    Run(tmp_path).open(CONFIG, device=CPU, writes=True, resume=True)
    assert read(tmp_path)["pid"] == os.getpid()


def test_a_folder_is_claimed_only_once(tmp_path):
    started(tmp_path)
    before = (tmp_path / "run.json").read_text()
    with pytest.raises(FileExistsError, match=f"resume={tmp_path}"):
        started(tmp_path)
    assert (tmp_path / "run.json").read_text() == before


def test_resuming_keeps_the_record_and_adds_up_the_seconds(tmp_path):
    run = started(tmp_path)
    with pytest.raises(KeyboardInterrupt), run:
        raise KeyboardInterrupt
    before = read(tmp_path)
    record = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**record, "seconds": 100.0}))
    again = Run(tmp_path)
    again.open(CONFIG, device=CPU, writes=True, resume=True)
    after = read(tmp_path)
    assert after["state"] == "running"
    assert after["seconds"] >= 100
    assert all(after[key] == before[key] for key in ("id", "started", "commit", "command"))


def test_a_finished_run_cannot_be_resumed(tmp_path):
    with started(tmp_path):
        pass
    with pytest.raises(ValueError, match="finished"):
        Run(tmp_path).open(CONFIG, device=CPU, writes=True, resume=True)


def test_a_process_that_does_not_write_leaves_the_folder_alone(tmp_path):
    run = Run(tmp_path / "run")
    run.open(CONFIG, device=CPU, writes=False, resume=False)
    with run:
        run.finish({"test/error": 0.5})
    assert not (tmp_path / "run").exists()


def test_a_file_is_whole_or_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    write_whole(path, "old")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "new and longer")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.json"]


def test_metrics_are_one_row_per_epoch(tmp_path):
    table = MetricsFile(tmp_path)
    table.log_metrics({"val/error": 0.5, "epoch": 0}, step=9)
    table.log_metrics({"train/error": 0.6, "epoch": 0}, step=9)
    table.log_metrics({"val/error": 0.25, "epoch": 1}, step=19)
    rows = read_metrics(tmp_path)
    assert [(row["epoch"], row["step"], row["val/error"], row["train/error"]) for row in rows] == [
        ("0", "9", "0.5", "0.6"),
        ("1", "19", "0.25", ""),
    ]


def test_a_resumed_run_replaces_the_rows_after_its_checkpoint(tmp_path):
    table = MetricsFile(tmp_path)
    for step in (9, 19, 29):
        table.log_metrics({"val/error": 0.5}, step=step)
    MetricsFile(tmp_path).log_metrics({"val/error": 0.1}, step=19)
    assert [(row["step"], row["val/error"]) for row in read_metrics(tmp_path)] == [("9", "0.5"), ("19", "0.1")]


def test_the_record_names_this_machine(tmp_path):
    started(tmp_path)
    assert read(tmp_path)["host"] == socket.gethostname()
    assert read(tmp_path)["pid"] == os.getpid()
