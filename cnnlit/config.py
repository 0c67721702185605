"""From Hydra's configuration to checked objects; whatever is wrong with it is one line and exit code 2.

The constructors are the schema. Every node with a `_target_` is checked against the annotated signature of what
it names: unknown keys, types, choices (Literal) and bounds (Annotated), before anything is built.
"""

import difflib
import functools
import importlib
import inspect
import json
import os
import re
import secrets
import select
import sys
import typing
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from cnnlit.sweeps.jobs import JobFailed

Node = dict[str, Any]
"""A part of the configuration as plain containers."""

Values = Annotated[Node, "values"]
"""A node that is only read: what its `_target_` names is not imported, nor are its keys checked against it."""


def conf_dir() -> Path:
    """The folder of configuration files: the checkout's, or else the one that came with the wheel."""
    package = Path(__file__).resolve().parent
    checkout = package.parent / "conf"
    # An editable install may leave an old copy inside the package: the checkout wins.
    return checkout if (package.parent / "pyproject.toml").is_file() and checkout.is_dir() else package / "conf"


class _Composing:
    """Whether Hydra is at work on the command line, so that what goes wrong is the user's, to be told in one line."""

    now = False
    traceback_wanted = os.environ.get("HYDRA_FULL_ERROR") == "1"


def command(function: Callable[..., Any], *, jobs_apart: bool = False) -> Callable[[], None]:
    """The entry point of a command: composes conf/<name>.yaml, checks it, calls the function with its keys.

    Args:
        function: a command, with one keyword-only annotated argument per key of its configuration file, which
            is named as the function is.
        jobs_apart: whether each job of a sweep runs in a process tree of its own.
    """

    is_job = False
    wanted = _Composing.traceback_wanted  # goes with the task to other launchers' processes

    def task(composed: DictConfig) -> Any:
        begin(wanted)
        with refusing():
            config: Node = OmegaConf.to_container(composed, resolve=True)  # type: ignore[assignment]
            if jobs_apart and HydraConfig.get().mode == RunMode.MULTIRUN:
                from cnnlit.sweeps.launcher import run_apart

                return run_apart(function, config)
            check(config, function)
        if jobs_apart and not is_job and "LOCAL_RANK" not in os.environ:
            _mention_sweep()
        with _ending_unread():
            return function(**config)

    # Hydra names the job and DDP's child processes by the module of the function that it is given.
    functools.update_wrapper(task, function)

    def main() -> None:
        nonlocal is_job
        sys.argv[1:] = map(_without_hyphens, sys.argv[1:])
        if jobs_apart:
            from cnnlit.sweeps import launcher, process_pool

            is_job = process_pool.end_with_parent()
            launcher.register()
        _Composing.now = True
        ConfigLoaderImpl.get_group_options = _group_options  # type: ignore[assignment]
        os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands over what goes wrong in composing, in place of printing it
        try:
            with _ending_unread():
                hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=function.__name__)(task)()
        except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
            if not _Composing.now:
                raise
            _refuse(_composition_message(error, function.__name__))
        except JobFailed as error:
            _refuse(str(error), exit_code=1)
        finally:
            if not wanted:  # nor do commands that this process calls later
                os.environ.pop("HYDRA_FULL_ERROR", None)

    return main


@contextmanager
def _ending_unread() -> Iterator[None]:
    """`--help | head`: when the reader has seen enough, the command ends without a word."""
    try:
        yield
    except BrokenPipeError:
        reader = select.poll()
        reader.register(sys.stdout, 0)
        if not reader.poll(0):  # another pipe broke, such as that of a worker
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what Python flushes at its end goes nowhere
        sys.exit(141)  # as a shell calls what SIGPIPE ends


def _without_hyphens(word: str) -> str:
    """`--key=value`, as W&B's agents write it, is key=value; Hydra's own options stay."""
    name, equals, _ = word.partition("=")
    options = get_args_parser()._option_string_actions
    return word.removeprefix("--") if equals and name.startswith("--") and name not in options else word


def _mention_sweep() -> None:
    params: Node = OmegaConf.to_container(HydraConfig.get().sweeper).get("params") or {}  # type: ignore[union-attr]
    if params:
        line = " ".join(f"{key}={values}" for key, values in params.items())
        print(f"one configuration; with -m, the file's sweep: {line}", file=sys.stderr)  # noqa: T201


def begin(traceback_wanted: bool = _Composing.traceback_wanted) -> None:
    """Composing is over: what goes wrong from here on shows where."""
    _Composing.now = False
    if not traceback_wanted:
        os.environ.pop("HYDRA_FULL_ERROR", None)


def _group_options(
    loader: ConfigLoaderImpl,
    group_name: str,
    results_filter: ObjectType | None = ObjectType.CONFIG,
    config_name: str | None = None,
    overrides: list[str] | None = None,
) -> list[str]:
    # Hydra's own copies all its files in memory for each group that --help lists, which doubles the time of --help.
    return loader.repository.get_group_options(group_name, results_filter)


