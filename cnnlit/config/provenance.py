"""Where each value of a configuration comes from, and what the files of conf/ say about it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from cnnlit.config.hydra_internals import Composition
from cnnlit.config.schema import below

SOURCES = ("paper", "authors' code", "reproduction", "ours")
"""Words with which the comment beside a constant of a paper's training begins: who says so."""

DIRECTIVES = ("# @package", "# yaml-language-server:")
"""Comments for Hydra and for editors."""

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where PyYAML was built with it: ten times as fast."""

GIVEN = "command line"
"""Who says a value that was typed."""

WIDEST = 80
"""Columns of a configuration before where its values come from."""


@dataclass(frozen=True)
class Origin:
    """The last file that sets a key, and the comment that stands beside it there or in a file before.

    Attributes:
        file: `data/digits` for conf/data/digits.yaml.
        comment: empty if there is none.
    """

    file: str
    comment: str


class SourcedValue(NamedTuple):
    """A value of a paper's training, and who says so."""

    key: str
    """`optimizer.lr`."""
    value: Any
    source: str
    """`paper`, or what else the comment beside it says."""


def constants(composition: Composition, group: str) -> list[SourcedValue]:
    """The values of a group (`recipe`) beside which a file says their source, and those that the command line gives."""
    given = {word.lstrip("+").partition("=")[0] for word in composition.overrides}
    source_of = {full: comment for _, full, comment in _set_by_files(composition)}
    source_of |= {full: GIVEN for full in given if full in source_of}
    config = composition.resolved()
    return [
        SourcedValue(full.removeprefix(f"{group}."), below(config, full), source)
        for full, source in source_of.items()
        if full.startswith(f"{group}.") and source.startswith((*SOURCES, GIVEN)) and _is_value(config, full)
    ]


def _is_value(config: dict[str, Any], key: str) -> bool:
    """Whether a key is still there, and holds no others."""
    above, _, name = key.rpartition(".")
    node = below(config, above)
    return isinstance(node, dict) and name in node and not isinstance(node[name], dict)


def origins(composition: Composition) -> dict[str, Origin]:
    """The origin of each key (`recipe.optimizer.lr`) that a file sets."""
    found: dict[str, Origin] = {}
    for name, full, comment in _set_by_files(composition):
        before = found.get(full)
        found[full] = Origin(name, comment or (before.comment if before else ""))
    return found


def file_of(composition: Composition, name: str) -> Path | None:
    """The file of a name; None for what is not in a folder (Hydra's own)."""
    paths = (folder / f"{name}.yaml" for folder in composition.folders)
    return next((path for path in paths if path.is_file()), None)


def headline(path: Path) -> str:
    """The first sentence of the comment that opens a file, without its label (`Question:`)."""
    lines = path.read_text(encoding="utf-8").splitlines()
    opening = []
    for line in lines:
        if not line.startswith("#"):
            break
        if not line.startswith(DIRECTIVES):
            opening.append(line.removeprefix("#").strip())
    text = re.sub(r"^Question: (\w)", lambda match: match[1].upper(), " ".join(opening))
    return re.split(r"(?<=[.?])(?<!Sec\.)(?<!al\.)\s+(?=[A-Z])", text)[0]


def _set_by_files(composition: Composition) -> Iterator[tuple[str, str, str]]:
    """Each file, a key that it sets (`recipe.optimizer.lr`), and the comment beside it, in the order of merging."""
    for name, package in composition.files:
        if path := file_of(composition, name):
            for key, comment in _keys(path.read_text(encoding="utf-8")):
                yield name, f"{package}.{key}" if package else key, comment


def _keys(text: str) -> Iterator[tuple[str, str]]:
    root = yaml.compose(text, Loader=LOADER)
    if isinstance(root, yaml.MappingNode):
        yield from _below(root, text.splitlines())


def _below(mapping: yaml.MappingNode, lines: list[str], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in mapping.value:
        if (name := str(key.value)) == "defaults" and not above:
            continue
        path = f"{above}.{name}" if above else name
        in_block = isinstance(value, yaml.CollectionNode) and not value.flow_style
        end: Any = (key if in_block else value).end_mark
        rest = lines[end.line][end.column :] if end.line < len(lines) else ""
        comment = re.match(r":?\s*#\s*(.*)", rest)
        yield path, comment[1] if comment else ""
        if isinstance(value, yaml.MappingNode):
            yield from _below(value, lines, path)


def print_configuration(name: str, conf_dir: Path, words: Sequence[str]) -> None:
    """Print what a command line composes, as YAML, with where each value comes from.

    Args:
        name: the command.
        conf_dir: the folder of configuration files.
        words: overrides, and Hydra's own options.
    """
    composition = Composition(name, conf_dir, list(words))
    known = origins(composition)
    given = {word.lstrip("+~").partition("=")[0] for word in composition.overrides}
    lines = list(_lines(composition.resolved()))
    width = min(max((len(text) for text, _ in lines), default=0), WIDEST) + 2
    for text, key in lines:
        origin = _origin(key, known, given, composition.choices)
        print(f"{text:{width}}# {origin}" if origin else text)  # noqa: T201


def _lines(node: dict[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Each line of the YAML of a configuration, and the key that it is of."""
    for name, value in node.items():
        key = f"{above}.{name}" if above else str(name)
        indent = "  " * key.count(".")
        if isinstance(value, dict) and value:
            yield f"{indent}{name}:", key
            yield from _lines(value, key)
        else:
            text = yaml.safe_dump(value, default_flow_style=True, width=float("inf")).removesuffix("\n...\n").strip()
            yield f"{indent}{name}: {text}", key


def _origin(key: str, known: dict[str, Origin], given: set[str], choices: dict[str, Any]) -> str:
    if any(key == each or key.startswith(f"{each}.") for each in given if each not in choices):
        return GIVEN
    if choice := choices.get(key.replace(".", "/")):
        return f"{key.replace('.', '/')}={choice}"
    above = key
    while above and above not in known:
        above = above.rpartition(".")[0]
    return f"{known[above].file}.yaml" if above else ""
