"""python -m cnnlit: what there is to run. `cnnlit train ...` is `python -m cnnlit.train ...`."""

import ast
import difflib
import runpy
import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from cnnlit import __version__

COMMANDS = (
    "train",
    "evaluate",
    "predict",
    "report",
    "describe",
    "export",
    "doctor",
    "prepare",
    "new",
    "dashboard",
    "sweep",
)
"""In the order in which most people need them."""


def main() -> None:
    """Run the command that is named first, or say which commands and experiments there are."""
    words = sys.argv[1:]
    if words and words[0] in COMMANDS:
        del sys.argv[0]
        runpy.run_module(f"cnnlit.{words[0]}", run_name="__main__", alter_sys=True)
    elif words and words[0] == "--version":
        from cnnlit.config.help import print_versions

        print_versions()
    elif words and words[0] not in ("help", "--help", "-h"):
        close = difflib.get_close_matches(words[0], COMMANDS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there is {', '.join(COMMANDS)}"
        print(f"cnnlit: {words[0]}: no such command; {hint}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    else:
        print("\n".join(_front_page()))  # noqa: T201


def _front_page() -> Iterator[str]:
    width = min(max(shutil.get_terminal_size((100, 24)).columns, 60), 120)
    history = "the history of convolutional networks, LeNet-5 to ResNet, as experiments"
    yield from textwrap.wrap(f"cnnlit {__version__}: {history}", width)
    yield from ("", "Commands: cnnlit <command> [key=value] ..., or python -m cnnlit.<command>")
    for command in COMMANDS:
        yield from _entry(command, summary(command), width)
    yield from ("", "Experiments: cnnlit train experiment=<name>; with -m, all its arms and seeds")
    from cnnlit.config.compose import conf_dir
    from cnnlit.config.provenance import headline

    for path in sorted((conf_dir() / "experiment").glob("*.yaml")):
        yield from _entry(path.stem, headline(path), width)
    yield ""
    yield from textwrap.wrap(
        "First: cnnlit train (LeNet-5 on handwritten digits, half a minute, nothing to download)", width
    )
    yield from textwrap.wrap(
        "Then: cnnlit <command> --help explains every key; cnnlit train --help model those of a part", width
    )


def summary(command: str) -> str:
    """What the first line of a command's file says it does; importing the file would take longer than reading it."""
    source = Path(__file__).with_name(f"{command}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").splitlines()[0].partition(": ")[2].rstrip(".")


def _entry(name: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=f"  {name:29} ", subsequent_indent=" " * 32, break_on_hyphens=False
    )


if __name__ == "__main__":
    main()
