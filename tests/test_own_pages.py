"""docs/own/*.md and docs/first_hour.md, block by block, from a folder outside the repository."""

import json
import re
import shlex
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path

import pytest
from as_typed import ROOT, python
from test_first_hour import draw_seven

from cnnlit.runs.reading import read_metrics

PAGES = [*sorted((ROOT / "docs" / "own").glob("*.md")), ROOT / "docs" / "first_hour.md"]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PRINTED = "text"
"""The kind of block that shows what the commands before it print."""
INSTALLING = "console"
"""The kind of block that is typed before anything else is; tests/test_first_hour.py does so."""


class Reader:
    """Does what a page says: writes its files, types its commands, and compares what they print.

    A line `cd <folder>` holds for the rest of the page. In what is printed, `...` stands for anything within a line.

    Args:
        folder: to begin in.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed = ""

    def do(self, kind: str, block: str) -> None:
        if kind == PRINTED:
            assert_printed(block, self.printed)
        elif kind == INSTALLING:
            return
        elif kind == "sh":
            self.printed = "".join(map(self._typed, commands(block)))
        else:
            file = self.folder / block.splitlines()[0].removeprefix("# ")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block)

    def _typed(self, words: list[str]) -> str:
        if words[0] == "cd":
            self.folder /= words[1]
            return ""
        assert words[:2] == ["python", "-m"], words
        outcome = python(self.folder, *words[2:])
        assert outcome.returncode == 0, f"{shlex.join(words)}\n{outcome.stderr}"
        return outcome.stderr + outcome.stdout  # how training goes is told on stderr, results on stdout


def commands(block: str) -> list[list[str]]:
    """The words of each command, without comments and blank lines."""
    lines = block.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def assert_printed(expected: str, printed: str) -> None:
    """Each line of what a page shows was printed, in this order."""
    lines = iter(printed.splitlines())
    for line in filter(str.strip, expected.splitlines()):
        pattern = re.compile(".*".join(map(re.escape, line.split("..."))))
        assert any(pattern.fullmatch(each) for each in lines), f"not printed, or not there: {line}\n{printed}"


def callbacks(folder: Path) -> None:
    assert [row["steps"] for row in read_metrics(folder / "with_norm")] == ["20.0", "40.0"]
    assert "norm" in read_metrics(folder / "from_file")[0]
    assert "tested" in json.loads((folder / "best" / "run.json").read_text())
    assert (folder / "longer" / "test_after_2_epochs.json").is_file()
    assert list((folder / "profiled").glob("fit-profile*.txt"))


def recipes(folder: Path) -> None:
    rates = [float(row["learning_rate"]) for row in read_metrics(folder / "own")]
    assert rates == pytest.approx([0.001, 0.0005], rel=0.6)
    assert all("val/kappa" in row for row in read_metrics(folder / "kappa"))
    assert "tested" in json.loads((folder / "best" / "run.json").read_text())


def models(folder: Path) -> None:
    assert "plain" in (folder / "named" / "config.yaml").read_text().lower()
    assert list((folder / "named" / "exports").rglob("*.pt2"))


def projects(folder: Path) -> None:
    project = folder / "my_project"
    assert [row["epoch"] for row in read_metrics(project / "first")] == ["0", "1", "2"]
    assert json.loads((project / "two" / "run.json").read_text())["exchanged_bytes_per_step"]["gradients"] > 0
    assert list((project / "first" / "evaluations").glob("*val.json"))
    assert list((project / "first" / "exports").rglob("*.safetensors"))
    jobs = json.loads((project / "sweep" / "jobs.json").read_text())["jobs"]
    assert [job["state"] for job in jobs] == ["finished"] * 4


def first_hour(folder: Path) -> None:
    assert (folder / "predictions.png").is_file()
    assert (folder / "page" / "network.html").is_file()
    assert list((folder / "multirun").rglob("report.html"))


LEFT: dict[str, Callable[[Path], None]] = {
    "callback": callbacks,
    "first_hour": first_hour,
    "model": models,
    "project": projects,
    "recipe": recipes,
}
"""What a page's commands have to leave, beside ending well."""


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_the_page_does_what_is_said(page: Path, tmp_path: Path) -> None:
    blocks = BLOCK.findall(page.read_text())
    assert any(kind == "sh" for kind, _ in blocks)
    reader = Reader(tmp_path)
    draw_seven(tmp_path / "digit.png")
    for kind, block in blocks:
        reader.do(kind, block)
    LEFT.get(page.stem, lambda folder: None)(tmp_path)


@pytest.mark.slow
def test_the_first_model_of_its_page_trains_and_prints_what_is_shown(tmp_path: Path) -> None:
    blocks = BLOCK.findall((ROOT / "docs" / "own" / "model.md").read_text())
    first = [*takewhile(lambda each: each[0] != PRINTED, blocks), next(each for each in blocks if each[0] == PRINTED)]
    reader = Reader(tmp_path)
    for kind, block in first:
        reader.do(kind, block)


def test_what_was_not_printed_is_missed() -> None:
    assert_printed(
        "epoch 1/1 ...\n\ntest error: ... of 360 images\n", "epoch 1/1  loss 2\ntest error: 9 of 360 images\n"
    )
    for expected in ("test error: ...", "epoch 1/2 ...", "test error: 9\nepoch 1/1 ..."):
        with pytest.raises(AssertionError, match="not printed"):
            assert_printed(expected, "epoch 1/1  loss 2\nno test error: 9\n")


def test_comments_and_blank_lines_are_no_commands() -> None:
    block = "# first\npython -m cnnlit.train \\\n  seed=1\n\npython -m cnnlit.report  # then\n"
    assert commands(block) == [["python", "-m", "cnnlit.train", "seed=1"], ["python", "-m", "cnnlit.report"]]


def test_every_file_of_the_pages_says_its_name_and_every_command_is_ours() -> None:
    for page in PAGES:
        for kind, block in BLOCK.findall(page.read_text()):
            if kind == "sh":
                for words in commands(block):
                    typed = " ".join(words)
                    assert typed.startswith(("python -m cnnlit", "python -m pytest", "cd ")), f"{page.name}: {typed}"
            elif kind not in (PRINTED, INSTALLING):
                first = block.splitlines()[0]
                assert re.fullmatch(r"# [\w/.]+\.(py|yaml|toml)", first), f"{page.name}: {first}"
