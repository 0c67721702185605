"""Every command that a page shows is composed and checked as the command would, and nothing is trained."""

import functools
import importlib
import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import markdown_pages as markdown
import pytest
from as_typed import ROOT
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from cnnlit import config
from cnnlit.__main__ import COMMANDS
from cnnlit.config.compose import conf_dir
from cnnlit.config.hydra_internals import parts_and_others, searching
from cnnlit.config.typed_words import as_hydra_reads, refuse_misread

PAGES = [page for page in markdown.pages() if page.suffix == ".md"]
TYPED = ROOT / "docs" / "own"
"""Pages whose commands tests/test_own_pages.py types."""

SHELL = ("sh", "console", "indented")
"""Kinds of blocks in which commands stand."""

FILLED_IN = "filled_in"
ASKING = ("--help", "--config", "--version")
WITHOUT_KEYS = ("new",)


@pytest.fixture(scope="module", autouse=True)
def hydra_started_once() -> Iterator[None]:
    with searching(conf_dir(), None):
        yield


def typed(page: Path) -> Iterator[str]:
    """The command lines of a page, in blocks and within sentences."""
    for block in markdown.blocks(page):
        if block.kind in SHELL:
            yield from (line.strip() for line in block.text.replace("\\\n", " ").splitlines() if "python -m " in line)
    yield from (code for code in markdown.inline_code(page) if code.startswith("python -m "))


def words_of(line: str) -> list[str]:
    """The words after `python -m`; what a reader fills in, in angle brackets or X, is one word."""
    filled = re.sub(r"<\w[^<>]*>|\bX\b", FILLED_IN, line[line.index("python -m ") :])
    return shlex.split(filled, comments=True)[2:]


def refuse(words: list[str]) -> None:
    """Raise what the command would refuse a line with, as far as that can be told without running it."""
    module, *rest = words
    command = module.removeprefix("cnnlit").removeprefix(".")
    if command not in COMMANDS:
        if importlib.util.find_spec(module) is None:
            raise ValueError(f"{module}: no such module")
    elif command not in WITHOUT_KEYS:
        composed(command, tuple(word for word in rest if word not in ("-m", *ASKING)), asks=bool({*ASKING} & {*rest}))


@functools.cache
def composed(command: str, rest: tuple[str, ...], *, asks: bool) -> None:
    words = as_hydra_reads(rest)
    if asks:  # a part of the configuration may stand alone
        words = parts_and_others(words)[1]
    refuse_misread(words, command)
    function = getattr(importlib.import_module(f"cnnlit.{command}"), command)
    overrides = OverridesParser.create().parse_overrides(words)
    config.compose_again(function, [first_of(each) for each in overrides], by_source=True)


def first_of(override: Override) -> str:
    """An override, of several values the first."""
    if not override.is_sweep_override():
        return str(override.input_line)
    if not override.is_discrete_sweep():
        return f"{override.get_key_element()}=1"
    return f"{override.get_key_element()}={next(iter(override.sweep_string_iterator()))}"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.parent != TYPED], ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_every_command_of_a_page_is_accepted(page: Path) -> None:
    for line in typed(page):
        if "…" in line or "..." in line:  # the rest is said elsewhere
            continue
        try:
            refuse(words_of(line))
        except Exception as error:
            if f"={FILLED_IN}: no such choice" in str(error):
                continue
            raise AssertionError(f"{page.name}: {line}\n{error}") from error


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("python -m cnnlit.train model.poling=max", "no such option"),
        ("python -m cnnlit.train -m model.pooling=maxx,average", "did you mean max"),
        ("python -m cnnlit.train experiment=polling", "no such choice"),
        ("python -m cnnlit.report runs=<sweep> fromat=html", "no such option"),
        ("python -m cnnlit.trian", "no such module"),
        ("python -m cnnlit.train lenet5", "neither key=value"),
    ],
)
def test_a_wrong_command_is_found(line: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        refuse(words_of(line))


def test_every_target_of_make_that_a_page_names_is_there() -> None:
    targets = set(re.findall(r"^([\w./-]+(?: [\w-]+)*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    known = {name for names in targets for name in names.split()}
    code = [block.text for page in PAGES for block in markdown.blocks(page) if block.kind in SHELL]
    code += [text for page in PAGES for text in markdown.inline_code(page)]
    named = {name for text in code for name in re.findall(r"^(?:PYTHON=\S+ )?make ([a-z-]+)", text, re.MULTILINE)}
    assert {"test", "train"} <= named
    assert named <= known
