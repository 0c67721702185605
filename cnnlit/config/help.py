"""The page of `--help`: groups and keys with what they are for, what they may be, and what they are now."""

import difflib
import inspect
import json
import re
import shutil
import textwrap
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from typing import Annotated, Any, NamedTuple

from cnnlit import __version__
from cnnlit.config.compose import conf_dir
from cnnlit.config.hydra_internals import Composition, parts_and_others
from cnnlit.config.nodes import keys_also
from cnnlit.config.provenance import SOURCES, Origin, file_of, headline, origins
from cnnlit.config.schema import below, nearest, settings_of
from cnnlit.config.signatures import Parameter, name_of, read_signature

NARROWEST, WIDEST, WITHOUT_TERMINAL = 60, 120, 100
"""Columns."""
LEFT = 36
"""Columns for names and values; what is longer has its meaning on the next line."""

BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
KINDS = {int: "an integer", float: "a number", bool: "true or false", type(None): "null"}


def print_help(command: Callable[..., Any], words: Sequence[str]) -> None:
    """Print what a command can be told.

    Args:
        command: named like its file in conf/.
        words: the rest of the command line: a part to explain (`model`, `recipe.optimizer`), choices, Hydra's options.

    Raises:
        ValueError: if there is no such part.
    """
    parts, others = parts_and_others(words)
    page = Page(command, Composition(command.__name__, conf_dir(), others))
    for line in page.of_part(parts[0]) if parts else page.whole():
        print(line.rstrip())  # noqa: T201


def print_versions() -> None:
    """Print the version of cnnlit, and those of what it stands on."""
    others = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "lightning", "hydra-core", "wandb"))
    print(f"cnnlit {__version__} ({others})")  # noqa: T201


class Explained(NamedTuple):
    """A key, and what is said of it; empty where nothing is."""

    name: str
    """`recipe.epochs`."""
    value: str | None
    """What it is now, as JSON, or as text if it is text; None for a node, whose keys follow."""
    allowed: str
    """What it may be, in words."""
    meaning: str
    """What it is for."""
    follows: str
    """The key whose value it takes."""


