"""cnnlit.fit: a run from Python, as `python -m cnnlit.train` makes it, with errors in place of exit codes."""

import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnlit import config
from cnnlit.callbacks import stop_signals
from cnnlit.config import Node
from cnnlit.experiment.assembly import begin, note_start
from cnnlit.experiment.configuration import compose_for, read_words
from cnnlit.experiment.fitting import ENDINGS, fit_and_test
from cnnlit.experiment.given_objects import FitSettings, check_objects, check_same, named_class, with_objects
from cnnlit.experiment.trained_network import TrainedNetwork, load
from cnnlit.files import shown
from cnnlit.parallel.devices import as_it_was, num_devices
from cnnlit.parallel.worlds import new_run_folder, started_elsewhere
from cnnlit.runs.folder import Run
from cnnlit.runs.origin import command_line
from cnnlit.runs.reading import read_config, read_test

if TYPE_CHECKING:
    from lightning import LightningDataModule
    from torch import nn

INTERRUPTED = 128 + signal.SIGINT
REFUSED = 2
LINES_KEPT = 50


class RefusedError(ValueError):
    """What cannot be trained, in the one line with which the command would refuse it; nothing was written."""


class FailedRunError(RuntimeError):
    """Ended a run, in the one line with which the command would end, and the word that goes on with it.

    Attributes:
        folder: of the run.
    """

    def __init__(self, line: str, folder: Path) -> None:
        super().__init__(f"{line}; {_going_on(folder)}")
        self.folder = folder


@dataclass(frozen=True)
class FitResult:
    """A finished run.

    Attributes:
        metrics: of its test, as test.json has them.
        folder: of the run.
        network: as `cnnlit.load` gives it.
    """

    metrics: dict[str, Any]
    folder: Path
    network: TrainedNetwork

    def __repr__(self) -> str:
        wrong, of = self.metrics["test/num_errors"], self.metrics["test/num_images"]
        error, loss = self.metrics["test/error"], self.metrics["test/loss"]
        return f"test error {error:.2%}, {wrong} of {of} images; test loss {loss:.4f}; {shown(self.folder)}"


def fit(
    *overrides: str,
    model: "nn.Module | None" = None,
    data: "LightningDataModule | None" = None,
    config_dir: str | Path | None = None,
    folder: str | Path | None = None,
) -> FitResult:
    """Train a network and test it once, as `python -m cnnlit.train` with these words does, to the same bits.

    The process stays as it was: its random numbers, number of threads and signal handlers. On several devices the
    command itself runs as a process of its own.

    Args:
        overrides: as on the command line: `"model=vgg16"`, `"recipe.epochs=3"`, `"resume=<folder>"`.
        model: a network in place of the configured one; it is copied, and stays as it is. The run begins with its
            weights, so that `seed` does not decide them.
        data: a DataModule in place of the configured one. If it knows nothing of this project, the words have to say
            `data.num_classes`, `data.image_size`, `data.in_channels`.
        config_dir: a folder of your own configuration files, as `--config-dir`.
        folder: for the run; None for a new one below `run_root`.

    Raises:
        RefusedError: a ValueError: one line about what cannot be trained.
        FailedRunError: a RuntimeError: one line about what ended the run.
        KeyboardInterrupt: on Ctrl-C, or a notebook's stop button, after the run was saved; says how it goes on.
    """
    with config.raising(RefusedError):
        _refuse_other_places(overrides, folder)
        check_objects(model, data)
        words = read_words(overrides)
        settings = _settings(words, model, data, config_dir)
        place = Path(folder).absolute() if folder else Path(new_run_folder(settings.resume, settings.run_root))
        place = place.absolute()
    if _num_devices(settings) > 1:
        with config.raising(RefusedError):
            _refuse_objects(settings)
        _run_command(words, config_dir, place)
    else:
        _run_here(settings, place, words, config_dir)
    network = load(place, model=model, data=data)
    return FitResult(read_test(place), place, network)


def _refuse_other_places(overrides: Sequence[str], folder: str | Path | None) -> None:
    for word in overrides:
        if word.startswith(("hydra.", "hydra/")):
            raise ValueError(f"{word}: cnnlit.fit trains one run; folder=... says where")
        if word.startswith("resume=") and folder:
            raise ValueError(f"folder={folder}: a run goes on where it is; leave it out")
    if started_elsewhere():
        raise ValueError("cnnlit.fit is one process; torchrun and srun start python -m cnnlit.train")


