"""Signals end a run in its own way, whatever handlers the Trainer installs meanwhile."""

import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cnnlit.callbacks.checkpoints import Checkpoints
from cnnlit.parallel.lightning_internals import disable_sigterm_broadcast
from cnnlit.parallel.signals import StopSignals
from cnnlit.runs.folder import Run


class OneWeight(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self.weight.sum()

    def test_step(self, batch: Tensor, batch_idx: int) -> None: ...

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=1.0)


class Handlers(Callback):
    """Notes who would receive the signals in each step of training and testing."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_train_batch_start(self, *_: Any) -> None:
        self.seen += handlers()

    on_test_batch_start = on_train_batch_start


def handlers() -> list[Any]:
    return [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)]


def trainer_with(folder: Path, *callbacks: Callback) -> Trainer:
    return Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )


def test_training_and_test_hear_the_runs_signals_and_afterwards_they_are_as_before(tmp_path: Path) -> None:
    before = handlers()
    signals, watching = StopSignals(), Handlers()
    trainer = trainer_with(tmp_path, watching, Checkpoints(Run(tmp_path), signals))
    with signals:
        ours = handlers()
        trainer.fit(OneWeight(), DataLoader(torch.zeros(1)))
        assert handlers() == ours
        trainer.test(OneWeight(), DataLoader(torch.zeros(1)), verbose=False)
        assert handlers() == ours
    assert watching.seen == 2 * ours
    assert not set(ours) & set(before)
    assert handlers() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_ends_the_run_at_once_and_in_training_waits_for_the_step(number: signal.Signals) -> None:
    with StopSignals() as signals:
        signals.training = True
        signal.raise_signal(number)
        assert signals.received == number
        signals.training = False
        with pytest.raises(SystemExit) as left:
            signal.raise_signal(number)
    assert left.value.code == 128 + number


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    before = handlers()
    within: list[Any] = []

    def enter() -> None:
        with StopSignals():
            within.extend(handlers())

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert within == before


class Terminated(OneWeight):
    """Is sent SIGTERM in its first step, as one of several processes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.monkeypatch = monkeypatch
        self.sent: list[Any] = []

    def on_train_start(self) -> None:
        self.monkeypatch.setattr(Trainer, "world_size", 2)
        self.monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
        self.monkeypatch.setattr(torch.distributed, "broadcast", lambda tensor, **_: self.sent.append(tensor))

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        signal.raise_signal(signal.SIGTERM)
        return super().training_step(batch, batch_idx)

    def on_train_batch_end(self, *_: Any) -> None:
        self.monkeypatch.undo()


def test_with_several_processes_lightning_broadcasts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, module = trainer_with(tmp_path), Terminated(monkeypatch)
    disable_sigterm_broadcast(trainer)
    with StopSignals() as signals:
        signals.training = True
        trainer.fit(module, DataLoader(torch.zeros(1)))
    assert signals.received == signal.SIGTERM
    assert not module.sent
