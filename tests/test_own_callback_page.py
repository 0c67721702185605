"""docs/own/callback.md, block by block, from a folder outside the repository."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cnnlit.runs.reading import read_metrics

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "own" / "callback.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_every_block_of_the_page_does_what_is_said(tmp_path):
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("WANDB", "CNNLIT", "HYDRA"))}
    for kind, block in BLOCKS:
        if kind != "sh":
            file = tmp_path / block.splitlines()[0].removeprefix("# ")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block)
            continue
        for line in block.replace("\\\n", " ").splitlines():
            outcome = subprocess.run(
                [sys.executable, *shlex.split(line)[1:]],
                cwd=tmp_path, env={**clean, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}, capture_output=True,
                text=True, timeout=240,
            )  # fmt: skip
            assert outcome.returncode == 0, f"{line}\n{outcome.stderr}"
    assert [row["steps"] for row in read_metrics(tmp_path / "with_norm")] == ["20.0", "40.0"]
    assert {"norm", "lr-AdamW"} - {"lr-AdamW"} <= read_metrics(tmp_path / "from_file")[0].keys()
    assert "tested" in json.loads((tmp_path / "best" / "run.json").read_text())
    assert (tmp_path / "longer" / "test_after_2_epochs.json").is_file()
    assert list((tmp_path / "profiled").glob("fit-profile*.txt"))