def _settings(words: Sequence[str], model: Any, data: Any, config_dir: str | Path | None) -> FitSettings:
    node = compose_for(words, config_dir, model, data)
    node = _of_run_before(node, words, model, data) if node["resume"] else with_objects(node, model, data)
    if node["replicas"] > 1:
        raise ValueError(f"replicas={node['replicas']}: cnnlit.fit trains one run; call it for each seed")
    return FitSettings(**node, network=model, datamodule=data)


def _of_run_before(node: Node, words: Sequence[str], model: Any, data: Any) -> Node:
    """The configuration of the run that is resumed; its objects have to be given again."""
    folder = Path(node["resume"])
    before = read_config(folder)
    config.refuse_changes(words, folder, alone=True)
    check_same(before, model, data)
    before = config.with_changes(before, node, words)
    given = {key for key, value in (("model", model), ("data", data)) if value is not None}
    config.check({key: value for key, value in before.items() if key not in given}, FitSettings)
    return node | before


def _num_devices(settings: FitSettings) -> int:
    trainer = settings.trainer
    with config.raising(RefusedError):
        return num_devices(trainer["accelerator"], trainer["devices"]) * int(trainer["num_nodes"])


def _refuse_objects(settings: FitSettings) -> None:
    for key, given in (("model", settings.network), ("data", settings.datamodule)):
        if given is not None:
            raise ValueError(
                f"{key}: an object cannot be handed to the processes of several devices; add trainer.devices=1, or "
                f"name its class: {key}._target_={named_class(given)}"
            )


def _run_here(settings: FitSettings, place: Path, words: Sequence[str], config_dir: str | Path | None) -> None:
    run = Run(place, command=_command(settings, words, config_dir))
    with as_it_was():
        with config.raising(RefusedError):
            settings.check()
            decided, assembly = begin(settings, run)
        stop_signals(assembly.trainer).ends_process = False
        try:
            note_start(decided, assembly, run)
            fit_and_test(run, assembly, decided, says=False)
        except ENDINGS as error:
            raise FailedRunError(" ".join(str(error).split()), place) from error
        except SystemExit as stop:
            if stop.code == INTERRUPTED:
                raise KeyboardInterrupt(_going_on(place)) from None
            raise  # whoever sent SIGTERM wants the program to end
        except KeyboardInterrupt:  # pressed again
            raise KeyboardInterrupt(_going_on(place)) from None


def _going_on(folder: Path) -> str:
    return f"resume={shown(folder)} goes on with the run"


def _command(settings: FitSettings, words: Sequence[str], config_dir: str | Path | None) -> str:
    """What makes the run again: a command line, or with objects the call."""
    own = [f"--config-dir={config_dir}"] if config_dir else []
    given = [("model", settings.network), ("data", settings.datamodule)]
    objects = [f"{key}=<{named_class(value)}>" for key, value in given if value is not None]
    if not objects:
        return command_line([*own, *words])
    own = [f"config_dir={str(config_dir)!r}"] if config_dir else []
    return f"cnnlit.fit({', '.join([*map(repr, words), *objects, *own])})"


def _run_command(words: Sequence[str], config_dir: str | Path | None, place: Path) -> None:
    """Let the command train, in processes of its own, and show what it says."""
    own = [f"--config-dir={config_dir}"] if config_dir else []
    there = [] if any(word.startswith("resume=") for word in words) else [f"hydra.run.dir={place}"]
    command = [sys.executable, "-m", "cnnlit.train", *own, *words, *there]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        said = _said(process)
    lines = [line.removeprefix("cnnlit: ").strip() for line in said if line.startswith("cnnlit: ")]
    line = next((line for line in lines if "this goes on with the run" not in line), "the command ended without a word")
    if process.returncode == REFUSED:
        raise RefusedError(line)
    if process.returncode == INTERRUPTED:
        raise KeyboardInterrupt(_going_on(place))
    if process.returncode:
        raise FailedRunError(line, place)


def _said(process: "subprocess.Popen[str]") -> Sequence[str]:
    """The last lines of a process, all of which are shown; Ctrl-C is handed on to it."""
    last: deque[str] = deque(maxlen=LINES_KEPT)
    assert process.stdout
    while True:
        try:
            for line in process.stdout:
                last.append(line)
                print(line, end="", file=sys.stderr, flush=True)  # noqa: T201
            process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
        else:
            return last
