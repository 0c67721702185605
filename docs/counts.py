"""python docs/counts.py: write docs/counts.md, the output of commands for claims in docs/claims.md without training."""

import functools
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from cnnlit.files import write_whole

DOCS = Path(__file__).parent
COUNTS = re.compile(r"`(python -m cnnlit\.(?:describe|report ilsvrc)[^`]*)`")

OPENING = """\
# Counted

<!-- Written by `python docs/counts.py`. -->

The output of the commands for those [claims](claims.md) that need no training.
"""


class Count(NamedTuple):
    """A claim and the command that answers it.

    Attributes:
        number: number of the claim.
        statement: the claim.
        command: command line.
    """

    number: str
    statement: str
    command: str


def read_counts(claims: str) -> list[Count]:
    """The claims in docs/claims.md whose small form is a count."""
    counts = []
    for row in re.findall(r"^\| \d+ \|.*", claims, re.MULTILINE):
        number, statement, small_form, *_ = (cell.strip() for cell in row.strip("| ").split(" | "))
        if match := COUNTS.search(small_form):
            counts.append(Count(number, statement, match[1]))
    return counts


def page(counts: list[Count]) -> str:
    """The content of docs/counts.md."""
    sections = (f"## {each.number}. {each.statement}\n\n    {each.command}\n\n{_told(each.command)}" for each in counts)
    return "\n".join([OPENING, *sections])


@functools.cache  # two claims share AlexNet's command
def _told(command: str) -> str:
    words = [sys.executable, *shlex.split(command)[1:], "format=markdown"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    write_whole(DOCS / "counts.md", page(read_counts((DOCS / "claims.md").read_text())))
