"""The project's Markdown, as its readers have it: pages, their blocks, links and headings."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from as_typed import ROOT
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.anchors import anchors_plugin

MARKDOWN = MarkdownIt("commonmark").enable("table").use(anchors_plugin, max_level=6)
LINKED = ("link_open", "image")
GENERATED = (ROOT / "docs" / "reference", ROOT / "docs" / "_build")


class Block(NamedTuple):
    """A block of code.

    Attributes:
        kind: `sh`, `python` and so on; empty for a fence that does not say, `indented` for a block without one.
        text: without fences.
    """

    kind: str
    text: str


def pages() -> list[Path]:
    """All pages that people read on GitHub; notebooks too, but not what is built."""
    found = [*ROOT.glob("*.md"), *(ROOT / "benchmarks").glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    found += (ROOT / "docs").rglob("*.ipynb")
    return sorted(path for path in found if not any(path.is_relative_to(folder) for folder in GENERATED))


def text_of(page: Path) -> str:
    """A page's Markdown; of a notebook, that of its Markdown cells."""
    text = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def tokens(page: Path) -> Iterator[Token]:
    """The tokens of a page, those within lines included."""
    for token in MARKDOWN.parse(text_of(page)):
        yield token
        yield from token.children or ()


def blocks(page: Path) -> list[Block]:
    """The blocks of code of a page."""
    return [
        Block(token.info.strip() if token.type == "fence" else "indented", token.content)
        for token in tokens(page)
        if token.type in ("fence", "code_block")
    ]


def inline_code(page: Path) -> list[str]:
    """What stands in single backticks."""
    return [token.content for token in tokens(page) if token.type == "code_inline"]


def links(page: Path) -> list[str]:
    """Where the links and pictures of a page lead."""
    return [str(token.attrs.get("href") or token.attrs.get("src")) for token in tokens(page) if token.type in LINKED]


def anchors(page: Path) -> set[str]:
    """The names of a page's headings in links, as GitHub makes them."""
    return {str(token.attrs["id"]) for token in tokens(page) if token.type == "heading_open"}