def quote(*keys: str) -> None:
    """Put the values of these keys on the command line in quotation marks: Hydra reads no =, comma, é without."""
    for place, word in enumerate(sys.argv):
        key, _, value = word.partition("=")
        if key in keys and re.search(r"[^\w./:*+-]", value, re.ASCII) and value[0] not in "'\"[":
            escaped = value.replace("'", "\\'")
            sys.argv[place] = f"{key}='{escaped}'"


def build(node: Node, *args: Any, **keywords: Any) -> Any:
    """Call what the node's `_target_` names with the node's keys and these arguments."""
    return hydra.utils.instantiate(node, *args, _convert_="all", **keywords)


def without_sources(model: Node) -> Node:
    """The node of a model whose values are not to be read from anywhere: without published weights or earlier runs."""
    return {**model, **{key: None for key in ("weights", "init_from") if key in model}}


def run_folder() -> Path:
    """The folder of this run, as Hydra made it."""
    return Path(HydraConfig.get().runtime.output_dir)


def overrides() -> list[str]:
    """What the command line changed, without Hydra's own options."""
    return list(HydraConfig.get().overrides.task)


def choice(group: str) -> str:
    """What was chosen of a group (`model`)."""
    return str(HydraConfig.get().runtime.choices[group])


def composed(function: Callable[..., Any], line: list[str]) -> Node:
    """What a command would be given by another command line, checked.

    Args:
        function: the command that is running.
        line: overrides.

    Raises:
        ValueError: one line about what is wrong with them.
    """
    try:
        node: Node = OmegaConf.to_container(  # type: ignore[assignment]
            hydra.compose(function.__name__, line), resolve=True
        )
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise ValueError(_composition_message(error, function.__name__)) from None
    check(node, function)
    return node


def of_seeds(function: Callable[..., Any], seeds: Iterable[int]) -> list[Node]:
    """What the command that is running would be given for one replica of each of these seeds.

    Args:
        function: the command.
        seeds: of the replicas.
    """
    settings = hydra.compose(function.__name__, [*overrides(), "replicas=1"])
    nodes: list[Node] = []
    for seed in seeds:
        settings["seed"] = seed  # from which others follow
        nodes.append(OmegaConf.to_container(settings, resolve=True))  # type: ignore[arg-type]
    return nodes


def settings_of(folder: Path, data: Node, function: Callable[..., Any], own: Iterable[str]) -> Node:
    """The configuration of a run, with what the command line says about its data.

    Args:
        folder: of the run.
        data: the command's.
        function: the command.
        own: how its words begin that say nothing about the run.

    Raises:
        FileNotFoundError: if the folder holds no run.
        ValueError: if the command line says something else about the run.
    """
    from cnnlit.runs.reading import read_config

    settings = read_config(folder)
    others = [word for word in overrides() if not word.lstrip("+").startswith(("data.", *own))]
    if others:
        raise ValueError(f"run={folder}: it is tested as it was trained; leave out {' '.join(others)}")
    for override in overrides():
        if override.startswith("data."):
            key = override.removeprefix("data.").partition("=")[0].partition(".")[0]
            settings["data"][key] = data[key]
    check({key: settings[key] for key in ("model", "data", "recipe")}, function)
    return settings


def require_weights(model: Node) -> None:
    """Refuse a model that knows nothing, where no run is named."""
    if not model.get("weights"):
        raise ValueError(
            "run=null: name the folder of a run, or a model with published weights: "
            "model=resnet50 model.variant=torchvision model.weights=IMAGENET1K_V1 recipe=modern_images"
        )


def check_scale(weights: str | None, normalization: str | None) -> None:
    """Refuse published weights on images of another scale than theirs, with which they are silently worth nothing."""
    if weights and normalization != "mean_std":
        raise ValueError(
            f"data.normalization={normalization}: model.weights={weights} expect mean_std; "
            "add data.normalization=mean_std or recipe=modern_images"
        )


WRONG_INPUT = (ValueError, OSError, HydraException, OmegaConfBaseException, YAMLError)


@contextmanager
def refusing(
    kinds: type[Exception] | tuple[type[Exception], ...] = WRONG_INPUT, *, exit_code: int = 2
) -> Iterator[None]:
    """Whatever the user got wrong in here ends the command with one line and exit code 2; or errors of other kinds."""
    try:
        yield
    except kinds as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        cause = error.__cause__ if isinstance(error, HydraException) and error.__cause__ else error
        with suppress(ValueError, OSError):
            os.removedirs(run_folder())  # which Hydra made and nothing was written to
        _refuse(str(cause), exit_code)


