"""docs/own/*.md, block by block, from a folder outside the repository."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cnnlit.runs.reading import read_metrics

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs" / "own").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def do(kind: str, block: str, folder: Path) -> None:
    """Write the file that a block is, or run its lines."""
    if kind != "sh":
        file = folder / block.splitlines()[0].removeprefix("# ")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block)
        return
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("WANDB", "CNNLIT", "HYDRA"))}
    environment = {**clean, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"}
    for line in block.replace("\\\n", " ").splitlines():
        outcome = subprocess.run(
            [sys.executable, *shlex.split(line, comments=True)[1:]],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=240,
        )  # fmt: skip
        assert outcome.returncode == 0, f"{line}\n{outcome.stderr}"


def callbacks(folder: Path) -> None:
    assert [row["steps"] for row in read_metrics(folder / "with_norm")] == ["20.0", "40.0"]
    assert "norm" in read_metrics(folder / "from_file")[0]
    assert "tested" in json.loads((folder / "best" / "run.json").read_text())
    assert (folder / "longer" / "test_after_2_epochs.json").is_file()
    assert list((folder / "profiled").glob("fit-profile*.txt"))


LEFT: dict[str, Callable[[Path], None]] = {"callback": callbacks}
"""What a page's commands have to leave, beside ending well."""


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_the_page_does_what_is_said(page: Path, tmp_path: Path) -> None:
    blocks = BLOCK.findall(page.read_text())
    assert any(kind == "sh" for kind, _ in blocks)
    for kind, block in blocks:
        do(kind, block, tmp_path)
    LEFT.get(page.stem, lambda folder: None)(tmp_path)


def test_every_file_of_the_pages_says_its_name_and_every_command_is_ours() -> None:
    for page in PAGES:
        for kind, block in BLOCK.findall(page.read_text()):
            first = block.splitlines()[0]
            if kind == "sh":
                assert first.startswith(("python -m cnnlit", "python -m pytest", "#")), f"{page.name}: {first}"
            else:
                assert re.fullmatch(r"# [\w/.]+\.(py|yaml|toml)", first), f"{page.name}: {first}"
