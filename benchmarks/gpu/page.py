"""The table of a GPU's measurements, and the files that keep it: docs/performance_gpu.md and the numbers as JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cnnlit.files import write_json, write_whole

OPENING = """\
# On one GPU

<!-- Written by `python -m benchmarks gpu`. -->

Each line was measured beside its peer in the same run, in alternating order; a value is the median over rounds. How is
stated at the head of each file in [benchmarks/gpu](../benchmarks/gpu). The numbers of all rounds are in
[performance_gpu.json](performance_gpu.json).
"""

Rows = Sequence[Mapping[str, Any]]


def table(rows: Rows) -> Iterator[str]:
    """The rows as a table in Markdown, line by line."""
    yield "| | measured | rounds | goal | holds | |"
    yield "|---|--:|--:|--:|---|---|"
    for row in rows:
        cells = [row["what"].replace("|", "/").strip(), _value(row), _spread(row), _goal(row)]
        holds = {None: "", True: "yes", False: "**no**"}[row["holds"]]
        yield f"| {' | '.join([*cells, holds, row['note'].replace('|', '/')])} |"


def _value(row: Mapping[str, Any]) -> str:
    if row["value"] is None:
        return "not measured"
    return f"{_number(row['value'])} {row['unit']}".strip()


def _spread(row: Mapping[str, Any]) -> str:
    return f"{_number(min(row['rounds']))} to {_number(max(row['rounds']))}" if row["rounds"] else ""


def _goal(row: Mapping[str, Any]) -> str:
    return "" if row["goal"] is None else f"{'at most' if row['at_most'] else 'at least'} {row['goal']:g}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def write(told: Sequence[Mapping[str, Any]], folder: Path) -> Path:
    """Write the page and the numbers; rows of an earlier go on the same card with the same versions stay.

    Args:
        told: what the processes that measured have told.
        folder: for both files.

    Returns:
        The page.
    """
    unknown = {"measured_on": "nothing: no process began", "versions": ""}
    first = next((line for line in told if "measured_on" in line), unknown)
    machine = {key: first[key] for key in unknown}
    file = folder / "performance_gpu.json"
    before = json.loads(file.read_text()) if file.is_file() else {}
    same = all(before.get(key) == value for key, value in machine.items())
    rows: dict[str, list[Any]] = dict(before["rows"]) if same else {}
    for name in dict.fromkeys(line["of"] for line in told if "row" in line):
        rows[name] = [line["row"] for line in told if line.get("of") == name]
    kept: dict[str, Any] = {**machine, "at": datetime.now(UTC).isoformat(timespec="seconds"), "rows": rows}
    write_json(file, kept)
    page = folder / "performance_gpu.md"
    heading = f"{machine['measured_on']}, {kept['at'].partition('T')[0]}; {machine['versions']}"
    lines = [OPENING, f"{heading}\n", *table([row for each in rows.values() for row in each])]
    write_whole(page, "\n".join(lines) + "\n")
    return page
