"""Images whose classes a table tells: CSV, or JSON lines."""

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import torch

from cnnlit.data.sources.class_names import class_names
from cnnlit.data.sources.folders import ImageFiles, Listing, some
from cnnlit.data.sources.found_files import files_below
from cnnlit.data.sources.named_splits import NAMES, Named

PATHS = ("path", "file", "file_name", "filename", "image", "image_path", "image_id", "id", "name")
LABELS = ("label", "class", "class_name", "category", "target")
SPLITS = ("split", "part", "subset", "set")
"""What columns are called, in letters of any case; the first that is there counts."""

JSON_LINES = {".jsonl", ".ndjson", ".json"}


class LabelledFile(NamedTuple):
    """A line of the table."""

    path: str
    label: str
    part: str
    """`train`, `val` or `test`; `train` where the table has no splits."""


def find_labelled(root: str | Path, labels: str, named: Named) -> Listing:
    """The images of a table of labels.

    Args:
        root: the folder of the set.
        labels: the file, in `root` or anywhere: CSV, with a header or without, or JSON lines; of paths and labels, and
            maybe of splits.
        named: whose `train` is the folder below `root` that paths are relative to; None for `root`.

    Raises:
        FileNotFoundError: if there is no such file or folder, or an image that it names is not there.
        ValueError: if a line is no path and label, if an image is labelled twice, or if other folders are named.
    """
    root = Path(root).expanduser().absolute()
    if parts_named := Named(None, named.val, named.test).said():
        raise ValueError(f"{parts_named}: data.labels={labels} tells what is for what, in a column split; leave it out")
    table = next((path for path in (root / labels, Path(labels).expanduser()) if path.is_file()), None)
    if table is None:
        raise FileNotFoundError(f"data.labels={labels}: there is no such file in {root}, nor here")
    folder = root / (named.train or "")
    if not folder.is_dir():
        raise FileNotFoundError(f"data.labels={labels}: there is no folder {folder}, in which its images would be")
    there = files_below(folder).images
    rows = _matched(_read(table, there), there, folder, table)
    parts = {part: sorted(row for row in rows if row.part == part) for part in NAMES}
    classes = _classes(parts, table)
    sets = {part: _files(folder, its, classes) for part, its in parts.items() if its or part == "train"}
    left = sorted(set(there) - {row.path for row in rows})
    have = "image has" if len(left) == 1 else "images have"
    remarks = (f"{folder}: {len(left):,} {have} no label in {table}, and are left out: {some(left)}",)
    names = class_names(classes, [folder, root])
    layout = f"labels in {table.name}"
    return Listing(layout, sets["train"], sets.get("test"), classes, names, sets.get("val"), remarks if left else ())


def _read(table: Path, there: Sequence[str]) -> list[LabelledFile]:
    text = table.read_text(encoding="utf-8-sig", errors="surrogateescape")
    found = _of_json(text, table) if table.suffix.lower() in JSON_LINES else _of_csv(text, table, there)
    for number, row in found:
        if not (row.path and row.label):
            raise ValueError(f"{table}: line {number} has no {'label' if row.path else 'path'}")
        if row.part not in NAMES:
            raise ValueError(f"{table}: line {number} has the split {row.part}; must be one of {', '.join(NAMES)}")
    if not found:
        raise ValueError(f"{table} holds no labels")
    return [row for _, row in found]


def _of_json(text: str, table: Path) -> list[tuple[int, LabelledFile]]:
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
            told = {key.lower(): "" if value is None else str(value) for key, value in content.items()}
            found.append((number, _row(told)))
        except (json.JSONDecodeError, AttributeError, KeyError):
            raise ValueError(f"{table}: line {number} is no JSON object with a path and a label") from None
    return found


def _of_csv(text: str, table: Path, there: Sequence[str]) -> list[tuple[int, LabelledFile]]:
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    rows = [(number, row) for number, row in enumerate(csv.reader(io.StringIO(text), delimiter=delimiter), 1) if row]
    if not rows:
        return []
    header = _header(rows[0][1], there)
    found = []
    for number, row in rows[1:] if header else rows:
        if len(row) != len(rows[0][1]) or len(row) < 2:
            raise ValueError(f"{table}: line {number} has {len(row)} columns; write path, label and maybe split")
        named = zip(header or ("path", "label", "split"), row, strict=False)
        found.append((number, _row({key: value.strip() for key, value in named})))
    return found


def _header(row: Sequence[str], there: Sequence[str]) -> list[str] | None:
    """The names of the columns; None if the first line is an image already."""
    called = [cell.strip().lower() for cell in row]
    if set(called) & set(PATHS) and set(called) & set(LABELS):
        return called
    if row[0] in set(there) or row[0] in {str(Path(name).with_suffix("")) for name in there} or Path(row[0]).suffix:
        return None
    return ["path", "label", *called[2:]]


def _row(cells: Mapping[str, str]) -> LabelledFile:
    """A line, by the names of its columns in small letters; raises KeyError for one without a path or a label."""
    path, label = (cells[next((key for key in keys if key in cells), keys[0])] for keys in (PATHS, LABELS))
    split = next((cells[key] for key in SPLITS if key in cells), "train")
    part = next((part for part, names in NAMES.items() if split.lower() in names), split)
    return LabelledFile(path, label, part)


def _matched(rows: Sequence[LabelledFile], there: Sequence[str], folder: Path, table: Path) -> list[LabelledFile]:
    """The rows with the names of files that are there, which tables may give without their suffix."""
    known = dict.fromkeys(there)
    by_stem = {stem: name for stem, name in _stems(there).items() if name}
    names = [_below(row.path, folder) for row in rows]
    found = [name if name in known else by_stem.get(name) for name in names]
    if missing := [name for name, file in zip(names, found, strict=True) if file is None]:
        raise FileNotFoundError(f"{table} labels {len(missing):,} images that are not in {folder}: {some(missing)}")
    if twice := [name for name, count in Counter(found).items() if name and count > 1]:
        raise ValueError(f"{table} labels {len(twice):,} images more than once: {some(twice)}")
    return [row._replace(path=name) for row, name in zip(rows, found, strict=True) if name]


def _stems(there: Iterable[str]) -> dict[str, str | None]:
    """The file of each name without a suffix; None where there are several."""
    stems: dict[str, str | None] = {}
    for name in there:
        stem = str(PurePosixPath(name).with_suffix(""))
        stems[stem] = None if stem in stems else name
    return stems


def _below(path: str, folder: Path) -> str:
    """A path as it is listed, relative to the folder."""
    place = PurePosixPath(path.replace("\\", "/"))
    if place.is_absolute() and place.is_relative_to(folder.as_posix()):
        place = place.relative_to(folder.as_posix())
    return str(place)


def _classes(parts: Mapping[str, Sequence[LabelledFile]], table: Path) -> list[str]:
    """The labels, sorted; numbers by their size."""
    trained = {row.label for row in parts["train"]} or {row.label for rows in parts.values() for row in rows}
    for part in ("val", "test"):
        if unknown := sorted({row.label for row in parts[part]} - trained):
            raise ValueError(f"{table}: {part} has classes that train has not: {some(unknown)}")
    return sorted(trained, key=int) if all(label.isdecimal() for label in trained) else sorted(trained)


def _files(folder: Path, rows: Sequence[LabelledFile], classes: Sequence[str]) -> ImageFiles:
    label_of = {name: label for label, name in enumerate(classes)}
    names = np.array([os.fsencode(row.path) for row in rows], np.bytes_)
    return ImageFiles(folder, names, torch.tensor([label_of[row.label] for row in rows], dtype=torch.int64))
