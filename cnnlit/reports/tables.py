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
    """A column and, where the paper prints something, what it prints beside it.

    Attributes:
        head: its heading.
        cells: from above.
        paper: what the paper prints, as many cells; empty where it prints nothing.
        is_paper: whether this is such a column of the paper's, set beside ours.
    """

    head: str
    cells: Sequence[str]
    paper: Sequence[str] = ()
    is_paper: bool = False

    @property
    def is_number(self) -> bool:
        """Whether its cells are numbers, and stand on the right."""
        return self.head not in LEFT


class Table(NamedTuple):
    """A table with a heading; `sums` are the numbers of the rows that are sums."""

    heading: str
    columns: list[Column]
    sums: tuple[int, ...] = ()

    @classmethod
    def of(cls, heading: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> "Table":
        """A table made of its rows, at least one."""
        return cls(heading, [Column(head, cells) for head, cells in zip(heads, zip(*rows, strict=True), strict=True)])

    @property
    def shown_columns(self) -> list[Column]:
        """All columns as they stand side by side, the paper's among them."""
        return list(_side_by_side(self.columns))

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The cells of each row, of all columns that are shown."""
        return _rows(self.shown_columns)


Page = list[Table | str]
"""Tables and paragraphs."""


def as_markdown(page: Page) -> str:
    """The page as GitHub's Markdown."""
    return "\n\n".join(part if isinstance(part, str) else _markdown(part) for part in page) + "\n"


def _markdown(table: Table) -> str:
    columns = table.shown_columns
    rows = [[column.head for column in columns], ["---:" if column.is_number else "---" for column in columns]]
    rows += [list(row) for row in table.rows]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([f"**{table.heading}**", "", *lines])


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


def _side_by_side(columns: Sequence[Column]) -> Iterator[Column]:
    for column in columns:
        yield column
        if column.paper:
            yield Column("paper", column.paper, is_paper=True)


def _rows(columns: Sequence[Column]) -> list[tuple[str, ...]]:
    return list(zip(*(column.cells for column in columns), strict=True))


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
    """What the paper prints, in red where a note in brackets says why ours differs."""
    return Text(printed, style="red" if printed.endswith("]") else "green")
