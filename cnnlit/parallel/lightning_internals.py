"""Everything in Lightning that is private or patched by this project's rooms parallel and callbacks."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from lightning import LightningModule, Trainer
from lightning.fabric.utilities.distributed import _set_num_threads_if_needed
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher
from torch import distributed

from cnnlit.parallel.processes import LAUNCHER


def disable_sigterm_broadcast(trainer: Trainer) -> None:
    """Stop Lightning from telling all processes of a run about SIGTERM; Checkpoints does that itself.

    Lightning broadcasts a flag before every step, which on a GPU waits for the device, and once more from its signal
    handler, which hangs unless every process received the signal at the same moment.
    """
    _replace(trainer.fit_loop.epoch_loop, "_broadcast_sigterm_tensor", lambda: None)
    _replace(trainer._signal_connector, "_sigterm_notifier_fn", lambda number, frame: None)


def _replace(owner: Any, name: str, function: Callable[..., None]) -> None:
    assert callable(getattr(owner, name)), name  # an upgrade that renames it must not pass unnoticed
    setattr(owner, name, function)


def leave_restart(trainer: Trainer) -> None:
    """Let a resumed run's first step proceed like any other; call it before that step.

    Lightning treats the run as restarting until the epoch ends, which leaves out one step of a per-epoch schedule; and
    it adds one to the count of steps that loggers see, without a step having been made.
    """
    trainer.fit_loop.restarting = False
    trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step


def count_averages_on_the_cpu(averaging: WeightAveraging) -> None:
    """Keep the count of averaged steps where the CPU reads it: it does twice a step, and would wait for the device."""
    mean: Any = averaging._average_model
    mean.n_averaged = mean.n_averaged.cpu()


def configure_with(module: LightningModule, configure: Callable[[], None]) -> None:
    """Make `configure` the module's configure_model hook: a strategy that spreads parameters insists on one."""
    module.configure_model = configure  # type: ignore[method-assign]


@contextmanager
def meeting_at(store: Any) -> Iterator[None]:
    """Within this block Lightning lets the processes meet at a store; at None as it usually does."""
    usual = distributed.init_process_group
    if store is not None:
        distributed.init_process_group = partial(usual, store=store)
    try:
        yield
    finally:
        distributed.init_process_group = usual


class Launcher(_SubprocessScriptLauncher):
    """Starts this command again for each further device of the machine.

    Lightning's launcher also kills the first process as soon as another one fails, before that failure can be recorded;
    here cnnlit.parallel.processes handles failures.
    """

    def launch(self, function: Callable[..., Any], *args: Any, trainer: Any = None, **kwargs: Any) -> Any:
        self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        if not self.cluster_environment.creates_processes_externally:
            os.environ[LAUNCHER] = str(os.getpid())  # see end_with_launcher
            self._call_children_scripts()
        _set_num_threads_if_needed(num_processes=self.num_processes)
        return function(*args, **kwargs)


class Launched:
    """Mixin that makes one of Lightning's strategies start its processes with Launcher."""

    cluster_environment: Any
    num_processes: int
    num_nodes: int

    def _configure_launcher(self) -> None:
        self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        if not self.cluster_environment.creates_processes_externally:
            self._launcher: Any = Launcher(self.cluster_environment, self.num_processes, self.num_nodes)
