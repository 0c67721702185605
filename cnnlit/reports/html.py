"""Pages of HTML that need nothing else: each opens from the disk, on a phone and in print.

What they look like is in templates/, to be opened and edited like any web page.
"""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = Path(__file__).with_name("templates")


def render(template: str, **values: Any) -> str:
    """Fill in a template.

    Args:
        template: the name of its file.
        values: what it shows; text is escaped.

    Raises:
        jinja2.UndefinedError: if the template names a value that is not given.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["source"] = _source
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return environment


def _source(name: str) -> Markup:
    """A style sheet or script to stand in the page as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))
