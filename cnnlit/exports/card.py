"""A model card: what the folder of a run knows about its network, for whoever gets the network alone."""

from collections.abc import Mapping
from typing import Any

UNKNOWN = "not recorded"


def render_card(record: Mapping[str, Any], results: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """The card, in Markdown.

    Args:
        record: the run's run.json; empty without a run.
        results: protocol -> measured values of a test (`test/error`, ...).
        facts: about the exported file: `file`, `format`, `difference`, `parameters`, `network`, `images`, `classes`,
            and of its training `data` and `recipe`, None where they are not known, and `weights`, taken from elsewhere.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("cnnlit.exports"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )  # Markdown, not HTML: nothing to escape
    template = templates.get_template("card.md")
    return template.render(record=record, results=results, facts=facts, unknown=UNKNOWN)
