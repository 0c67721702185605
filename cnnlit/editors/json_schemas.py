"""JSON schemas of the files in conf/, from the signatures that check them: an editor completes a key and marks a typo.

They say what can be told of a file by itself. What depends on others, a command tells when it composes them.
"""

import functools
import inspect
import json
import re
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ConfigDict, PydanticUserError, TypeAdapter

from cnnlit.config.compose import conf_dir
from cnnlit.config.hydra_internals import Composition
from cnnlit.config.nodes import Also, Instead
from cnnlit.config.provenance import origins
from cnnlit.config.schema import named, options_of
from cnnlit.config.signatures import Parameter, read_signature
from cnnlit.files import make_folder, write_json

Schema = dict[str, Any]

DRAFT = "http://json-schema.org/draft-07/schema#"
"""The newest that yaml-language-server knows whole."""

INTERPOLATION: Schema = {"type": "string", "pattern": r"\$\{"}
"""`${recipe.batch_size}` may stand for anything."""

EVERYWHERE: Schema = {
    "defaults": {"type": "array", "description": "other files that this one begins with; _self_ is this one's place"},
    "hydra": {"type": "object", "description": "Hydra's own keys; the arms of a sweep are in hydra.sweeper.params"},
}
NAMED = ("callbacks",)
"""Groups whose files hold nodes under names of the user's choice."""

OF_A_NODE: Schema = {
    "_target_": {"type": "string", "description": "the class or function that the other keys are given to"},
    "_partial_": {"type": "boolean", "description": "whether the rest of its arguments come later"},
}


def write_schemas(folder: Path, commands: Mapping[str, str]) -> dict[str, str]:
    """Write a schema for each kind of file.

    Args:
        folder: is made if it is not there.
        commands: that have a file in conf/, and the dotted name of what takes their keys.

    Returns:
        The name of each schema's file, and the pattern of the files that it is of, as editors want them.

    Raises:
        OSError: if it cannot be written.
    """
    make_folder(folder)
    groups = _groups()
    for name, schema in _schemas(commands, groups):
        write_json(folder / f"{name}.json", {"$schema": DRAFT, **schema})
    return {f"{_file(group)}.json": f"conf/{group}/*.yaml" for group in [*groups, "experiment"]} | {
        f"{command}.json": f"conf/{command}.yaml" for command in commands
    }


def _groups() -> list[str]:
    """The groups of conf/ whose files are nodes, those within others too."""
    folders = {path.parent.relative_to(conf_dir()).as_posix() for path in conf_dir().rglob("*.yaml")}
    return sorted(folders - {".", "experiment"})


def _schemas(commands: Mapping[str, str], groups: list[str]) -> Iterator[tuple[str, Schema]]:
    settings = read_signature(commands["train"]) or {}
    for group in groups:
        annotation = settings[group].annotation if group in settings else None
        yield _file(group), {"title": f"{group}=", **_group(group, annotation, groups)}
    for command, target in commands.items():
        yield command, _command(command, target, groups)
    yield "experiment", {**_command("train", commands["train"], groups), "title": "experiment="}


def _command(command: str, target: str, groups: list[str]) -> Schema:
    """The file of a command: its own keys, and any of those below its groups."""
    comments = {key: origin.comment for key, origin in origins(Composition(command, conf_dir(), [])).items()}
    signature = read_signature(target) or {}
    own = {name: _value(each, comments.get(name) or each.meaning) for name, each in signature.items()}
    chosen = {name: _reference(name) for name in signature if name in groups}
    rules = [_change(name) for name in chosen if name not in NAMED]
    return {"title": f"python -m cnnlit.{command}", **_closed(own | chosen), **({"allOf": rules} if rules else {})}


def _change(group: str) -> Schema:
    """Unless a file begins with another choice than ours, what it changes of a group is what ours have."""
    another = {
        "type": "object",
        "propertyNames": {"pattern": f"(^|/){group}$"},
        "additionalProperties": {"not": {"enum": [None, *_checked_choices(group)]}},
    }
    return {
        "if": {"properties": {"defaults": {"not": {"contains": another}}}},
        "then": {"properties": {group: {"anyOf": [_changed(group), {"type": "null"}, INTERPOLATION]}}},
    }


def _changed(group: str) -> Schema:
    return {"if": {"not": {"required": ["_target_"]}}, "then": {"$ref": f"{_file(group)}.json#/definitions/changed"}}


def _group(group: str, annotation: Any, groups: list[str]) -> Schema:
    """The files of a group: a node, or nodes under names of the user's choice."""
    extra = {name: _of(each) for name, each in _marked(annotation, Also)}
    without = {name for name, _ in _marked(annotation, Instead)}
    inner = {each.rpartition("/")[2]: _reference(each) for each in groups if each.startswith(f"{group}/")}
    node = _node(group, extra | inner, without)
    return {"type": "object", "properties": EVERYWHERE, "additionalProperties": node} if group in NAMED else node


