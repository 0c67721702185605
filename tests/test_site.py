"""The site: built from nothing without a warning, searched from the disk, and as wide as a telephone and a desk."""

import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from as_typed import ROOT, environment

from cnnlit.__main__ import COMMANDS

pytestmark = pytest.mark.slow

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MOST_CPU_SECONDS = 300


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site's pages, of a copy of the pages in which nothing has been built."""
    copy = tmp_path_factory.mktemp("checkout")
    unbuilt = shutil.ignore_patterns("_build", "reference", "kept")
    shutil.copytree(ROOT / "docs", copy / "docs", ignore=unbuilt)
    shutil.copytree(ROOT / "docs" / "results" / "kept", copy / "docs" / "results" / "kept")
    for name in ("cnnlit", "conf", "benchmarks", "hydra_plugins", "pyproject.toml", "README.md", "CONTRIBUTING.md"):
        (copy / name).symlink_to(ROOT / name)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", "docs", "html"],
        cwd=copy, env=environment(), capture_output=True, text=True, timeout=1500,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (built.returncode, built.stderr) == (0, "")
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < MOST_CPU_SECONDS
    return copy / "html"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


def test_every_page_of_the_repository_and_every_command_is_there(site: Path) -> None:
    pages = {path.relative_to(site).with_suffix("").as_posix() for path in site.rglob("*.html")}
    written = [path for kind in ("md", "ipynb") for path in (ROOT / "docs").rglob(f"*.{kind}")]
    own = {path.relative_to(ROOT / "docs").with_suffix("").as_posix() for path in written}
    assert {page for page in own if not page.startswith(("_build", "reference/"))} <= pages
    assert {f"reference/command_{command}" for command in COMMANDS} <= pages


def test_the_reference_says_what_a_key_may_be_and_what_it_is(site: Path) -> None:
    text = re.sub(r"<[^>]+>", "", (site / "reference" / "group_model.html").read_text())
    assert re.search(r"model\.pooling\s*= subsample\s*max, average or subsample", text)
    python = (site / "reference" / "python.html").read_text()
    assert 'id="cnnlit.fit"' in python
    assert 'id="cnnlit.models.lenet5.LeNet5"' in python


@pytest.mark.parametrize("words", ["recipe.early_stopping_patience", "interrupted"])
def test_search_works_from_the_disk(site: Path, chromium: Any, words: str) -> None:
    tab = chromium.new_page()
    tab.goto(f"{(site / 'search.html').as_uri()}?q={words}")
    tab.wait_for_selector("#search-results li a", timeout=30_000)
    assert tab.locator("#search-results li a").count() >= 1
    tab.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_the_screen_or_complains(site: Path, chromium: Any, width: int) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 900}, offline=True)
    tab = context.new_page()
    complaints: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    wide = []
    for page in sorted(page for page in site.rglob("*.html") if "_static" not in page.parts):  # the theme's parts
        tab.goto(page.as_uri())
        if tab.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append(page.relative_to(site).as_posix())
    context.close()
    assert (wide, complaints) == ([], [])