class Page:
    """What there is to say of a command's configuration.

    Args:
        command: named like its file in conf/.
        composition: what a command line composes.
    """

    def __init__(self, command: Callable[..., Any], composition: Composition) -> None:
        self.command = command
        self.composition = composition
        self.origins = origins(composition)
        self.config = composition.resolved()
        self.raw = composition.unresolved()
        width = shutil.get_terminal_size((WITHOUT_TERMINAL, 24)).columns
        self.width = min(max(width, NARROWEST), WIDEST)

    def whole(self) -> Iterator[str]:
        for line in self.composition.header.splitlines():
            yield from self._wrapped(line)
        own = [key for key in self.config if key not in self._top_groups()]
        if self.composition.choices:
            yield from ("", "Groups: group=choice, now as in brackets")
            for group, chosen in self.composition.choices.items():
                if "/" not in group:
                    yield from self._columns(f"  {group} ({chosen or 'none'})", self._options(group))
        yield from ("", "Keys: key=value, now as shown")
        yield from self._keys("", own)
        for group in self._top_groups():
            yield from ("", *self._group(group))
        yield from ("", *self._wrapped(self._closing()), "")
        for line in self.composition.footer.splitlines():
            yield from [line] if line.startswith(" ") else self._wrapped(line)  # commands are copied whole

    def of_part(self, part: str) -> Iterator[str]:
        """What a group or a node holds, what can be chosen in its place, or what a single key may be."""
        group = part.replace(".", "/")
        if group in self.composition.choices:
            yield from self._alternatives(group)
        key = part.replace("/", ".")
        if isinstance(node := below(self.config, key), dict):
            yield from ("", *self._keys(key, list(node), deep=True))
        elif key in self.origins:
            yield from self._key(self._explain(key))
        elif group not in self.composition.choices:
            known = [*self.composition.choices, *(each for each in self.origins if not each.startswith("hydra."))]
            close = difflib.get_close_matches(key.rpartition(".")[2], [each.rpartition(".")[2] for each in known], n=1)
            full = [each for each in known if close and each.rpartition(".")[2] == close[0]]
            raise ValueError(f"--help {part}: no such group or key{nearest(part, full or known)}")

    def _top_groups(self) -> list[str]:
        return [group for group in self.composition.choices if "/" not in group and group in self.config]

    def _of_the_run(self) -> list[str]:
        """Groups that a run answers for, in commands that are told one."""
        return [group for group in self._top_groups() if "run" in self.config and group in ("model", "data", "recipe")]

    def _group(self, group: str) -> Iterator[str]:
        if self.config[group] is None:
            return
        yield from self._wrapped(f"{group}={self.composition.choices[group]}: {self._headline(group)}")
        if group in self._of_the_run():
            yield f"  from the run, where there is one; its keys: --help {group}"
        else:
            yield from self._keys(group, list(self.config[group]), deep=True)

    def _alternatives(self, group: str) -> Iterator[str]:
        chosen = self.composition.choices[group]
        yield f"{group}=choice, now {chosen}"
        for option in self.composition.options_of(group):
            path = file_of(self.composition, f"{group}/{option}")
            yield from self._columns(f"  {group}={option}", headline(path) if path else "")

    def _keys(self, above: str, names: Sequence[Any], *, deep: bool = False) -> Iterator[str]:
        for each in self.explained(above, names, deep=deep):
            yield from self._key(each)

    def explained(self, above: str, names: Sequence[Any], *, deep: bool = False) -> Iterator[Explained]:
        """Keys of a node in their order, with `deep` each followed by those below it.

        Args:
            above: the node's key; empty for the whole configuration.
            names: of the keys in it.
            deep: whether nodes are opened.
        """
        for name in names:
            key = f"{above}.{name}" if above else str(name)
            if str(name).startswith("_"):
                continue
            value = below(self.config, key)
            if isinstance(value, dict) and deep and value:
                yield self._explain(key)._replace(value=None)
                yield from self.explained(key, list(value), deep=True)
            else:
                yield self._explain(key)

    def _explain(self, key: str) -> Explained:
        parameter = self._parameter(key)
        allowed = describe(parameter.annotation) if parameter else ""
        comment = self.origins.get(key, Origin("", "")).comment
        meaning = _plain(parameter.meaning) if parameter else ""
        said = f"{meaning} ({comment})" if meaning and comment.startswith(SOURCES) else comment or meaning
        return Explained(key, self._value(key), allowed, said, self._follows(key))

    def _key(self, key: Explained) -> Iterator[str]:
        texts = [key.allowed, key.meaning, f"follows {key.follows}" if key.follows else ""]
        left = f"  {key.name}" if key.value is None else f"  {key.name}={key.value}"
        yield from self._columns(left, "; ".join(filter(None, texts)))

    def _value(self, key: str) -> str:
        value = below(self.config, key)
        return value if isinstance(value, str) else json.dumps(value)

    def _follows(self, key: str) -> str:
        text = str(below(self.raw, key))
        followed = text.removeprefix("${").removesuffix("}")
        return followed if text == f"${{{followed}}}" and ":" not in followed else ""

    def _parameter(self, key: str) -> Parameter | None:
        above, _, name = key.rpartition(".")
        settings = name_of(settings_of(self.command))
        target = below(self.config, f"{above}._target_") if above else settings
        found = (read_signature(target or "") or {}).get(name)
        node = (read_signature(settings) or {}).get(above)
        also = keys_also(node.annotation) if node else {}
        return found._replace(annotation=also[name]) if found and name in also else found

    def _headline(self, group: str) -> str:
        path = file_of(self.composition, f"{group}/{self.composition.choices[group]}")
        return headline(path) if path else ""

    def _options(self, group: str) -> str:
        return ", ".join(self.composition.options_of(group))

    def _closing(self) -> str:
        inner = [group for group in self.composition.choices if "/" in group]
        example = f"--help {inner[0].replace('/', '.')}" if inner else ""
        parts = [f"--help {group}" for group in self._top_groups()[-1:]] + ([example] if example else [])
        return f"More on a part, and what can be chosen for it: {', '.join(parts)}." if parts else ""

    def _columns(self, left: str, right: str) -> Iterator[str]:
        if not right:
            yield left
            return
        lines = self._wrapped(right, self.width - LEFT)
        if len(left) + 2 > LEFT:
            yield left
        else:
            yield f"{left:{LEFT}}{lines.pop(0)}"
        for line in lines:
            yield " " * LEFT + line

    def _wrapped(self, text: str, width: int = 0) -> list[str]:
        return textwrap.wrap(text, width or self.width, break_on_hyphens=False, break_long_words=False)


def _plain(meaning: str) -> str:
    """The first sentence of a parameter's docstring, without the marks of a page on the web."""
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"\1", meaning).replace("``", "")
    return re.split(r"\.\s+(?=[A-Z])", text)[0].rstrip(".")


def describe(annotation: Any) -> str:
    """What an annotation allows, in words; empty where that says nothing.

    >>> describe(Annotated[int, Ge(1)] | Literal["auto"])
    'an integer >= 1 or auto'
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        *most, last = dict.fromkeys(map(str, arguments))
        return f"{', '.join(most)} or {last}" if most else last
    if origin is Annotated:
        inner = describe(arguments[0])
        bounds = [f"{BOUNDS[name]} {value}" for each in arguments[1:] for name, value in _bounds(each)]
        return f"{inner} {' and '.join(bounds)}" if inner and bounds else inner
    if origin in (typing.Union, types.UnionType):
        parts = [describe(each) for each in arguments]
        return " or ".join(parts) if all(parts) else ""
    return KINDS.get(annotation, "") if inspect.isclass(annotation) else ""


def _bounds(limit: Any) -> Iterator[tuple[str, Any]]:
    for name in BOUNDS:
        if (value := getattr(limit, name, None)) is not None:
            yield name, value
