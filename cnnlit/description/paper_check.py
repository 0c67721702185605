"""A network's counts checked against what its paper prints, digit by digit."""

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from cnnlit.description.layer_table import Layer
from cnnlit.description.paper_numbers import PUBLISHED, PaperNumbers

COUNTS_ALONE = {
    "activation",
    "dropout",
    "initialization",
    "weights",
    "init_from",
    "auxiliary_weight",
    "transform_input",
}
"""Keywords of the models that change none of these numbers."""


class Statement(NamedTuple):
    """A number printed in a paper, beside ours."""

    layer: str
    quantity: str
    printed: str
    here: Any
    agrees: bool
    note: str | None


def find(model: str, keywords: Mapping[str, Any], defaults: Mapping[str, Any]) -> tuple[PaperNumbers | None, list[str]]:
    """Find what is published about a model.

    Args:
        model: name of its class.
        keywords: those it is built with.
        defaults: of its constructor.

    Returns:
        The publication, or None and the keywords that make the model different from any published network.
    """
    unlike: list[list[str]] = []
    for published in PUBLISHED.get(model, ()):
        allowed = {name: (default,) for name, default in defaults.items()} | dict(published.form)
        other = [name for name in keywords if name not in COUNTS_ALONE and keywords[name] not in allowed.get(name, ())]
        if not other:
            return published, []
        unlike.append(other)
    return None, min(unlike, key=len, default=[])


def compare(published: PaperNumbers, layers: list[Layer], totals: Mapping[str, int]) -> list[Statement]:
    """The publication's numbers for each layer, then those for the whole network."""
    statements = []
    for layer in layers:
        for name, numbers in published.layers.items():
            for quantity, printed in numbers.items():
                inside = layer.name.startswith(f"{name}.") and _is_size(printed)
                if layer.name == name or inside:
                    statements.append(_state(published, name, quantity, printed, layer, getattr(layer, quantity)))
    for quantity, printed in published.totals.items():
        statements.append(_state(published, "", quantity, printed, None, totals[quantity]))
    return statements


def _state(
    published: PaperNumbers, name: str, quantity: str, printed: str, layer: Layer | None, here: Any
) -> Statement:
    if quantity == "output":
        agrees = "x".join(map(str, here[-2:] if _is_size(printed) else here)) == printed
    else:
        agrees = agreement(here, printed, published.kilo)
    note = None if agrees else published.notes.get(f"{name}.{quantity}")
    return Statement(layer.name if layer else "", quantity, printed, here, agrees, note)


def agreement(count: int, printed: str, kilo: int = 1000) -> bool:
    """Whether `count`, rounded or cut off to the digits that are printed, is what is printed."""
    match = re.fullmatch(r"(about )?([\d,]+)(?:\.(\d+))?(K|M|e9| million| billion)?", printed)
    assert match is not None, printed
    about, whole, decimals, unit = match.groups()
    whole, decimals = whole.replace(",", ""), decimals or ""
    factor = {None: 1, "K": kilo, "M": 10**6, " million": 10**6, "e9": 10**9, " billion": 10**9}[unit]
    digits = int(whole + decimals)
    zeros = len(whole) - len(whole.rstrip("0")) if about else 0
    step = factor * 10**zeros / 10 ** len(decimals)
    return digits // 10**zeros in (math.floor(count / step), math.floor(count / step + 0.5))


def _is_size(printed: str) -> bool:
    return printed.count("x") == 1
