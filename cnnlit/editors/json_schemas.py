"""JSON schemas of the files in conf/, from the signatures that check them: an editor completes a key and marks a typo.

They say what can be told of a file by itself. What depends on others, a command tells when it composes them.
"""

import inspect
import json
import re
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ConfigDict, PydanticUserError, TypeAdapter

from cnnlit.config.compose import conf_dir
from cnnlit.config.hydra_internals import Composition
from cnnlit.config.nodes import Also, Instead, Nodes
from cnnlit.config.provenance import origins
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
    properties = {}
    for name, parameter in (read_signature(target) or {}).items():
        meaning = comments.get(name) or parameter.meaning
        own = _value(parameter, meaning)
        properties[name] = _reference(name) if name in groups else own
    return {"title": f"python -m cnnlit.{command}", **_closed(properties)}


def _group(group: str, annotation: Any, groups: list[str]) -> Schema:
    """The files of a group: a node, or nodes under names of the user's choice."""
    extra = {name: _of(each) for name, each in _marked(annotation, Also)}
    without = {name for name, _ in _marked(annotation, Instead)}
    inner = {each.rpartition("/")[2]: _reference(each) for each in groups if each.startswith(f"{group}/")}
    node = _node(_targets(group), extra | inner, without)
    if annotation != Nodes or group == "logger":  # of which one is chosen, and its file is the logger itself
        return node
    return {"type": "object", "properties": EVERYWHERE, "additionalProperties": node}


def _node(targets: Iterable[str], extra: Schema, without: set[str]) -> Schema:
    """Keys of a class of ours, of PyTorch's or Lightning's are checked; those of any other may be what they like.

    A file without `_target_` changes one that it begins with: what any of them takes may stand there.
    """
    known = {target: signature for target in sorted(targets) if (signature := read_signature(target)) is not None}
    of_each = {
        target: {key: _value(each, each.meaning) for key, each in signature.items() if key not in without} | extra
        for target, signature in known.items()
    }
    any_of_them: dict[str, list[Schema]] = {}
    for properties in of_each.values():
        for key, value in properties.items():
            if value not in (before := any_of_them.setdefault(key, [])):
                before.append(value)
    union = {key: values[0] if len(values) == 1 else {"anyOf": values} for key, values in any_of_them.items()}
    rules: list[Schema] = [
        {
            "if": {"properties": {"_target_": {"const": target}}, "required": ["_target_"]},
            "then": _closed(OF_A_NODE | properties),
        }
        for target, properties in of_each.items()
    ]
    if len(known) == len(set(targets)):
        rules.append({"if": {"not": {"required": ["_target_"]}}, "then": _closed(OF_A_NODE | union)})
    named = {**OF_A_NODE["_target_"], "examples": sorted(targets)}
    node: Schema = {"type": "object", "properties": {**OF_A_NODE, "_target_": named}}
    return {**node, "allOf": rules} if rules else node


def _closed(properties: Schema) -> Schema:
    return {"type": "object", "properties": EVERYWHERE | properties, "additionalProperties": False}


def _targets(group: str) -> set[str]:
    """What the files of a group name as `_target_`."""
    found = set()
    for path in (conf_dir() / group).glob("*.yaml"):
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        nodes = [content, *(each for each in content.values() if isinstance(each, dict))]
        found |= {str(node["_target_"]) for node in nodes if "_target_" in node}
    return found


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
    return {"anyOf": [schema, INTERPOLATION]} if schema else {}


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
