"""What a second device, a checkpoint and a log cost, for LeNet-5 on MNIST, relative to training.

two processes: cnnlit's `trainer.devices=2` on the CPU, over gloo, each with half of the batch, against one process with
               all of it, and against a bare loop around torch's DistributedDataParallel in two processes with the same
               halves. CPU time is that of the busier process.
an epoch:      what the checkpoint at its end and the rows of metrics.csv add to STEPS steps.

All variants run the same number of steps; starting a process is not counted.
"""

import copy
import io
import multiprocessing
import os
import socket
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from rich.console import Console
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from benchmarks.lenet5_epoch import Epochs, Stopwatch
from benchmarks.timing import Claim, Clock, Cost, Costs, interleaved, ratio, seconds
from cnnlit import config
from cnnlit.callbacks import callbacks_of_a_run
from cnnlit.callbacks.progress import TrainingProgress
from cnnlit.data.loading.batch_sampler import Batches
from cnnlit.data.transforms.distortions import pad
from cnnlit.parallel.strategies import strategy_for
from cnnlit.parallel.trainer import build_trainer
from cnnlit.runs.folder import Run
from cnnlit.runs.metrics_file import MetricsFile
from cnnlit.training.module import ImageClassification

STEPS = 150
ROUNDS = 3
PROCESSES = 2


class Devices(Epochs):
    """The variants of an epoch on one or two devices; two processes run the same variant at the same time."""

    def trained(self, network: nn.Module, *, checkpoint: bool = True, log: bool = True) -> Cost:
        """An epoch as `python -m cnnlit.train` runs it, on as many devices as there are processes."""
        datamodule = config.build(self.settings["data"])
        datamodule.setup()
        task = ImageClassification(
            network, recipe=self.recipe, num_classes=self.settings["data"]["num_classes"], seed=self.settings["seed"]
        )
        run = Run(self._new_folder())
        world = distributed.get_world_size() if distributed.is_initialized() else 1
        strategy = strategy_for("auto", num_devices=world, timeout_seconds=300)
        trainer = {**self.settings["trainer"], "devices": world}
        loop: Any = build_trainer(
            partial(config.build, trainer, strategy=strategy),
            run,
            self.recipe,
            datamodule,
            callbacks_of_a_run(run, self.recipe, datamodule),
        )
        loop.loggers = [MetricsFile(run.folder)] if log else []
        if not checkpoint:
            loop.callbacks = [each for each in loop.callbacks if not isinstance(each, ModelCheckpoint)]
        stopwatch = Stopwatch()
        loop.callbacks = [stopwatch, *loop.callbacks]
        for callback in loop.callbacks:
            if isinstance(callback, TrainingProgress):
                callback.console = Console(file=io.StringIO(), force_terminal=True)
        loop.fit(task, datamodule=datamodule)
        return stopwatch.cost

    def bare_replicas(self, network: nn.Module) -> Cost:
        """The same steps in a loop around DistributedDataParallel that measures and writes nothing."""
        rank, world = distributed.get_rank(), distributed.get_world_size()
        batches = Batches(
            len(self.images), self.recipe.batch_size, order="fresh", seed=0, rank=rank, num_replicas=world
        )
        replica = DistributedDataParallel(network)
        optimizer = self.recipe.optimizer_for(network)
        schedule = self.recipe.schedule(optimizer, steps_per_epoch=self.steps, epochs=1)
        side = self.settings["data"]["image_size"]
        clock = Clock()
        clock.start()
        for _, (_, indices) in zip(range(self.steps), batches, strict=False):
            images = pad(self.images.index_select(0, indices), side)
            loss = self.recipe.loss(replica(images), self.labels.index_select(0, indices))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        return clock.stop()


def _in_process(rank: int, port: int, root: str, answers: Any) -> None:
    """One of the processes: runs all two-device variants interleaved; the first reports the larger cost of the two."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        devices = Devices(root, Path(folder), STEPS)
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": str(rank), "NODE_RANK": "0"}
        distributed.init_process_group("gloo", rank=rank, world_size=PROCESSES)
        variants: dict[str, Callable[[], Cost]] = {
            "two processes": lambda: devices.trained(copy.deepcopy(devices.network)),
            "bare replicas": lambda: devices.bare_replicas(copy.deepcopy(devices.network)),
        }
        costs = interleaved(variants, ROUNDS)
    gathered: list[Any] = [None] * PROCESSES
    distributed.all_gather_object(gathered, costs)
    if rank == 0:
        answers.put({name: [Cost(*map(max, *pair)) for pair in zip(*(c[name] for c in gathered), strict=True)]
                     for name in variants})  # fmt: skip
    distributed.destroy_process_group()


def _two_processes(root: str) -> Costs:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    processes = [context.Process(target=_in_process, args=(rank, port, root, answers)) for rank in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            raise RuntimeError(f"a process of two ended with code {process.exitcode}")
    costs: Costs = answers.get()
    return costs


def measure(root: str) -> list[Claim]:
    """The claims on devices, checkpoints and logs, on MNIST below `root`."""
    with tempfile.TemporaryDirectory() as folder:
        one = Devices(root, Path(folder), STEPS)
        variants: dict[str, Callable[[], Cost]] = {
            "one process": lambda: one.trained(copy.deepcopy(one.network)),
            "no checkpoint": lambda: one.trained(copy.deepcopy(one.network), checkpoint=False),
            "no log": lambda: one.trained(copy.deepcopy(one.network), log=False),
        }
        costs = {**interleaved(variants, ROUNDS), **_two_processes(str(Path(root).absolute()))}
    claims = [
        ratio(
            "two processes, cnnlit / bare replicas", costs, "two processes", "bare replicas", bound=1.2, at_most=True
        ),
        ratio("each of two processes / one process", costs, "two processes", "one process", bound=None, at_most=True),
        ratio("with a checkpoint / without", costs, "one process", "no checkpoint", bound=1.1, at_most=True),
        ratio("with metrics.csv / without", costs, "one process", "no log", bound=1.1, at_most=True),
    ]
    return claims + [seconds(f"  {name}, per step", costs, name, per=STEPS * 1e-3, unit="ms") for name in costs]
