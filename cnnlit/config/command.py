"""The entry point of a command: composes its configuration, checks it, calls it, and refuses in one line."""

import functools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cnnlit.config.compose import COMPOSITION_ERRORS, composition_message, conf_dir, container, run_folder
from cnnlit.config.help import print_help, print_versions
from cnnlit.config.hydra_internals import DEFAULTS, search_own_files_first
from cnnlit.config.nodes import Node
from cnnlit.config.own_code import find as find_own_error
from cnnlit.config.own_code import in_one_line
from cnnlit.config.provenance import print_configuration
from cnnlit.config.schema import check, check_source, settings_of
from cnnlit.config.signatures import name_of
from cnnlit.config.typed_words import PLAIN, as_hydra_reads, quoted, refuse_misread
from cnnlit.files import why_unwritable
from cnnlit.systems.portable import is_unread

HELP, VERSION, CONFIG = ("--help", "-h"), "--version", "--config"
"""Words that ask about a command."""

ERASE_LINE = "\r\x1b[2K"

WRONG_INPUT = (ValueError, OSError, *COMPOSITION_ERRORS)

SIGPIPE_EXIT_CODE = 141
"""What a shell makes of SIGPIPE."""


class Failure(Exception):  # noqa: N818  of the command; this program has nothing to show for it
    """Ends a command with its message in one line and exit code 1."""


@dataclass(frozen=True)
class SeparateJobs:
    """How the jobs of a command's sweeps run, each in a process tree of its own.

    Attributes:
        begin: called when the command starts; whether this process is such a job.
        run: (command, configuration) -> the result of the job that another launcher than ours has called this
            process for; raises Failure if it fails.
    """

    begin: Callable[[], bool]
    run: Callable[[Callable[..., Any], Node], Any]


class _Composing:
    """Whether Hydra is composing the command line; what goes wrong is then the user's, to be told in one line."""

    now = False
    traceback_wanted = os.environ.get("HYDRA_FULL_ERROR") == "1"


def entry_point(
    function: Callable[..., Any], *, jobs: SeparateJobs | None = None, typed: Callable[..., None] | None = None
) -> Callable[[], None]:
    """The entry point of a command: composes conf/<name>.yaml, checks it, and calls the function with it.

    Args:
        function: a command, named like its configuration file. It takes the keys of that file as keyword-only
            annotated arguments, or as the fields of a dataclass that is its one argument.
        jobs: how the jobs of its sweeps run; None for Hydra's way, one after the other in this process.
        typed: is called with the same keys, and refuses what can be told of them before anything is imported that takes
            seconds; None for the `check_typed` of a dataclass.
    """
    is_job = False
    wanted = _Composing.traceback_wanted  # travels with the task to the processes of other launchers

    def task(composed: DictConfig) -> Any:
        begin(wanted)
        with showing_own_errors():
            return checked(composed)

    def checked(composed: DictConfig) -> Any:
        with refusing():
            node = container(composed, HydraConfig.get().overrides.task)
            if jobs and HydraConfig.get().mode == RunMode.MULTIRUN:
                return jobs.run(function, node)
            check_source(node, name_of(settings_of(function)))
            _check_typed(typed, function, node)
            with _a_word_meanwhile():
                unchecked = check(node, function)
        if "LOCAL_RANK" not in os.environ:
            mention_unchecked(unchecked)
            if jobs and not is_job:
                _mention_sweep()
        with _ending_unread():
            return _call(function, node)

    # Hydra names the job and DDP's child processes by the module of the function that it is given.
    functools.update_wrapper(task, function)

    def main() -> None:
        nonlocal is_job
        sys.argv[1:] = as_hydra_reads(sys.argv[1:])
        search_own_files_first()
        if _answered(function):
            return
        is_job = jobs is not None and jobs.begin()
        with _composing(function.__name__, traceback_wanted=wanted), _ending_unread():
            refuse_misread(sys.argv[1:], function.__name__)
            hydra.main(**DEFAULTS, config_path=str(conf_dir()), config_name=function.__name__)(task)()

    return main


def _answered(function: Callable[..., Any]) -> bool:
    """Whether the command line asks about the command and not for what it does; the answer is then printed."""
    asked = {word for word in sys.argv[1:] if word in (*HELP, VERSION, CONFIG)}
    if not asked:
        return False
    words = [word for word in sys.argv[1:] if word not in asked]
    with _composing(function.__name__, traceback_wanted=_Composing.traceback_wanted), _ending_unread():
        if VERSION in asked:
            print_versions()
        elif CONFIG in asked:
            print_configuration(function.__name__, conf_dir(), words)
        else:
            print_help(function, words)
    return True


@contextmanager
def _a_word_meanwhile() -> Iterator[None]:
    """On a terminal, say what takes its time: checking imports what is named, and that imports PyTorch."""
    wanted = sys.stderr.isatty() and "torch" not in sys.modules and "LOCAL_RANK" not in os.environ
    erasable = os.environ.get("TERM", "dumb") != "dumb"
    if wanted:
        print("importing PyTorch ...", end="" if erasable else "\n", file=sys.stderr, flush=True)  # noqa: T201
    try:
        yield
    finally:
        if wanted and erasable:
            print(end=ERASE_LINE, file=sys.stderr, flush=True)  # noqa: T201


