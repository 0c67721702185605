"""How the site is built: `make docs`. Pages are plain Markdown that GitHub shows as well; this file binds them.

Sphinx, since the Python interface comes from docstrings, any broken reference can be an error, and its search works
from the disk; MyST, for Markdown and notebooks; the theme of the PyData projects, which readers know from NumPy and
pandas, and which is kept well. (The last release of MkDocs is of 2024, and its Material theme only gets repairs.)
"""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path[:0] = [str(ROOT), str(DOCS)]

import reference  # noqa: E402

from cnnlit import __version__  # noqa: E402
from cnnlit.__main__ import COMMANDS  # noqa: E402

project = "cnnlit"
author = "The cnnlit authors"
copyright = author  # noqa: A001  Sphinx's word for it
release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
language = "en"
highlight_language = "text"  # of blocks that do not say
default_role = "code"  # single backticks in docstrings
SHOWN = "|".join(module for modules in reference.PYTHON.values() for module in modules)
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", rf"(?!(?:{SHOWN})\.[A-Z]).*")]  # what stands elsewhere is named, not linked

myst_enable_extensions = ["attrs_inline", "deflist"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # the suite runs the notebooks

autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
copybutton_prompt_text = "$ "

html_theme = "pydata_sphinx_theme"
html_title = "cnnlit"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_search_summary = False  # it is fetched, which no browser allows from the disk
html_theme_options = {
    "logo": {"text": "cnnlit"},
    "github_url": "https://github.com/cnnlit/cnnlit",
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars: dict[str, list[str]] = {"index": [], "first_hour": [], "architecture": []}  # nothing is below them
html_context = {"default_mode": "auto"}

LECTURE = DOCS / "lecture" / "index.md"
"""It names the lecture's pages in the order of the slides."""

TREES: dict[str, dict[str, Sequence[str]]] = {
    "index": {"": ("first_hour", "lecture/index", "guides", "reference", "results", "architecture")},
    "lecture/index": {"": [f"lecture/{name}" for name in re.findall(r"\]\((\w+)\.md\)", LECTURE.read_text())]},
    "guides": {
        "Using it": ("runs", "configuration", "editors", "python"),
        "Notebooks": ("notebooks/first_steps", "notebooks/*"),
        "Networks": ("networks", "fidelity", "weights", "seeing", "web_page"),
        "Images": ("data", "photographs"),
        "Answers": ("ablations", "sweeps", "wandb"),
        "Scale": ("parallel", "interruptions", "scaling"),
        "Your own": ("own/project", "own/model", "own/data", "own/recipe", "own/callback"),
    },
    "reference": {
        "Commands": [f"reference/command_{command}" for command in COMMANDS],
        "Groups": ("reference/group_*", "reference/sweeps"),
        "Python": ("reference/python",),
    },
    "results": {
        "In short": ("measured", "claims", "counts", "starts", "performance"),
        "Experiment by experiment": ("results/*", "results/kept/README"),
    },
}
"""The pages below each page, by caption. They stand here, for GitHub would show a `toctree` as code."""


def add_trees(_: Sphinx, page: str, source: list[str]) -> None:
    """Append the pages below a page to its text, unless it says so itself."""
    if page in TREES and "{toctree}" not in source[0]:
        found = [path.relative_to(DOCS).with_suffix("") for path in sorted(DOCS.rglob("*.*"))]
        for caption, names in TREES[page].items():
            there = [f"/{each}" for each in names if any(path.match(each) for path in found)]
            options = [":hidden:", ":glob:", *([f":caption: {caption}"] if caption else [])]
            source[0] += "\n".join(["\n\n```{toctree}", *options, "", *there, "```\n"])


def link_to_repository(_: Sphinx, page: str, source: list[str]) -> None:
    """Let relative links that leave docs/, as GitHub follows them, lead to the repository."""
    folder = (DOCS / page).parent

    def absolute(link: re.Match[str]) -> str:
        path, hash_mark, anchor = link[1].partition("#")
        place = Path(os.path.normpath(folder / path))
        if place.is_relative_to(DOCS) or not place.is_relative_to(ROOT):
            return link[0]
        kind = "tree" if place.is_dir() else "blob"
        there = place.relative_to(ROOT).as_posix()
        return f"](https://github.com/cnnlit/cnnlit/{kind}/main/{there}{hash_mark}{anchor})"

    source[0] = re.sub(r"\]\((\.\./[^)\s]+)\)", absolute, source[0])


def forget_field_numbers(_: Sphinx, kind: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Of a field that has no docstring, do not show Python's: `Alias for field number 0`."""
    if lines and lines[0].startswith("Alias for field number"):
        lines.clear()


def setup(app: Sphinx) -> None:
    """Sphinx's hook."""
    reference.write(DOCS / "reference")
    app.connect("source-read", add_trees)
    app.connect("source-read", link_to_repository)
    app.connect("autodoc-process-docstring", forget_field_numbers)
