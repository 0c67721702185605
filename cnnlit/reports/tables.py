"""Tables and paragraphs, as text for a terminal of any width or as Markdown."""

import io
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

LEFT = {"layer", "operation", "output", "kind", "quantity", "arm", "arms", "run", "state", "reason", "test"} | {
    "image",
    "answer",
    "next",
    "label",
    "remark",
    "network",
    "assumption",
    "value",
    "source",
    "winner",
    "chart",
    "note",
}
"""Heads of the columns that are words."""

GAP = 2
"""Blanks between columns, one of which is the box's."""

CODE = "    "
"""Begins a paragraph that is a command line."""

FILE_WIDTH = 240
"""Columns of characters where there is no terminal: wider than any table here."""


class Column(NamedTuple):
    """A column and, where the paper prints something, what it prints beside it."""

    head: str
    cells: list[str]
    paper: Sequence[str] = ()


class Table(NamedTuple):
    """A table with a heading; the rows of these numbers are sums."""

    heading: str
    columns: list[Column]
    sums: tuple[int, ...] = ()

    @classmethod
    def of(cls, heading: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> "Table":
        """A table of rows of cells, of which there is one at least."""
        return cls(
            heading, [Column(head, list(cells)) for head, cells in zip(heads, zip(*rows, strict=True), strict=True)]
        )


Page = list[Table | str]
"""Tables and paragraphs."""


def as_markdown(page: Page) -> str:
    """The page as GitHub's Markdown."""
    return "\n\n".join(part if isinstance(part, str) else _markdown(part) for part in page) + "\n"


def _markdown(sheet: Table) -> str:
    columns = list(_flat(sheet.columns))
    rows = [[head for head, _ in columns], ["---" if head in LEFT else "---:" for head, _ in columns]]
    rows += [list(row) for row in zip(*(cells for _, cells in columns), strict=True)]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([f"**{sheet.heading}**", "", *lines])


def as_text(page: Page) -> str:
    """The page as it is printed into a file."""
    text = io.StringIO()
    print_page(page, Console(file=text))
    return text.getvalue()


def print_page(page: Page, console: Console) -> None:
    """Print the page. Where a table is wider than the terminal, the columns that are too many go on below.

    Args:
        page: to print.
        console: a terminal or a file; a file is as wide as the page.
    """
    if not console.is_terminal:
        console.width = FILE_WIDTH
    for part in page:
        if isinstance(part, str):
            console.print(Text(part), soft_wrap=not console.is_terminal or part.startswith(CODE))  # to be copied whole
        else:
            console.print(Text(part.heading, style="bold"))
            for columns in _fitting(part.columns, console.width):
                console.print(_drawn(columns, part.sums))
        console.print()


def _flat(columns: list[Column]) -> Iterator[tuple[str, Sequence[str]]]:
    for column in columns:
        yield column.head, column.cells
        if column.paper:
            yield "paper", column.paper


def _fitting(columns: list[Column], width: int) -> Iterator[list[Column]]:
    """The columns, in as many parts as the width asks for; each part begins with the first column."""
    first, *others = columns
    part = [first]
    for column in others:
        if len(part) > 1 and _width([*part, column]) > width:
            yield part
            part = [first]
        part.append(column)
    yield part


def _width(columns: list[Column]) -> int:
    return sum(max(map(len, [head, *cells])) + GAP for head, cells in _flat(columns)) - GAP


def _drawn(columns: list[Column], sums: tuple[int, ...]) -> RichTable:
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, GAP - 1, 0, 0), show_edge=False)
    shown = list(_flat(columns))
    for head, _ in shown:
        table.add_column(head, justify="left" if head in LEFT else "right", no_wrap=True)
    for number, row in enumerate(zip(*(cells for _, cells in shown), strict=True)):
        cells = [_colored(cell, head == "paper") for (head, _), cell in zip(shown, row, strict=True)]
        table.add_row(*cells, style="bold" if number in sums else "")
    return table


def _colored(cell: str, paper: bool) -> Text:
    if not paper:
        return Text(cell)
    return Text(cell, style="red" if cell.endswith("]") else "green")
