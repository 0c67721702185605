"""What people type: read as they mean it where that is plain, and answered with how to say it where it is not."""

import difflib
import functools
import re
from collections.abc import Sequence
from typing import Any

from cnnlit.config.compose import conf_dir, groups, paths
from cnnlit.config.hydra_internals import Composition, hydra_options, is_readable, parts_and_others, unknown_options
from cnnlit.config.schema import below

PLAIN = re.compile(r"[\w./:*+-]*", re.ASCII)
"""Values that Hydra's grammar reads as they are."""

INSTEAD = {"recipe.loss.weight": "recipe.class_weights"}
"""Keys by which others know what has a name of its own here, for any loss that takes it."""


def as_hydra_reads(words: Sequence[str]) -> list[str]:
    """A command line with values quoted that Hydra cannot read: paths need no quotes within quotes.

    `--key=value`, as W&B's agents write it, is key=value; Hydra's own options stay.

    >>> as_hydra_reads(["--run_root=runs (é)", "-m", "model.pooling=max,average"])
    ["run_root='runs (é)'", '-m', 'model.pooling=max,average']
    """
    return [_quoted(_without_hyphens(word)) for word in words]


def quoted(word: str) -> str:
    """A word key=value with its value in quotes."""
    key, _, value = word.partition("=")
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", value)
    return f"{key}='{escaped}'"


def _quoted(word: str) -> str:
    _, equals, value = word.partition("=")
    if not equals or PLAIN.fullmatch(value) or value[0] in "'\"[{$" or word.startswith("-") or is_readable(word):
        return word
    return quoted(word) if is_readable(quoted(word)) else word


def _without_hyphens(word: str) -> str:
    name, equals, _ = word.partition("=")
    return word.removeprefix("--") if equals and name.startswith("--") and name not in hydra_options() else word


def refuse_misread(words: Sequence[str], command: str) -> None:
    """Answer words that are not key=value, and values for a whole group, with how to say what they seem to mean.

    Args:
        words: the command line, without what asks about the command.
        command: its name.

    Raises:
        ValueError: one line.
    """
    unknown, bare = unknown_options(words), parts_and_others(words)[0]
    for word in [*unknown, *bare][:1]:
        place = words.index(word)
        following = [each for each in words[place + 1 : place + 2] if each in bare]
        key = word.lstrip("-").replace("-", "_")
        what = "options are key=value here" if unknown else "neither key=value nor group=choice"
        raise ValueError(f"{word}: {what}{_say(_ways(key, *following, command=command))}")
    for word in words:
        key, _, value = word.lstrip("+").partition("=")
        if key in INSTEAD:
            raise ValueError(f"{key}: {INSTEAD[key]} does that{_say([f'{INSTEAD[key]}={value}'])}")
        if group := _whole_group(word, command):
            raise ValueError(f"{word}: a group is chosen with a slash{_say([group])}")


def _say(ways: Sequence[str]) -> str:
    return f"; say {' or '.join(ways)}" if ways else "; see --help"


def _ways(word: str, value: str = "<value>", *, command: str) -> list[str]:
    """How to say what a bare word seems to mean: a choice of some group, or a key."""
    composition = _composition(command)
    groups = [group for group in composition.choices if word in composition.options_of(group)]
    if groups:
        return [f"{group}={word}" for group in groups]
    configuration = composition.unresolved()
    known = [key for key in paths(configuration) if _is_set_by_itself(key, below(configuration, key))]
    if word in composition.choices:
        return [f"{word}=<choice>, of which --help {word} lists all"]
    leaves = [key for key in known if key == word or key.rpartition(".")[2] == word]
    if not leaves:
        options = {each: f"{group}={each}" for group in composition.choices for each in composition.options_of(group)}
        close = difflib.get_close_matches(word, [*options, *known], n=1, cutoff=0.7)
        return [options.get(each, f"{each}={value}") for each in close]
    return [f"{key}={value}" for key in leaves]


def _whole_group(word: str, command: str) -> str | None:
    """`recipe/optimizer=sgd` for recipe.optimizer=sgd, if there is such a group."""
    key, _, value = word.partition("=")
    group = key.lstrip("+").replace(".", "/")
    if "." not in key or not re.fullmatch(r"\w+", value) or value == "null":
        return None
    if group not in groups(None):  # as nearly always; composing takes as long as all else before a run
        return None
    return f"{group}={value}" if group in _composition(command).choices else None


@functools.cache
def _composition(command: str) -> Composition:
    return Composition(command, conf_dir(), [])


def _is_set_by_itself(key: str, value: Any) -> bool:
    """Whether a key is neither one of Hydra's (`_target_`) nor follows another."""
    return not key.rpartition(".")[2].startswith("_") and not str(value).startswith("${")
