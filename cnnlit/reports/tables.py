"""Tables and paragraphs: text for a terminal of any width, or Markdown."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.style import Style
from rich.table import Table as RichTable
from rich.text import Text

LEFT = {
    "pair",
    "what",
    "found",
    "package",
    "layer",
    "operation",
    "output",
    "kind",
    "quantity",
    "setting",
    "arm",
    "arms",
    "run",
    "state",
    "reason",
    "test",
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
"""Heads of columns whose cells are words, set to the left."""

GAP = 2
"""Spaces between columns, one of which belongs to the box."""

CODE = "    "
"""Opens a paragraph that is a command line."""

FILE_WIDTH = 240
"""Width in characters when there is no terminal: wider than any table here."""


class Column(NamedTuple):
    """A column and, if the paper prints the same quantity, what it prints.

    Attributes:
        head: its heading.
        cells: from top to bottom.
        paper: what the paper prints, one cell per row; empty if it prints none of them.
        is_paper: whether this column is the paper's, set beside ours.
    """

    head: str
    cells: Sequence[str]
    paper: Sequence[str] = ()
    is_paper: bool = False

    @property
    def is_number(self) -> bool:
        """Whether its cells are numbers, set to the right."""
        return self.head not in LEFT


class Table(NamedTuple):
    """A table with a heading; `sums` are the indices of the rows that are totals."""

    heading: str
    columns: list[Column]
    sums: tuple[int, ...] = ()

    @classmethod
    def of(cls, heading: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> "Table":
        """A table made from its rows, at least one."""
        return cls(heading, [Column(head, cells) for head, cells in zip(heads, zip(*rows, strict=True), strict=True)])

    @property
    def shown_columns(self) -> list[Column]:
        """All columns as they stand side by side, the paper's included."""
        return list(_side_by_side(self.columns))

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The cells of each row, across all columns shown."""
        return _rows(self.shown_columns)


Page = list[Table | str]
"""Tables and paragraphs."""


def as_markdown(page: Page) -> str:
    """The page as GitHub-flavoured Markdown."""
    return "\n\n".join(part if isinstance(part, str) else _markdown(part) for part in page) + "\n"


def _markdown(table: Table) -> str:
    columns = table.shown_columns
    rows = [[column.head for column in columns], ["---:" if column.is_number else "---" for column in columns]]
    rows += [list(row) for row in table.rows]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([f"**{table.heading}**", "", *lines])


def as_text(page: Page) -> str:
    """The page as plain text, as wide as its widest table."""
    text = io.StringIO()
    print_page(page, Console(file=text))
    return text.getvalue()


def print_page(page: Page, console: Console) -> None:
    """Print the page. If a table is wider than the terminal, the remaining columns continue below.

    Args:
        page: to print.
        console: a terminal or a file; a file is as wide as the page.
    """
    if not console.is_terminal:
        console.width = FILE_WIDTH
    for part in page:
        if isinstance(part, str):
            # A command line is not wrapped, so that it can be copied whole.
            console.print(Text(part), soft_wrap=not console.is_terminal or part.startswith(CODE))
        else:
            console.print(Text(part.heading, style="bold"))
            for columns in _fitting(part.columns, console.width):
                console.print(_drawn(columns, part.sums))
        console.print()


def print_place(path: Path, console: Console) -> None:
    """Print where a file is, which a terminal that knows links opens; elsewhere the path alone."""
    console.print(Text(str(path), style=Style(link=path.absolute().as_uri())), soft_wrap=True)


def _side_by_side(columns: Sequence[Column]) -> Iterator[Column]:
    for column in columns:
        yield column
        if column.paper:
            yield Column("paper", column.paper, is_paper=True)


def _rows(columns: Sequence[Column]) -> list[tuple[str, ...]]:
    return list(zip(*(column.cells for column in columns), strict=True))


def _fitting(columns: list[Column], width: int) -> Iterator[list[Column]]:
    """The columns, in as many parts as the width requires; each part begins with the first column."""
    first, *others = columns
    part = [first]
    for column in others:
        if len(part) > 1 and _width([*part, column]) > width:
            yield part
            part = [first]
        part.append(column)
    yield part


def _width(columns: list[Column]) -> int:
    return sum(max(map(len, [column.head, *column.cells])) + GAP for column in _side_by_side(columns)) - GAP


def _drawn(columns: list[Column], sums: tuple[int, ...]) -> RichTable:
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, GAP - 1, 0, 0), show_edge=False)
    shown = list(_side_by_side(columns))
    for column in shown:
        table.add_column(column.head, justify="right" if column.is_number else "left", no_wrap=True)
    for number, row in enumerate(_rows(shown)):
        cells = [_colored(cell) if column.is_paper else Text(cell) for column, cell in zip(shown, row, strict=True)]
        table.add_row(*cells, style="bold" if number in sums else "")
    return table


def _colored(printed: str) -> Text:
    """What the paper prints, red if it ends in the number of a note that says why ours differs."""
    return Text(printed, style="red" if printed.endswith("]") else "green")
