"""Errors in the user's own classes: told in one line with their place, and shown in their own files alone."""

import re
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from traceback import FrameSummary
from typing import NamedTuple

from cnnlit.files import shown

LIBRARIES = {"site-packages", "dist-packages"}

WORKERS_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+), in (?P<name>.+)$', re.MULTILINE)
"""A frame in the text that a DataLoader's worker process sends in place of its traceback."""


class OwnError(NamedTuple):
    """An error that came from, or through, the user's own files."""

    what: str
    """The error's type and message in one line."""
    frames: list[FrameSummary]
    """Of the user's own files, the outermost first."""

    @property
    def place(self) -> str:
        """Where it happened."""
        last = self.frames[-1]
        return f"{shown(Path(last.filename))}, line {last.lineno}, in {last.name}"

    def __str__(self) -> str:
        return f"{self.what} ({self.place})\n" + "".join(traceback.format_list(self.frames)).rstrip()


def find(error: BaseException) -> OwnError | None:
    """What an error says of the user's own files; None if none of them is involved."""
    for each in _with_causes(error):
        if frames := _own_frames(each):
            return OwnError(in_one_line(each), frames)
    return None


def in_one_line(error: BaseException) -> str:
    """The type and the message of an error."""
    text = str(error)
    if "Original Traceback" in text:  # of a worker; its last line is what Python would have printed
        return text.strip().splitlines()[-1]
    return " ".join(f"{type(error).__name__}: {text}".split())


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    each: BaseException | None = error
    while each is not None:
        yield each
        each = each.__cause__


def _own_frames(error: BaseException) -> list[FrameSummary]:
    frames: list[FrameSummary] = list(traceback.extract_tb(error.__traceback__))
    if isinstance(error, SyntaxError) and error.filename:
        frames.append(FrameSummary(error.filename, error.lineno, "the module"))
    frames += [
        FrameSummary(match["file"], int(match["line"]), match["name"]) for match in WORKERS_FRAME.finditer(str(error))
    ]
    return [frame for frame in frames if _is_own(frame.filename)]


def _is_own(file: str) -> bool:
    """Whether a file belongs neither to Python, nor to a library, nor to cnnlit."""
    if file.startswith("<"):
        return False
    path = Path(file).resolve()
    python = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")}
    ours = Path(__file__).resolve().parents[1]
    return not (LIBRARIES & set(path.parts) or any(path.is_relative_to(root) for root in (*python, ours)))
