"""What a key allows is said once, in a signature: comments in conf/ do not repeat it, and refusals list it."""

import importlib
import inspect
import re
import typing
from typing import Any, Literal, NamedTuple

import pytest
import yaml

from cnnlit import config

CONF = config.conf_dir()
GROUPS = [
    path for path in sorted(CONF.glob("**/*.yaml")) if path.parent.relative_to(CONF).name not in ("experiment", "data")
]


class Choice(NamedTuple):
    """A key of a node, the value and the comment beside it, and what its annotation allows."""

    target: Any
    key: str
    value: Any
    comment: str
    allowed: list[str]


def nodes(path):
    """Each node of the file as (target, its keys and values); the target of a file without one is its parent's."""
    return list(_nodes(yaml.safe_load(path.read_text()), _inherited(path)))


def _nodes(content, target=None):
    if isinstance(content, list):
        for each in content:
            yield from _nodes(each)
    elif isinstance(content, dict):
        if target := content.get("_target_", target):
            yield target, content
        for each in content.values():
            yield from _nodes(each)


def _inherited(path):
    content = yaml.safe_load(path.read_text())
    if "_target_" in content:
        return content["_target_"]
    bases = [path.parent / f"{each}.yaml" for each in content.get("defaults", []) if isinstance(each, str)]
    return next((found for base in bases if base.is_file() and (found := _inherited(base))), None)


def listed(annotation):
    """The values of each Literal within an annotation, as the command line writes them."""
    if typing.get_origin(annotation) is Literal:
        return [str(value) for value in typing.get_args(annotation)]
    return [value for part in typing.get_args(annotation) for value in listed(part)]


def hints_of(target):
    try:
        return typing.get_type_hints(target.__init__ if inspect.isclass(target) else target, include_extras=True)
    except NameError:  # annotated with what is imported for type checkers alone
        return {}


def choices(path):
    """The keys in the file whose annotations list more than one value."""
    for name, node in nodes(path):
        module, _, attribute = name.rpartition(".")
        target = getattr(importlib.import_module(module), attribute)
        hints = hints_of(target)
        for key in node.keys() & hints.keys():
            if len(allowed := listed(hints[key])) > 1:
                lines = re.findall(rf"^.*\b{key}:.*$", path.read_text(), re.MULTILINE)
                comment = " ".join(line.partition("  # ")[2] for line in lines)
                yield Choice(target, key, node[key], comment, allowed)


@pytest.mark.parametrize("path", GROUPS, ids=lambda path: str(path.relative_to(CONF).with_suffix("")))
def test_no_comment_lists_what_is_allowed(path):
    for choice in choices(path):
        words = re.findall(r"[\w.-]+", choice.comment)
        named = {word.rstrip(".") for word in words} & set(choice.allowed) - {str(choice.value)}
        assert len(named) <= 1, f"{choice.key}: {choice.comment}"


@pytest.mark.parametrize("path", GROUPS, ids=lambda path: str(path.relative_to(CONF).with_suffix("")))
def test_a_wrong_choice_is_refused_with_all_that_are_allowed(path):
    for choice in choices(path):
        if not choice.target.__module__.startswith("cnnlit."):
            continue  # Lightning's Trainer says the rest
        wrong = ["wrong"] if isinstance(choice.value, list) else "wrong"
        with pytest.raises(ValueError, match=f"^{choice.key}=.*wrong.*: must be one of ") as refusal:
            config.check({choice.key: wrong}, choice.target)
        (line,) = str(refusal.value).splitlines()
        assert set(choice.allowed) <= set(re.findall(r"[\w.-]+", line))


def test_the_choices_of_the_models_are_found():
    found = {choice.key for path in (CONF / "model").glob("*.yaml") for choice in choices(path)}
    assert {
        "activation",
        "pooling",
        "normalization",
        "variant",
        "depth",
        "shortcut",
        "configuration",
        "weights",
    } <= found
