"""python docs/reference.py FOLDER: write the reference, every command and every key, from conf/ and the signatures.

`docs/conf.py` does so whenever the site is built; the pages are not kept.
"""

import argparse
import importlib
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import cnnlit
from cnnlit.__main__ import COMMANDS, summary
from cnnlit.config.compose import conf_dir
from cnnlit.config.help import Explained, Page
from cnnlit.config.hydra_internals import Composition
from cnnlit.config.provenance import DIRECTIVES, file_of, headline

WITHOUT_CONFIGURATION = ("new",)
"""Commands that take words in place of keys."""

SWEEPS = ("hydra/launcher/processes", "hydra/sweeper/optuna")
"""Files of ours in Hydra's own groups, whose keys no page of help lists."""

PAGE = re.compile(r"docs/([\w/\\]+)\.md")

PYTHON = {
    "What programs call": ("cnnlit", "cnnlit.experiment.trained_network", "cnnlit.experiment.configuration"),
    "Networks": (
        *(f"cnnlit.models.{name}" for name in ("lenet5", "compact", "alexnet", "zfnet", "vgg", "googlenet", "resnet")),
        "cnnlit.models.layers",
    ),
    "Training": (
        *(f"cnnlit.training.{name}" for name in ("module", "recipe", "losses", "optimizers", "schedules", "mixing")),
    ),
    "Images": (
        "cnnlit.data.datamodule",
        "cnnlit.data.images",
        "cnnlit.data.transforms.geometry",
        "cnnlit.data.transforms.colours",
    ),
}
"""Modules whose docstrings are shown: heading -> dotted names."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python docs/reference.py", description=__doc__.partition(": ")[2])
    parser.add_argument("folder", type=Path, help="where the pages are written")
    write(parser.parse_args().folder)


def write(folder: Path) -> None:
    """Write the pages, unless those in the folder are younger than all that they are made of.

    Args:
        folder: is made if it is not there; other Markdown files in it are removed.
    """
    if _is_fresh(folder):
        return
    folder.mkdir(parents=True, exist_ok=True)
    pages = {name: "\n".join(lines) + "\n" for name, lines in _pages()}
    for stale in {path.stem for path in folder.glob("*.md")} - pages.keys():
        (folder / f"{stale}.md").unlink()
    for name, text in pages.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


def _is_fresh(folder: Path) -> bool:
    """Whether nothing that the pages are made of is younger than they are."""
    made_of = [Path(__file__), *conf_dir().rglob("*.yaml"), *Path(cnnlit.__file__).parent.rglob("*.py")]
    written = min((path.stat().st_mtime for path in folder.glob("*.md")), default=0.0)
    return all(path.stat().st_mtime < written for path in made_of)


def _pages() -> Iterator[tuple[str, list[str]]]:
    for command in COMMANDS:
        lines = _words(command) if command in WITHOUT_CONFIGURATION else _command(command)
        yield f"command_{command}", list(lines)
    for group in Composition("train", conf_dir(), []).choices:
        name = _page_of(group)
        yield name, list(_experiments() if group == "experiment" else _group(group))
    yield "sweeps", list(_sweeps())
    yield "python", list(_python())


def _page_of(group: str) -> str:
    return f"group_{group.replace('/', '_')}"


def _words(command: str) -> Iterator[str]:
    """A command that takes words: what its own --help prints."""
    printed = subprocess.run(
        [sys.executable, "-m", f"cnnlit.{command}", "--help"], capture_output=True, text=True, check=True
    ).stdout
    yield from (f"# {command}", "", f"{summary(command).capitalize()}.", "", "```text", printed.rstrip(), "```")


def _command(command: str) -> Iterator[str]:
    function = getattr(importlib.import_module(f"cnnlit.{command}"), command)
    composition = Composition(command, conf_dir(), [])
    page = Page(function, composition)
    usage, *about = composition.header.splitlines()
    yield from (f"# {command}", "", _plain(" ".join(about)), "", "```text", usage, "```", "")
    examples = [line.strip() for line in composition.footer.splitlines() if line.startswith("  ")]
    yield from ("```sh", *examples, "```", "", "## Keys", "")
    yield from _keys(page.explained("", [key for key in page.config if key not in composition.choices], deep=True))
    groups = [group for group in composition.choices if "/" not in group]
    if groups:
        yield from ("## Groups", "", "Chosen with `group=choice`; the keys of each choice are on the group's page.", "")
    for group in groups:
        chosen = composition.choices[group]
        options = ", ".join(f"`{option}`" for option in composition.options_of(group))
        yield from (f"[`{group}`]({_page_of(group)}.md){_default(chosen)}", f":   {options}", "")


def _group(group: str) -> Iterator[str]:
    """A group: its choices, then the keys of each."""
    train = getattr(importlib.import_module("cnnlit.train"), "train")  # noqa: B009  the module has the same name
    composition = Composition("train", conf_dir(), [])
    chosen = composition.choices[group]
    inner = [each for each in composition.choices if each.startswith(f"{group}/")]
    usual = f"`{chosen}`" if chosen else "none"
    yield from (f"# {group}", "", f"What `{group}=` chooses, {usual} unless said otherwise.", "")
    options = composition.options_of(group)
    for option in options:
        path = file_of(composition, f"{group}/{option}")
        meaning = _plain(headline(path)) if path else ""
        yield from (f"[`{group}={option}`](#{_anchor(group, option)})", f":   {meaning}", "")
    if inner:
        links = ", ".join(f"[`{each}=`]({_page_of(each)}.md)" for each in inner)
        yield from (f"Parts that are chosen by themselves: {links}.", "")
    for option in options:
        composed = Composition("train", conf_dir(), [f"{group}={option}"])
        yield from _choice(Page(train, composed), group, option, inner)


def _choice(page: Page, group: str, option: str, inner: list[str]) -> Iterator[str]:
    composition = page.composition
    yield from (f"({_anchor(group, option)})=", f"## {group}={option}", "")
    if path := file_of(composition, f"{group}/{option}"):
        yield from (_plain(" ".join(_opening(path))), "")
    key = group.replace("/", ".")
    node = page.config
    for part in key.split("."):
        node = node[part] or {}
    if target := node.get("_target_"):
        yield from (f"`{target}`", "")
    parts = {each.rpartition("/")[2] for each in inner}
    brought = [f"`{each}={composition.choices[each]}`" for each in inner if composition.choices[each]]
    if brought:
        yield from (f"Brings {', '.join(brought)}.", "")
    yield from _keys(page.explained(key, [each for each in node if each not in parts], deep=True))


def _experiments() -> Iterator[str]:
    yield from (
        "# experiment",
        "",
        "Questions with their arms and seeds, and trainings with their settings, a file each.",
    )
    yield from ("Without `-m`, `experiment=` is one run; with it, the file's sweep.", "")
    for path in sorted((conf_dir() / "experiment").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        yield from (f"## experiment={path.stem}", "", _plain(headline(path)), "", "```yaml", text.rstrip(), "```", "")


def _sweeps() -> Iterator[str]:
    yield from ("# Sweeps' own keys", "", "How the jobs of a sweep run (`hydra.launcher`) and values are searched for")
    yield from ("(`hydra.sweeper`); [Sweeps](../sweeps.md) explains them.", "")
    for name in SWEEPS:
        path = conf_dir() / f"{name}.yaml"
        group, _, option = name.rpartition("/")
        text = path.read_text(encoding="utf-8").rstrip()
        yield from (f"## {group}={option}", "", "```yaml", text, "```", "")


def _python() -> Iterator[str]:
    yield from ("# The Python interface", "", "[From Python](../python.md) shows how it is used.", "")
    for heading, modules in PYTHON.items():
        yield from (f"## {heading}", "")
        for module in modules:
            taken = ["   :imported-members:"] if module == "cnnlit" else []  # what its __all__ names is made elsewhere
            yield from (f"### {module}", "", "```{eval-rst}", f".. automodule:: {module}", "   :members:", *taken)
            yield from ("```", "")


def _keys(keys: Iterable[Explained]) -> Iterator[str]:
    for key in keys:
        meaning = _plain(key.meaning)
        follows = f"Follows `{key.follows}`." if key.follows else ""
        said = [f"*{_escaped(key.allowed)}*" if key.allowed else "", meaning, follows]
        if any(said) or key.value is not None:  # of a node without a comment the keys below it say enough
            yield from (f"`{key.name}`{_default(key.value)}", f":   {' · '.join(filter(None, said)) or '—'}", "")


def _default(value: str | None) -> str:
    return "" if value is None else f" `= {value}`"


def _opening(path: Path) -> Iterator[str]:
    """The comment that opens a file."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            return
        if not line.startswith(DIRECTIVES):
            yield line.removeprefix("#").strip()


def _anchor(group: str, option: str) -> str:
    return f"{group}-{option}".replace("/", "-").replace("_", "-")


def _plain(text: str) -> str:
    """Text of a comment as Markdown, in which the pages that it names are links."""
    return PAGE.sub(r"[\1](../\1.md)", _escaped(text))


def _escaped(text: str) -> str:
    """Text as Markdown that shows it as it is."""
    return re.sub(r"([\\`*_\[\]<>#|{}~$])", r"\\\1", text)


if __name__ == "__main__":
    main()
