"""The Python of README.md and docs/python.md runs, block by block, in the order of the page."""

import subprocess
import sys
from pathlib import Path

import markdown_pages as markdown
import pytest
from as_typed import ROOT, environment
from test_first_hour import draw_seven

A_RUN = "runs/2026-01-31/12-00-00-0123abcd"
"""The run that docs/python.md loads; here it is made first, in small."""

PREFACE = """
import cnnlit
cnnlit.fit("recipe.epochs=1", "data.passes_per_epoch=1", "logger=none", folder={run!r})
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["README.md", "docs/python.md"])
def test_every_block_of_python_runs(name: str, tmp_path: Path) -> None:
    code = [block.text for block in markdown.blocks(ROOT / name) if block.kind == "python"]
    assert code
    draw_seven(tmp_path / "photo.jpg")
    script = tmp_path / "page.py"
    script.write_text("\n".join([PREFACE.format(run=A_RUN), *code]))
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=environment(WANDB_MODE="disabled"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
