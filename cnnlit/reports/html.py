"""HTML and SVG as text, escaped where it is put together."""

from html import escape

from cnnlit.reports.tables import LEFT, Table

VOID = {"img", "meta", "br", "input"}
"""Elements of HTML without an end."""


def tag(element: str, *children: str, **attributes: object) -> str:
    """An element. Children are markup; `text` makes it of what is none.

    Args:
        element: its name.
        children: what is inside.
        attributes: `class_` for `class`, `stroke_width` for `stroke-width`; False and None leave one out.
    """
    given = "".join(
        f" {name.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(_plain(value))}"')
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    return f"<{element}{given}>" + ("" if element in VOID else "".join(children) + f"</{element}>")


def text(words: object) -> str:
    """Words, of which nothing is markup."""
    return escape(str(words), quote=False)


def table(sheet: Table, *, marks: dict[str, int] | None = None) -> str:
    """A table with its heading; it scrolls by itself where it is wider than the page.

    Args:
        sheet: the table.
        marks: for a cell of the first column the number of its colour.
    """
    kinds = [None if column.head in LEFT else "number" for column in sheet.columns]
    heads = [
        tag("th", text(column.head), scope="col", class_=kind)
        for column, kind in zip(sheet.columns, kinds, strict=True)
    ]
    rows = []
    for cells in zip(*(column.cells for column in sheet.columns), strict=True):
        color = (marks or {}).get(cells[0])
        mark = "" if color is None else tag("i", class_=f"mark arm-{color}")
        first = tag("th", mark + text(cells[0]), scope="row", class_=kinds[0])
        rows.append(
            tag(
                "tr",
                first,
                *(tag("td", text(cell), class_=kind) for cell, kind in zip(cells[1:], kinds[1:], strict=True)),
            )
        )
    inside = tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows))
    return tag("div", inside, class_="scroll", tabindex="0", role="region", aria_label=sheet.heading)


def _plain(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
