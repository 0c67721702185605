"""SVG as text, escaped where it is put together."""

from markupsafe import Markup, escape


def tag(element: str, *children: str, **attributes: object) -> Markup:
    """An element.

    Args:
        element: its name.
        children: what is inside: other elements, or text, which is escaped.
        attributes: `class_` for `class`, `stroke_width` for `stroke-width`; None leaves one out.
    """
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_plain(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    inside = "".join(map(escape, children))
    return Markup(f"<{element}{given}>{inside}</{element}>")


def _plain(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
