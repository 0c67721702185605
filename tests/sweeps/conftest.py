"""A sweep through Hydra, in this process, with a script in place of the training."""

import sys
from pathlib import Path

import pytest

from cnnlit.sweeps import launcher, other_launchers
from cnnlit.train import main

ROOT = Path(__file__).parents[2]

STUB = """
import json, os, signal, sys, time
from pathlib import Path
from cnnlit.files import write_json

arguments = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
folder = Path(arguments["hydra.run.dir"])
if arguments.get("seed") == "13":
    print("cnnlit: an unlucky number", file=sys.stderr)
    sys.exit(2)
if arguments.get("seed") == "17":
    os.kill(os.getppid(), signal.SIGINT)
    time.sleep(60)
record = {"state": "finished", "seconds": 1.0, "host": "here", "pid": 1, "arguments": sys.argv[1:]}
write_json(folder / "test.json", {"test/error": 0.25})
write_json(folder / "run.json", {**record, "val/error": float(arguments.get("model.dropout", 0.5))})
"""


@pytest.fixture
def sweep(tmp_path, monkeypatch, capfd):
    """Runs a sweep of the script; returns its exit code, stdout and stderr. Seed 13 fails, seed 17 presses Ctrl-C."""
    (tmp_path / "stub.py").write_text(STUB)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for module in (launcher, other_launchers):
        monkeypatch.setattr(module, "job_command", lambda *_: [sys.executable, str(tmp_path / "stub.py")])
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["train.py", "-m", *words])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code
        return code, *capfd.readouterr()

    return run