def _check_typed(typed: Callable[..., None] | None, function: Callable[..., Any], node: Node) -> None:
    """Let a command, or its settings, refuse what can be told before anything that takes seconds is imported."""
    settings = settings_of(function)
    if typed:
        typed(**node)
    elif hasattr(settings, "check_typed"):
        settings(**node).check_typed()


def _call(function: Callable[..., Any], node: Node) -> Any:
    settings = settings_of(function)
    return function(**node) if settings is function else function(settings(**node))


@contextmanager
def _composing(name: str, *, traceback_wanted: bool) -> Iterator[None]:
    """Until `begin`, errors in here are refusals of the command line; a Failure is one line throughout."""
    _Composing.now = True
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises what goes wrong in composing, in place of printing it
    try:
        yield
    except (*COMPOSITION_ERRORS, ValueError) as error:
        if not _Composing.now:
            raise
        _refuse(composition_message(error, name))
    except OSError as error:
        if not _Composing.now:
            raise
        _refuse(_no_folder(error), exit_code=1)
    except Failure as error:
        _refuse(str(error), exit_code=1)
    except KeyboardInterrupt:
        _refuse("interrupted", exit_code=128 + signal.SIGINT)
    finally:
        if not traceback_wanted:  # nor by commands that this process calls later
            os.environ.pop("HYDRA_FULL_ERROR", None)


def _no_folder(error: OSError) -> str:
    """Hydra makes the folder of a run or a sweep, and could not."""
    key = "hydra.sweep.dir" if {"-m", "--multirun"} & set(sys.argv) else "hydra.run.dir"
    return f"{error.filename or key} {why_unwritable(error)}; {key}=... names another place"


def begin(traceback_wanted: bool = _Composing.traceback_wanted) -> None:
    """Composing is over: from here on, errors show where they come from."""
    _Composing.now = False
    if not traceback_wanted:
        os.environ.pop("HYDRA_FULL_ERROR", None)


@contextmanager
def refusing(
    kinds: type[Exception] | tuple[type[Exception], ...] = WRONG_INPUT, *, exit_code: int = 2
) -> Iterator[None]:
    """Errors that are the user's, or those of other kinds, end the command with one line and an exit code."""
    try:
        yield
    except kinds as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        cause = error.__cause__ if isinstance(error, HydraException) and error.__cause__ else error
        _remove_empty_folder()
        own = find_own_error(cause)
        if isinstance(cause, kinds):  # said on purpose, as far as anyone can tell
            _refuse(f"{cause} ({own.place})" if own else str(cause), exit_code)
        if own:
            raise  # a bug in there; see showing_own_errors
        _refuse(in_one_line(cause), exit_code)


@contextmanager
def raising(
    refusal: type[Exception], kinds: type[Exception] | tuple[type[Exception], ...] = WRONG_INPUT
) -> Iterator[None]:
    """For Python in place of `refusing`: those errors become a `refusal` with the line that would end a command."""
    try:
        yield
    except kinds as error:
        cause = error.__cause__ if isinstance(error, HydraException) and error.__cause__ else error
        if not isinstance(cause, kinds):
            raise cause from None  # a bug in the user's own class, which Hydra has wrapped
        raise refusal(" ".join(str(cause).split())) from cause


def _remove_empty_folder() -> None:
    """Remove the run's folder, which Hydra made, if nothing was written to it."""
    with suppress(ValueError, OSError, OmegaConfBaseException):
        os.removedirs(run_folder())


@contextmanager
def showing_own_errors() -> Iterator[None]:
    """An error in the user's own code ends the command with one line and the user's own lines that led there."""
    try:
        yield
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1" or not (own := find_own_error(error)):
            raise
        _remove_empty_folder()
        print(f"cnnlit: {own}", file=sys.stderr)  # noqa: T201
        sys.exit(1)


def quote(*keys: str) -> None:
    """Quote the values of these keys on the command line: without quotes, Hydra cannot read =, commas or é in them."""
    for place, word in enumerate(sys.argv):
        key, _, value = word.partition("=")
        if key in keys and value and not PLAIN.fullmatch(value) and value[0] not in "'\"[":
            sys.argv[place] = quoted(word)


@contextmanager
def _ending_unread() -> Iterator[None]:
    """`--help | head`: when the reader has seen enough, the command ends quietly."""
    try:
        yield
    except BrokenPipeError:
        if not is_unread(sys.stdout):  # another pipe broke, such as that of a worker
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where Python flushes the rest when it exits
        sys.exit(SIGPIPE_EXIT_CODE)


def mention_unchecked(keys: list[str]) -> None:
    """Say on stderr which keys of a configuration could not be checked."""
    if keys:
        print(f"not checked, for nothing says what they may be: {', '.join(keys)}", file=sys.stderr)  # noqa: T201


def _mention_sweep() -> None:
    params: Node = OmegaConf.to_container(HydraConfig.get().sweeper).get("params") or {}  # type: ignore[union-attr]
    if params:
        line = " ".join(f"{key}={values}" for key, values in params.items())
        print(f"one configuration; with -m, the file's sweep: {line}", file=sys.stderr)  # noqa: T201


def _refuse(message: str, exit_code: int = 2) -> NoReturn:
    line = " ".join(message.split())
    print(f"cnnlit: {line}", file=sys.stderr)  # noqa: T201
    sys.exit(exit_code)
