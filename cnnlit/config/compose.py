"""Hydra's side: composing a configuration, what of it was chosen, and what is wrong with it in one line."""

import difflib
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from cnnlit.config.hydra_internals import instantiate, register_resolver, searching
from cnnlit.config.nodes import Node
from cnnlit.config.plain_modules import adapted
from cnnlit.config.schema import below, check, check_source, named, nearest, options_of, settings_of, with_new_targets
from cnnlit.config.signatures import name_of, read_signature

COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException, YAMLError)

SOURCES: Node = {"weights": None, "init_from": None, "pretrained": False}
"""Keys of models that name their initial weights, and what says none. The last one is timm's."""

CONFIG_DIR = ("--config-dir", "-cd")
"""Hydra's option for a folder of one's own."""


def conf_dir() -> Path:
    """The folder of configuration files: the checkout's, or else the one that came with the wheel."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent / "conf"
    # An editable install may leave an old copy inside the package: the checkout wins.
    return checkout if (package.parent / "pyproject.toml").is_file() and checkout.is_dir() else package / "conf"


def container(composed: DictConfig, words: Iterable[str]) -> Node:
    """A composed configuration as plain containers, resolved; see with_new_targets.

    Args:
        composed: by Hydra.
        words: the overrides that it was composed with.
    """
    node = with_new_targets(OmegaConf.to_container(composed, resolve=True), words)  # type: ignore[arg-type]
    return {**node, "data": adapted(node["data"], words)} if isinstance(node.get("data"), dict) else node


def build(node: Node, *args: Any, **keywords: Any) -> Any:
    """Call what the node's `_target_` names with the node's keys and these arguments."""
    return instantiate(node, *args, **keywords)


def without_sources(model: Node) -> Node:
    """The node of a model without published weights and earlier runs to take its initial weights from."""
    known = options_of(named(model["_target_"])).known
    nothing = {key: value for key, value in SOURCES.items() if key in model and key in known}
    return {key: value for key, value in model.items() if key not in SOURCES} | nothing


def as_constructed(model: Node) -> Node:
    """The node of a model without `weights` that are none, unless its constructor takes them."""
    known = options_of(named(model["_target_"])).known
    return {key: value for key, value in model.items() if key != "weights" or value is not None or key in known}


def run_folder() -> Path:
    """The folder of this run, as Hydra made it."""
    return Path(HydraConfig.get().runtime.output_dir)


def overrides() -> list[str]:
    """What the command line changes, without Hydra's own options."""
    return list(HydraConfig.get().overrides.task)


def choice(group: str) -> str:
    """What was chosen of a group (`model`)."""
    return str(HydraConfig.get().runtime.choices[group])


def command_words() -> list[str]:
    """What the command line changes, and the folder of own files that it names; without Hydra's other options."""
    own = next(
        (each.path for each in HydraConfig.get().runtime.config_sources if each.provider == "command-line"), None
    )
    return [*overrides(), *(["--config-dir", own] if own else [])]


def compose_again(function: Callable[..., Any], line: list[str], *, by_source: bool = False) -> Node:
    """What a command would be given by another command line, checked.

    Args:
        function: the command.
        line: overrides, and maybe `--config-dir`, which is searched instead of this command's own.
        by_source: whether to check only what is told without importing what is named, see check_source.

    Raises:
        ValueError: one line about what is wrong with them.
    """
    own, words = _split_options(line)
    at_work = GlobalHydra.instance().is_initialized()  # in a command; Python may ask too
    with nullcontext() if at_work and not own else searching(conf_dir(), own):
        try:
            node = container(hydra.compose(function.__name__, words), words)
        except COMPOSITION_ERRORS as error:
            raise ValueError(composition_message(error, function.__name__, line)) from None
    check_source(node, name_of(settings_of(function)))
    if not by_source:
        check(node, function)
    return node


def _split_options(line: Iterable[str]) -> tuple[Path | None, list[str]]:
    """The folder that `--config-dir` names, and the overrides."""
    own, words = None, []
    rest = iter(line)
    for word in rest:
        option, equals, value = word.partition("=")
        if option in CONFIG_DIR:
            own = Path(value if equals else next(rest, ""))
            if not own.is_dir():
                raise ValueError(f"--config-dir {own}: there is no such folder")
        elif word.startswith("-"):
            raise ValueError(f"{word}: of Hydra's options only --config-dir can stand here")
        else:
            words.append(word)
    return own, words


def compose_seeds(function: Callable[..., Any], seeds: Iterable[int]) -> list[Node]:
    """What the running command would be given for a single run with each of these seeds."""
    settings = hydra.compose(function.__name__, [*overrides(), "replicas=1"])
    nodes: list[Node] = []
    for seed in seeds:
        settings["seed"] = seed  # other values follow from it
        nodes.append(container(settings, overrides()))
    return nodes


