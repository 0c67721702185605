"""Signatures of our classes and of PyTorch's and Lightning's, read from their source: importing them takes seconds.

A page of help and the refusal of a mistyped value come at once. What cannot be told from the source alone is left open.
"""

import ast
import builtins
import functools
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

PACKAGE = Path(__file__).resolve().parents[1]
READ = (PACKAGE.name, "torch", "lightning")
"""Packages whose source is read; others' constructors may be anything."""

LIGHT = ("typing", "collections.abc", "annotated_types", "pathlib", "cnnlit.config")
"""Modules that annotations name things of, and that cost nothing to import."""


class Parameter(NamedTuple):
    """One of a constructor's."""

    annotation: Any
    """inspect.Parameter.empty where it is not known, as is the default."""
    meaning: str
    """What the docstring says of it."""
    default: Any


class Foreign:
    """Stands in annotations for a class that only an import would show; no value of a configuration is one."""


@functools.cache
def read_signature(target: str) -> dict[str, Parameter] | None:
    """The parameters of a class or function in a package of READ that can be given by keyword.

    Args:
        target: its dotted name.

    Returns:
        None if it is of another package, takes more than it names, or cannot be told from the source.
    """
    module, _, name = target.rpartition(".")
    source = _source(module)
    if source is None:
        return None
    if elsewhere := source.imported.get(name):
        return read_signature(".".join(elsewhere))
    if (found := source.definitions.get(name)) is None:
        return None
    try:
        return dict(_parameters(source, found))
    except LookupError:
        return None


def name_of(target: Callable[..., Any]) -> str:
    """The dotted name of a class or function, also where its module runs as a program."""
    module = target.__module__
    if module == "__main__" and (spec := sys.modules[module].__spec__):
        module = spec.name
    return f"{module}.{target.__qualname__}"


class _Source:
    """A module of ours as its file has it, and the values of the names that stand in annotations."""

    def __init__(self, path: Path) -> None:
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        body = [each for each in self.tree.body if isinstance(each, ast.ClassDef | ast.FunctionDef)]
        self.definitions = {each.name: each for each in body}
        self._aliases = {
            each.targets[0].id: each.value
            for each in self.tree.body
            if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name)
        }
        self.imported = {
            alias.asname or alias.name: (each.module, alias.name)
            for each in self.tree.body
            if isinstance(each, ast.ImportFrom) and each.module and not each.level
            for alias in each.names
        }

    def __getitem__(self, name: str) -> Any:
        """The value of a name, for `eval`; KeyError where telling it would take an import that is not light."""
        if name in self._aliases:
            return self.evaluate(self._aliases[name])
        if name in self.imported:
            module, original = self.imported[name]
            if module == "torch":  # whose own file is long, and imports from itself
                return {"Tensor": Foreign}[original]
            if module.startswith(LIGHT):
                return getattr(importlib.import_module(module), original)
            if (other := _source(module)) is not None:
                return other[original]
        elif hasattr(builtins, name):
            return getattr(builtins, name)
        raise KeyError(name)

    def evaluate(self, expression: ast.expr) -> Any:
        return eval(compile(ast.Expression(expression), "<annotation>", "eval"), {"__builtins__": {}}, self)  # type: ignore[arg-type]  # it has __getitem__

    def annotation(self, expression: ast.expr | None) -> Any:
        """Parameter.empty where it is not known."""
        try:
            return inspect.Parameter.empty if expression is None else self.evaluate(expression)
        except (KeyError, NameError, TypeError, AttributeError):
            return inspect.Parameter.empty

    def base_of(self, definition: ast.ClassDef) -> "tuple[_Source, ast.ClassDef]":
        """The class that one is derived from; LookupError if it is not ours."""
        for base in definition.bases:
            if isinstance(base, ast.Name):
                module, name = self.imported.get(base.id, ("", base.id))
                source = _source(module) if module else self
                found = source.definitions.get(name) if source else None
                if source and isinstance(found, ast.ClassDef):
                    return source, found
        raise LookupError(definition.name)


@functools.cache
def _source(module: str) -> _Source | None:
    package, *below = module.split(".")
    folder = _folder(package) if package in READ else None
    if folder is None:
        return None
    place = folder.joinpath(*below)
    files = (place.with_suffix(".py"), place / "__init__.py")
    return next((_Source(path) for path in files if path.is_file()), None)


def _folder(package: str) -> Path | None:
    """Where a package is installed; it is not imported."""
    if package == PACKAGE.name:
        return PACKAGE
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def _parameters(source: _Source, found: ast.ClassDef | ast.FunctionDef) -> Iterator[tuple[str, Parameter]]:
    if isinstance(found, ast.FunctionDef):
        yield from _arguments(source, found, _meanings(found))
    elif constructor := next((each for each in found.body if getattr(each, "name", "") == "__init__"), None):
        assert isinstance(constructor, ast.FunctionDef)
        yield from _arguments(source, constructor, _meanings(found) | _meanings(constructor))
    elif any("dataclass" in ast.unparse(each) for each in found.decorator_list):
        yield from _fields(source, found)
    elif found.bases:
        yield from _parameters(*source.base_of(found))


def _arguments(source: _Source, function: ast.FunctionDef, meanings: dict[str, str]) -> Iterator[tuple[str, Parameter]]:
    taken = function.args
    if taken.kwarg or taken.posonlyargs:
        raise LookupError(function.name)
    without = [None] * (len(taken.args) - len(taken.defaults))
    defaults = (*without, *taken.defaults, *taken.kw_defaults)
    for each, default in zip((*taken.args, *taken.kwonlyargs), defaults, strict=True):
        if each.arg != "self":
            annotation = source.annotation(each.annotation)
            yield each.arg, Parameter(annotation, meanings.get(each.arg, ""), _default(default))


def _fields(source: _Source, found: ast.ClassDef) -> Iterator[tuple[str, Parameter]]:
    if found.bases:
        yield from _parameters(*source.base_of(found))
    meanings = _meanings(found)
    for each in found.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            name = each.target.id
            yield name, Parameter(source.annotation(each.annotation), meanings.get(name, ""), _default(each.value))


def _default(expression: ast.expr | None) -> Any:
    """A default that is written out; Parameter.empty for any other, and for none."""
    with suppress(ValueError):
        if expression is not None:
            return ast.literal_eval(expression)
    return inspect.Parameter.empty


def _meanings(found: ast.ClassDef | ast.FunctionDef) -> dict[str, str]:
    """What a docstring's `Args:` says of each parameter, in one line."""
    _, _, section = (ast.get_docstring(found) or "").partition("Args:\n")
    section = re.split(r"\n(?=\S)", section)[0]
    entries = re.findall(r"^    (\w+): (.*(?:\n {8,}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}
