"""Data named directly as a LightningDataModule that knows nothing of this project: `data._target_=my.DataModule`."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from cnnlit.config.nodes import Node
from cnnlit.config.schema import named, options_of

ADAPTER = "cnnlit.data.plain_data.PlainData"

ITS_OWN = (
    *("batch_size", "num_classes", "image_size", "in_channels", "image_key", "label_key"),
    *("split_seed", "order", "seed"),
)
"""Options of the adapter, which stay beside those of the module."""


def adapted(data: Node, words: Iterable[str]) -> Node:
    """The node of data, its plain LightningDataModule below the adapter; any other node as it is.

    Args:
        data: resolved.
        words: the overrides of the command line; of data that were chosen before their `_target_` was replaced, the
            module is given what these set or what its constructor takes.
    """
    target = data.get("_target_")
    if not isinstance(target, str) or target.startswith("cnnlit."):
        return data
    with suppress(ImportError, AttributeError, ValueError):  # which check tells
        found = named(target)
        if _is_plain(found):
            known = options_of(found).known
            own = {key: value for key, value in data.items() if key in ITS_OWN}
            replaced = any(word.lstrip("+").startswith("data._target_=") for word in words)
            said = {word.lstrip("+").partition("=")[0].removeprefix("data.") for word in words}
            kept = known.keys() | said if replaced else data.keys()
            handed_on = {key: data[key] for key in data if key in kept and (key not in ITS_OWN or key in known)}
            return {"_target_": ADAPTER, "module": {"_target_": target, **handed_on}, **own}
    return data


def _is_plain(found: Any) -> bool:
    bases = {each.__name__ for each in getattr(found, "__mro__", ())}
    return "LightningDataModule" in bases and "ResumableData" not in bases
