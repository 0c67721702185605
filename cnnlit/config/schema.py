"""The constructors are the schema: a node is checked against the annotated signature of what it will be given to.

Unknown keys, types, choices (Literal) and bounds (Annotated) are found before anything is built.
"""

import dataclasses
import difflib
import importlib
import inspect
import json
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from cnnlit.config.nodes import Instead, Node, Nodes, Values, keys_also
from cnnlit.config.signatures import read_signature

OBJECT = "object"
"""The key, in place of `_target_`, that names the class of an object which cnnlit.fit was given."""

OBJECTS = ("model", "data", "data.module")
"""What that can be."""

MOST_LISTED = 30
"""Options that a refusal lists when none is close to the one that was asked for."""


def check(
    node: Node, target: Callable[..., Any], path: str = "", *, also: Mapping[str, Any] | None = None
) -> list[str]:
    """Check a node's keys and values, and those of all nodes below it, against signatures.

    Args:
        node: keyword arguments of `target`.
        target: what they will be given to.
        path: of the node in the configuration, for messages.
        also: keys that the node may have beside those of the signature, and their annotations.

    Returns:
        The keys that nothing is known about, because their target takes any (`**kwargs`), or does not say what of.

    Raises:
        ValueError: one line that names the key, the value, what is allowed, and the nearest match.
    """
    known, takes_any = options_of(settings_of(target))
    unchecked: list[str] = []
    for name, value, annotation in _options_in(node, {**known, **(also or {})}, path, takes_any=takes_any):
        if _is_node(value) and annotation != Values:
            _refuse_replaced(value, annotation, name)
            unchecked += check(value, _import(value["_target_"], name), name, also=keys_also(annotation))
        elif annotation == Nodes and isinstance(value, dict):
            unchecked += _check_nodes({f"{name}.{each}": node for each, node in value.items()})
        elif isinstance(value, list) and any(map(_is_node, value)):
            unchecked += _check_nodes({f"{name}[{number}]": node for number, node in enumerate(value)})
        elif annotation is None:
            unchecked.append(name)
        elif annotation is not inspect.Parameter.empty:
            _check_value(value, annotation, name)
    return unchecked


def check_source(node: Node, target: str, path: str = "", *, also: Mapping[str, Any] | None = None) -> None:
    """Refuse what `check` would refuse of our own classes, as far as their source tells; nothing of theirs is imported.

    Importing them takes seconds, for which nobody should wait to hear of a typo.

    Args:
        node: keyword arguments of what `target` names.
        target: a dotted name.
        path: of the node in the configuration, for messages.
        also: as of `check`.

    Raises:
        ValueError: as `check`.
    """
    signature = read_signature(target)
    known = {name: each.annotation for name, each in (signature or {}).items()} | dict(also or {})
    for name, value, annotation in _options_in(node, known, path, takes_any=signature is None):
        if _is_node(value) and annotation != Values:
            _refuse_replaced(value, annotation, name)
            check_source(value, value["_target_"], name, also=keys_also(annotation))
        elif isinstance(value, list) and any(map(_is_node, value)):
            for number, each in enumerate(value):
                if _is_node(each):
                    check_source(each, each["_target_"], f"{name}[{number}]")
        elif annotation is not None and annotation is not inspect.Parameter.empty:
            _check_value(value, annotation, name)


def _options_in(node: Node, known: Mapping[str, Any], path: str, *, takes_any: bool) -> Iterator[tuple[str, Any, Any]]:
    """The name, the value and the annotation of each key of a node; None for keys that nothing is known about.

    Raises:
        ValueError: for a key that there is not, and for what was an object.
    """
    for key, value in node.items():
        if key.startswith("_") and key.endswith("_"):
            continue
        name = f"{path}.{key}" if path else key
        if name in OBJECTS and isinstance(value, dict) and OBJECT in value and not _is_node(value):
            raise ValueError(_was_an_object(name, value))
        if key not in known and not takes_any:
            raise ValueError(f"{name}: no such option{nearest(key, known)}")
        yield name, value, known.get(key)


def _was_an_object(name: str, value: Node) -> str:
    given = name.partition(".")[0]
    return (
        f"{name}.{OBJECT}={value[OBJECT]}: an object of the Python program that made this run; "
        f'cnnlit.load(<run>, {given}=...) and cnnlit.fit("resume=<run>", {given}=...) take it again'
    )


def settings_of(command: Callable[..., Any]) -> Callable[..., Any]:
    """What takes the keys of a command's configuration: the dataclass of its one argument, or the command itself."""
    if inspect.isclass(command):
        return command
    parameters = list(inspect.signature(command).parameters)
    only = typing.get_type_hints(command).get(parameters[0]) if len(parameters) == 1 else None
    return only if isinstance(only, type) and dataclasses.is_dataclass(only) else command


def with_new_targets(node: Node, words: Iterable[str]) -> Node:
    """A configuration without the keys of targets that the command line has replaced.

    `model._target_=own.Network` leaves the other keys of the model that was chosen, which are those of another class:
    they stay if `own.Network` has them too, or if the command line sets them.

    Args:
        node: the whole configuration.
        words: the command line's overrides.
    """
    given = [word.lstrip("+").partition("=")[0] for word in words]
    for path in (key.removesuffix("._target_") for key in given if key.endswith("._target_")):
        own = below(node, path)
        if path == "data" or not _is_node(own):  # the sizes of data are read by others too
            continue
        with suppress(ImportError, AttributeError, ValueError):  # which check tells
            kept = {key.removeprefix(f"{path}.").partition(".")[0] for key in given}
            kept |= options_of(named(own["_target_"])).known.keys()
            for key in [key for key in own if not key.startswith("_") and key not in kept]:
                del own[key]
    return node