def _node(group: str, extra: Schema, without: set[str]) -> Schema:
    """Keys of a class that names all of its arguments are checked; those of any other may be what they like.

    A file without `_target_` changes those that it begins with: where these are ours, what ours take may stand there.
    """
    targets = sorted(_targets(group).values())
    of_each = {
        target: {key: _value(each, each.meaning) for key, each in signature.items() if key not in without} | extra
        for target in targets
        if (signature := _signature(target)) is not None
    }
    values: dict[str, list[Schema]] = {}
    for properties in of_each.values():
        for key, value in properties.items():
            values.setdefault(key, []).extend([] if value in values.get(key, []) else [value])
    union = {key: each[0] if len(each) == 1 else {"anyOf": each} for key, each in values.items()}
    ours: Schema = {"items": {"anyOf": [{"enum": ["_self_", *_checked_choices(group)]}, {"type": "object"}]}}
    rules = [_if_target(target, OF_A_NODE | properties) for target, properties in of_each.items()]
    rules.append(
        {
            "if": {"not": {"required": ["_target_"]}, "required": ["defaults"], "properties": {"defaults": ours}},
            "then": {"$ref": "#/definitions/changed"},
        }
    )
    target = {**OF_A_NODE["_target_"], "examples": targets}
    changed = _closed(OF_A_NODE | union)
    node: Schema = {"type": "object", "properties": {**OF_A_NODE, "_target_": target}}
    # In a file of names, a reference from within one of them would lead to the file's own definitions.
    return (
        {**node, "allOf": rules[:-1]}
        if group in NAMED
        else {**node, "allOf": rules, "definitions": {"changed": changed}}
    )


def _if_target(target: str, properties: Schema) -> Schema:
    is_it = {"properties": {"_target_": {"const": target}}, "required": ["_target_"]}
    return {"if": is_it, "then": _closed(properties)}


def _closed(properties: Schema) -> Schema:
    return {"type": "object", "properties": EVERYWHERE | properties, "additionalProperties": False}


def _checked_choices(group: str) -> list[str]:
    """The choices of ours whose class names all of its arguments, and those that begin with one of them."""
    return [option for option, target in _targets(group).items() if _signature(target) is not None]


@functools.cache
def _targets(group: str) -> dict[str, str]:
    """What each file of a group names as `_target_`, or the file that it begins with does."""
    found: dict[str, str] = {}
    files = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) or {} for path in _files(group)}
    for option, content in files.items():
        while "_target_" not in content and (first := _first(content)) in files:
            content = files[first]
        nodes = [content, *(each for each in content.values() if isinstance(each, dict))]
        if target := next((node["_target_"] for node in nodes if "_target_" in node), None):
            found[option] = str(target)
    return found


def _files(group: str) -> list[Path]:
    return sorted((conf_dir() / group).glob("*.yaml"))


def _first(content: Schema) -> str:
    """The file of the same group that one begins with."""
    return next((each for each in content.get("defaults", []) if isinstance(each, str) and each != "_self_"), "")


@functools.cache
def _signature(target: str) -> dict[str, Parameter] | None:
    """The arguments of a class by name; None if it takes any."""
    if (found := read_signature(target)) is not None:
        return found
    options = options_of(named(target))
    unknown = inspect.Parameter.empty
    return None if options.takes_any else {key: Parameter(each, "", unknown) for key, each in options.known.items()}


def _value(parameter: Parameter, meaning: str) -> Schema:
    described: Schema = {"description": _plain(meaning)} if meaning else {}
    if parameter.default is not inspect.Parameter.empty and _is_plain(parameter.default):
        described["default"] = parameter.default
    return _of(parameter.annotation) | described


def _of(annotation: Any) -> Schema:
    """What an annotation allows; anything, where JSON cannot say."""
    if annotation is None or annotation is inspect.Parameter.empty:
        return {}
    try:
        schema = TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True)).json_schema()
    except (PydanticUserError, TypeError):
        return {}
    if not schema or "$defs" in schema:  # definitions of its own would have to move to the top of the file
        return {}
    return {"anyOf": [schema, INTERPOLATION]}


def _marked(annotation: Any, kind: type[Also] | type[Instead]) -> Iterator[tuple[str, Any]]:
    for each in typing.get_args(annotation):
        if isinstance(each, kind):
            yield from each.keys.items()


def _reference(group: str) -> Schema:
    return {"anyOf": [{"$ref": f"{_file(group)}.json"}, {"type": "null"}, INTERPOLATION]}


def _file(group: str) -> str:
    return group.replace("/", "_")


def _plain(text: str) -> str:
    return re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"\1", text).replace("``", "").replace("`", "")


def _is_plain(value: Any) -> bool:
    try:
        return bool(json.loads(json.dumps(value)) == value)
    except TypeError:
        return False
