"""The same figure of one run of each arm side by side, embedded in the page."""

import base64
import io
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cnnlit.analysis.results import Measured, Results
from cnnlit.files import progress
from cnnlit.runs.records import RunRecord

PIXELS = 720
MOST_BYTES = 2_400_000
"""The limit for all figures of a gallery together, encoded as text."""


class EmbeddedFigure(NamedTuple):
    """A run's figure.

    Attributes:
        address: the image itself, as a data URL.
        link: to the original file, relative to the page; None if the run is not on this machine.
        caption: arm, seed and result of its run.
    """

    address: str
    link: str | None
    caption: str


class FigureGallery(NamedTuple):
    """The figures of one name, and the number of those there was no room for."""

    name: str
    figures: list[EmbeddedFigure]
    left_out: int


def gallery(results: Results, name: str, folder: Path) -> FigureGallery:
    """One run of each arm, all with the same seed if possible.

    Args:
        results: of the runs.
        name: of the file in the runs' pictures/.
        folder: where the page will be.
    """
    chosen = list(_chosen(results, name))
    budget, figures = MOST_BYTES, list[EmbeddedFigure]()
    for each, block, run, path in progress(chosen, "reading pictures", len(chosen)):
        address = _embedded(path)
        budget -= len(address)
        if budget < 0:
            break
        number = each.readings[block].number if each.readings[block].reached else None
        caption = f"{each.name}, {block}" + (f": {results.measure.show(number)}" if number is not None else "")
        figures.append(EmbeddedFigure(address, None if "://" in run.place else os.path.relpath(path, folder), caption))
    return FigureGallery(name, figures, len(chosen) - len(figures))


def _chosen(results: Results, name: str) -> Iterator[tuple[Measured, str, RunRecord, Path]]:
    drawn = [(each, block, run, path) for each, block, run, _ in results.counted if (path := run.picture(name))]
    frequent = Counter(block for _, block, _, _ in drawn)
    done: set[str] = set()
    for each, block, run, path in sorted(drawn, key=lambda item: -frequent[item[1]]):
        if each.name not in done:
            done.add(each.name)
            yield each, block, run, path


def _embedded(path: Path) -> str:
    """The figure as a data URL, no larger than a page shows it."""
    from PIL import Image

    with Image.open(path) as opened:
        image = opened.convert("RGB")
    image.thumbnail((PIXELS, PIXELS * 2))
    file = io.BytesIO()
    image.save(file, "WEBP", quality=70, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