def below(node: Any, path: str) -> Any:
    """The value of a dotted key in plain containers; None if there is none."""
    for key in path.split("."):
        node = node.get(key) if isinstance(node, dict) else None
    return node


def _is_node(value: Any) -> bool:
    return isinstance(value, dict) and "_target_" in value


def _refuse_replaced(node: Node, annotation: Any, name: str) -> None:
    for replaced in (each.keys for each in typing.get_args(annotation) if isinstance(each, Instead)):
        for key in (key for key, value in node.items() if key in replaced and value is not None):
            raise ValueError(f"{name}.{key}={_shown(node[key])}: {replaced[key]}")


def _check_nodes(nodes: Mapping[str, Any]) -> list[str]:
    unchecked: list[str] = []
    for place, node in nodes.items():
        if not _is_node(node):
            raise ValueError(f"{place}={_shown(node)}: must be keys with a _target_")
        unchecked += check(node, _import(node["_target_"], place), place)
    return unchecked


def _check_value(value: Any, annotation: Any, name: str) -> None:
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    config = ConfigDict(strict=True, arbitrary_types_allowed=True)
    try:
        # As JSON, strict allows a list for a tuple, but no "3" or true for a 3.
        TypeAdapter(annotation, config=config).validate_json(json.dumps(value))
    except ValidationError as error:
        raise ValueError(f"{name}={_shown(value)}: {_reason(error, annotation, value)}") from None


class Options(NamedTuple):
    """What can be given to a target by keyword."""

    known: dict[str, Any]
    """Name -> annotation; Parameter.empty where it cannot be read, None where there is none."""
    takes_any: bool
    """Whether it takes every other name too."""


def options_of(target: Callable[..., Any]) -> Options:
    """What a target's signature says of its keywords.

    A class that hands `**kwargs` on is taken to hand them to the classes that it derives from.
    """
    known = _parameters(target, _initializer(target))
    takes_any = hands_on = _takes_any(target)
    for base in inspect.getmro(target)[1:] if inspect.isclass(target) else ():
        if not hands_on or base is object:
            break
        if "__init__" in vars(base):
            known = {**_parameters(vars(base)["__init__"], vars(base)["__init__"]), **known}
            hands_on = _takes_any(base)
    known.pop("self", None)
    return Options(known, takes_any)


def _initializer(target: Callable[..., Any]) -> Callable[..., Any]:
    return (
        next(vars(each)["__init__"] for each in inspect.getmro(target) if "__init__" in vars(each))
        if inspect.isclass(target)
        else target
    )


def _takes_any(target: Callable[..., Any]) -> bool:
    if (
        getattr(_initializer(target), "__module__", None) == "torch.nn.modules.module"
    ):  # nn.Module's own takes none of them
        return False
    return any(each.kind is inspect.Parameter.VAR_KEYWORD for each in inspect.signature(target).parameters.values())


def _parameters(target: Callable[..., Any], annotated: Callable[..., Any]) -> dict[str, Any]:
    keyword = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [name for name, each in inspect.signature(target).parameters.items() if each.kind in keyword]
    return {name: _annotation(annotated, name) for name in names}


def _annotation(function: Any, name: str) -> Any:
    if name not in getattr(function, "__annotations__", {}):
        return None
    alone = types.SimpleNamespace(__annotations__={name: function.__annotations__[name]})
    try:
        return typing.get_type_hints(alone, getattr(function, "__globals__", {}), include_extras=True)[name]
    except (NameError, TypeError):  # annotated with what is imported for type checkers alone
        return inspect.Parameter.empty


def _import(target: str, path: str) -> Callable[..., Any]:
    try:
        return named(target)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}._target_={target}: cannot be imported ({error})") from error


def named(target: str) -> Callable[..., Any]:
    """What a `_target_` names.

    Raises:
        ImportError, AttributeError, ValueError: if there is no such thing.
    """
    module, _, name = target.rpartition(".")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def _reason(error: Any, annotation: Any, value: Any) -> str:
    details = [each for each in error.errors() if each["type"] != "needs_python_object"]
    if not details:
        return "must be keys with a _target_"
    choices = list(dict.fromkeys(str(each) for each in _choices(annotation)))
    others = dict.fromkeys(
        each["msg"].removeprefix("Input should be ").strip() for each in details if each["type"] != "literal_error"
    )
    allowed = [f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]] if choices else []
    close = difflib.get_close_matches(str(value), choices, n=1)
    if isinstance(value, list | tuple) and [each["type"] for each in details] == ["int_type"]:
        others = {"one integer, not a list": None}  # a side in pixels, say: images are brought to squares
    null = ["null"] if type(None) in typing.get_args(annotation) else []
    return "must be " + " or ".join([*allowed, *others, *null]) + (f"; did you mean {close[0]}?" if close else "")


def _choices(annotation: Any) -> list[Any]:
    """All values of the Literals in an annotation."""
    values = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Literal:
        return list(values)
    return [choice for each in values for choice in _choices(each)]


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a refusal: the known word that is nearest, or all of them if they are few."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; there is {', '.join(known)}" if len(known) <= MOST_LISTED else ""


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