def check(node: Node, target: Callable[..., Any], path: str = "") -> None:
    """Check a node's keys and values against the signature of what it will be given to, and so all nodes below.

    Raises:
        ValueError: one line that names the key, the value, what is allowed, and the nearest match.
    """
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    parameters = _parameters(target)
    for key, value in node.items():
        if key.startswith("_") and key.endswith("_"):
            continue
        name = f"{path}.{key}" if path else key
        if key not in parameters:
            raise ValueError(f"{name}: no such option{_nearest(key, parameters)}")
        if isinstance(value, dict) and "_target_" in value and parameters[key] != Values:
            check(value, _import(value["_target_"], name), name)
            continue
        if isinstance(value, list) and any(isinstance(each, dict) and "_target_" in each for each in value):
            for number, each in enumerate(value):
                place = f"{name}[{number}]"
                if not isinstance(each, dict) or "_target_" not in each:
                    raise ValueError(f"{place}={_shown(each)}: must be keys with a _target_")
                check(each, _import(each["_target_"], place), place)
            continue
        annotation = parameters[key]
        if annotation is inspect.Parameter.empty:
            continue
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


def _nearest(word: str, known: Iterable[str]) -> str:
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; there is {', '.join(known)}" if len(known) <= 30 else ""


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _composition_message(error: Exception, name: str) -> str:
    """Hydra's own complaints in one line, with the nearest match that it does not offer."""
    text = str(error)
    parts = [text] + ([str(error.__cause__)] if error.__cause__ else [])
    available = re.search(r"Could not find '([^']+)'\n\nAvailable options in '([^']+)':\n((?:\t.*\n?)*)", text)
    if available:
        group, choice = available[2], available[1].rpartition("/")[2]
        return f"{group}={choice}: no such choice{_nearest(choice, available[3].split())}"
    if isinstance(error, OverrideParseException):
        return f"{error.override}: cannot be read as key=value ({text.splitlines()[0]})"
    unknown = re.search(r"full_key: (\S+)", " ".join(parts))
    if unknown and "not in struct" in " ".join(parts):
        key = unknown[1].strip(".")
        if "/" in key:
            return f"{key}: no such group{_nearest(key, _groups())}"
        return f"{key}: no such option{_nearest_key(key, name)}"
    return " ".join(" ".join(parts).split())


def _groups() -> list[str]:
    return sorted({str(path.parent.relative_to(conf_dir())) for path in conf_dir().glob("*/**/*.yaml")})


def _nearest_key(key: str, name: str) -> str:
    """Of all keys that the command has without the overrides of values, the nearest."""
    groups = _groups()
    chosen = [word for word in sys.argv[1:] if word.partition("=")[0] in groups]
    at_work = GlobalHydra.instance().is_initialized()  # as when a command composes another's configuration
    here = nullcontext() if at_work else hydra.initialize_config_dir(str(conf_dir()), version_base="1.3")
    with suppress(Exception), here:
        composed: Node = OmegaConf.to_container(hydra.compose(name, overrides=chosen))  # type: ignore[assignment]
        known = list(_paths(composed))
        last = {path.rpartition(".")[2]: path for path in known}
        close = difflib.get_close_matches(key, known, n=1, cutoff=0.75)
        leaf = difflib.get_close_matches(key.rpartition(".")[2], last, n=1, cutoff=0.7)
        return f"; did you mean {close[0] if close else last[leaf[0]]}?" if close or leaf else ""
    return ""


def _paths(node: Node, above: str = "") -> Iterator[str]:
    for key, value in node.items():
        path = f"{above}.{key}" if above else str(key)
        yield path
        if isinstance(value, dict):
            yield from _paths(value, path)


def _refuse(message: str, exit_code: int = 2) -> NoReturn:
    line = " ".join(message.split())
    print(f"cnnlit: {line}", file=sys.stderr)  # noqa: T201
    sys.exit(exit_code)


def _new_run_folder(resume: str | None, root: str) -> str:
    """Where a run goes: the folder that is resumed, or a new one that no other run can have."""
    from cnnlit.parallel.processes import agree, started_elsewhere

    if resume:
        return str(Path(resume).absolute())
    folder = f"{root}/{datetime.now():%Y-%m-%d/%H-%M-%S}-{secrets.token_hex(4)}"
    return agree("run_folder", folder) if started_elsewhere() else folder


def _matched(value: Any, choices: Node) -> Any:
    """The choice that goes with another value, so that an arm of an experiment may differ in two.

    `lr: ${match:${model.activation},{relu: 0.01, tanh: 0.03}}`
    """
    if value not in choices:
        raise ValueError(f"has no value for {value}, only for {', '.join(map(str, choices))}; give it one")
    return choices[value]


OmegaConf.register_new_resolver("run_folder", _new_run_folder, use_cache=True, replace=True)
OmegaConf.register_new_resolver("match", _matched, replace=True)
