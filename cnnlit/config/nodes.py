"""What the annotations of a command's settings say of parts of the configuration."""

import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

Node = dict[str, Any]
"""A part of the configuration as plain containers."""

Values = Annotated[Node, "values"]
"""A node that is only read: what its `_target_` names is not imported, and its keys are not checked against it."""


@dataclass(frozen=True)
class Also:
    """In the annotation of a node: keys that it may have beside those of its target's signature.

    Args:
        keys: and their annotations.
    """

    keys: Mapping[str, Any]


def keys_also(annotation: Any) -> Mapping[str, Any]:
    """The keys that an annotation of a node adds, and their annotations."""
    return next((each.keys for each in typing.get_args(annotation) if isinstance(each, Also)), {})


ModelNode = Annotated[Node, Also({"weights": str | None})]
"""The node of a model: whatever its constructor takes, weights can be loaded into it."""


@dataclass(frozen=True)
class Instead:
    """In the annotation of a node: keys of its target's signature that it must not have.

    Args:
        keys: and for each, what does its work.
    """

    keys: Mapping[str, str]


Nodes = Annotated[Node, "nodes"]
"""Any number of nodes under names of the user's choice."""
