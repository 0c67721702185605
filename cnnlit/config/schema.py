"""The constructors are the schema: a node is checked against the annotated signature of what it will be given to.

Unknown keys, types, choices (Literal) and bounds (Annotated) are found before anything is built.
"""

import dataclasses
import difflib
import importlib
import inspect
import json
import re
import typing
from collections.abc import Callable, Iterable
from typing import Annotated, Any

Node = dict[str, Any]
"""A part of the configuration as plain containers."""

Values = Annotated[Node, "values"]
"""A node that is only read: what its `_target_` names is not imported, and its keys are not checked against it."""

MOST_LISTED = 30
"""Options that a refusal lists when none is close to the one that was asked for."""


def check(node: Node, target: Callable[..., Any], path: str = "") -> None:
    """Check a node's keys and values, and those of all nodes below it, against signatures.

    Args:
        node: keyword arguments of `target`.
        target: what they will be given to.
        path: of the node in the configuration, for messages.

    Raises:
        ValueError: one line that names the key, the value, what is allowed, and the nearest match.
    """
    parameters = _parameters(settings_of(target))
    for key, value in node.items():
        if key.startswith("_") and key.endswith("_"):
            continue
        name = f"{path}.{key}" if path else key
        if key not in parameters:
            raise ValueError(f"{name}: no such option{nearest(key, parameters)}")
        if _is_node(value) and parameters[key] != Values:
            check(value, _import(value["_target_"], name), name)
        elif isinstance(value, list) and any(map(_is_node, value)):
            _check_nodes(value, name)
        elif parameters[key] is not inspect.Parameter.empty:
            _check_value(value, parameters[key], name)


def settings_of(command: Callable[..., Any]) -> Callable[..., Any]:
    """What takes the keys of a command's configuration: the dataclass of its one argument, or the command itself."""
    if inspect.isclass(command):
        return command
    parameters = list(inspect.signature(command).parameters)
    only = typing.get_type_hints(command).get(parameters[0]) if len(parameters) == 1 else None
    return only if isinstance(only, type) and dataclasses.is_dataclass(only) else command


def _is_node(value: Any) -> bool:
    return isinstance(value, dict) and "_target_" in value


def _check_nodes(nodes: list[Any], name: str) -> None:
    for number, node in enumerate(nodes):
        place = f"{name}[{number}]"
        if not _is_node(node):
            raise ValueError(f"{place}={_shown(node)}: must be keys with a _target_")
        check(node, _import(node["_target_"], place), place)


def _check_value(value: Any, annotation: Any, name: str) -> None:
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    config = ConfigDict(strict=True, arbitrary_types_allowed=True)
    try:
        # As JSON, strict allows a list for a tuple, but no "3" or true for a 3.
        TypeAdapter(annotation, config=config).validate_json(json.dumps(value))
    except ValidationError as error:
        raise ValueError(f"{name}={_shown(value)}: {_reason(error, value)}") from None


def _parameters(target: Callable[..., Any]) -> dict[str, Any]:
    """Name -> annotation of every parameter that can be given by keyword."""
    function = target.__init__ if inspect.isclass(target) else target
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError:  # annotated with what is imported for type checkers alone
        hints = {}
    keyword = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    signature = inspect.signature(target).parameters
    return {name: hints.get(name, inspect.Parameter.empty) for name, p in signature.items() if p.kind in keyword}


def _import(target: str, path: str) -> Callable[..., Any]:
    module, _, name = target.rpartition(".")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}._target_={target}: cannot be imported ({error})") from None
    return found


def _reason(error: Any, value: Any) -> str:
    details = error.errors()
    choices = [str(d["ctx"]["expected"]) for d in details if d["type"] == "literal_error"]
    if choices:
        allowed = re.findall(r"'([^']*)'", choices[0]) or [choices[0]]
        close = difflib.get_close_matches(str(value), allowed, n=1)
        return f"must be one of {', '.join(allowed)}" + (f"; did you mean {close[0]}?" if close else "")
    if any(d["type"] == "needs_python_object" for d in details):
        return "must be keys with a _target_"
    messages = dict.fromkeys(d["msg"].removeprefix("Input should be ").strip() for d in details)
    return "must be " + " or ".join(messages)


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a refusal: the known word that is nearest, or all of them if they are few."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; there is {', '.join(known)}" if len(known) <= MOST_LISTED else ""


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
