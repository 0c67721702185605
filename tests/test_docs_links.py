"""Links of every page lead somewhere, and every page that code or configuration names is there; nothing is built."""

import re
from pathlib import Path

import markdown_pages as markdown
import pytest
from as_typed import ROOT

HERE = re.compile(
    r"https://(?:github\.com/cnnlit/cnnlit/(?:blob|tree)/main|raw\.githubusercontent\.com/cnnlit/cnnlit/main)/"
)
"""Addresses of files of this repository."""


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere; those to other hosts are not followed."""
    return [link for link in markdown.links(page) if not leads_somewhere(link, page)]


def leads_somewhere(link: str, page: Path) -> bool:
    path, _, anchor = link.partition("#")
    if HERE.match(path):
        place = ROOT / HERE.sub("", path)
    elif re.match(r"[a-z]+:", path):
        return True
    else:
        place = (page.parent / path) if path else page
    if not place.exists():
        return False
    return not anchor or anchor in markdown.anchors(place)


@pytest.mark.parametrize("page", markdown.pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken(page) == []


@pytest.mark.parametrize(
    ("link", "leads"),
    [
        ("other.md", True),
        ("other.md#two-words", True),
        ("#here", True),
        ("https://github.com/cnnlit/cnnlit/blob/main/README.md", True),
        ("https://example.org/any", True),
        ("gone.md", False),
        ("other.md#three-words", False),
        ("#nowhere", False),
        ("https://github.com/cnnlit/cnnlit/blob/main/gone.md", False),
    ],
)
def test_a_broken_link_is_found(tmp_path: Path, link: str, leads: bool) -> None:
    (tmp_path / "other.md").write_text("# Two words\n")
    page = tmp_path / "page.md"
    page.write_text(f"# Here\n\n[a link]({link})\n")
    assert broken(page) == ([] if leads else [link])


def test_every_page_that_code_and_configuration_name_is_there() -> None:
    files = [path for folder in ("cnnlit", "conf", "sweeps") for path in (ROOT / folder).rglob("*.*")]
    named = {
        (found, path.name)
        for path in [*files, ROOT / "CHANGELOG.md"]
        if path.suffix in {".py", ".yaml", ".md"}
        for found in re.findall(r"\bdocs/[\w/]+\.(?:md|ipynb|py)\b", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 20
    assert [(found, name) for found, name in sorted(named) if not (ROOT / found).is_file()] == []