def overridden(before: Node, data: Node, function: Callable[..., Any], own: Iterable[str], said: str) -> Node:
    """The configuration of a trained network, with what the command line changes in its data.

    `data=` may name the run's own kind of data, which brings its keys to the command line, but no other kind.

    Args:
        before: its configuration.
        data: the command's data.
        function: the command.
        own: how the words of the command line begin that say nothing about the run.
        said: how the network was named, for messages.

    Raises:
        ValueError: if the command line changes anything else of the run.
    """
    kind = [word for word in overrides() if word.startswith("data=")]
    same = all(data.get(key) == before["data"].get(key) for key in ("_target_", "source"))
    others = [word for word in overrides() if not word.lstrip("+").startswith(("data=", "data.", *own))]
    if others := [*others, *([] if same else kind)]:
        raise ValueError(f"{said}: it is tested as it was trained; leave out {' '.join(others)}")
    settings = {**before, "data": dict(before["data"])}
    for override in overrides():
        if override.startswith("data."):
            key = override.removeprefix("data.").partition("=")[0].partition(".")[0]
            settings["data"][key] = data[key]
    check({key: settings[key] for key in ("model", "data", "recipe")}, function)
    return settings


def composition_message(error: Exception, name: str, line: Sequence[str] | None = None) -> str:
    """Hydra's own complaints in one line, with the nearest match that it does not offer.

    Args:
        error: Hydra's.
        name: of the command.
        line: its arguments; None for those of this process.
    """
    line = sys.argv[1:] if line is None else line
    text = str(error)
    parts = [text] + ([str(error.__cause__)] if error.__cause__ else [])
    available = re.search(r"Could not find '([^']+)'\n\nAvailable options in '([^']+)':\n((?:\t.*\n?)*)", text)
    if available:
        group, option = available[2], available[1].rpartition("/")[2]
        return f"{group}={option}: no such choice{nearest(option, available[3].split())}"
    if isinstance(error, OverrideParseException):
        return f"{error.override}: cannot be read as key=value ({text.splitlines()[0]})"
    unknown = re.search(r"full_key: (\S+)", " ".join(parts))
    if unknown and "not in struct" in " ".join(parts):
        key = unknown[1].strip(".")
        if "/" in key:
            return f"{key}: no such group{nearest(key, groups(_own_dir(line)))}"
        return f"{key}: no such option{_nearest_key(key, name, line)}"
    return " ".join(" ".join(parts).split())


def _own_dir(line: Sequence[str]) -> Path | None:
    """The folder that `--config-dir` names among a command's arguments."""
    for word, following in zip(line, [*line[1:], ""], strict=True):
        option, equals, value = word.partition("=")
        if option in CONFIG_DIR:
            return Path(value if equals else following)
    return None


def groups(own: Path | None) -> list[str]:
    """All groups that there are files of, in our folder and in one's own: `recipe/optimizer`."""
    roots = [conf_dir(), *([own] if own else [])]
    return sorted({str(path.parent.relative_to(root)) for root in roots for path in root.glob("*/**/*.yaml")})


def _nearest_key(key: str, name: str, line: Sequence[str]) -> str:
    """The nearest of all keys that the command has with the groups that were chosen."""
    own = _own_dir(line)
    known_groups = groups(own)
    chosen = [word for word in line if word.partition("=")[0] in known_groups]
    at_work = GlobalHydra.instance().is_initialized()  # as when a command composes another's configuration
    here = nullcontext() if at_work else searching(conf_dir(), own)
    with suppress(Exception), here:
        composed: Node = OmegaConf.to_container(hydra.compose(name, overrides=chosen))  # type: ignore[assignment]
        return _nearest_in(key, composed)
    return ""


def _nearest_in(key: str, composed: Node) -> str:
    """How to say a key that a configuration does not have."""
    above, _, leaf = key.rpartition(".")
    known = {path: below(composed, path) for path in paths(composed) if not f"{key}.".startswith(f"{path}.")}
    # Of two that are called alike, the one that is set by itself: the other follows from it.
    by_themselves = sorted(known, key=lambda path: not str(known[path]).startswith("${"))
    beside = {path.rpartition(".")[2]: path for path in known if path.rpartition(".")[0] == above}
    anywhere = {path.rpartition(".")[2]: path for path in by_themselves}
    for called in ({leaf: anywhere[leaf]} if leaf in anywhere else {}, beside, anywhere):
        if near := difflib.get_close_matches(leaf, called, n=1, cutoff=0.7):
            return f"; did you mean {called[near[0]]}?"
    return _nearest_below(key, below(composed, above) if above else None)


def _nearest_below(key: str, node: Any) -> str:
    """How to say a key of a node that has no such key, from its own and the arguments of its target."""
    if not isinstance(node, dict):
        return ""
    above, _, leaf = key.rpartition(".")
    addable = set(read_signature(str(node.get("_target_"))) or {}) - set(node)
    if near := difflib.get_close_matches(leaf, addable, n=1, cutoff=0.7):
        return f"; +{above}.{near[0]}=<value> adds {'it' if near[0] == leaf else 'that one'}"
    return f"; there is {', '.join(each for each in node if not each.startswith('_'))}"


def paths(node: Node, above: str = "") -> Iterator[str]:
    """The dotted keys of a configuration."""
    for key, value in node.items():
        path = f"{above}.{key}" if above else str(key)
        yield path
        if isinstance(value, dict):
            yield from paths(value, path)


def _matched(value: Any, choices: Node) -> Any:
    """The choice that goes with another value, so that an arm of an experiment may differ in two.

    `lr: ${match:${model.activation},{relu: 0.01, tanh: 0.03}}`
    """
    if value not in choices:
        raise ValueError(f"has no value for {value}, only for {', '.join(map(str, choices))}; give it one")
    return choices[value]


register_resolver("match", _matched)
