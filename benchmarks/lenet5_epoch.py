"""An epoch of LeNet-5 on MNIST: with cnnlit, in a bare PyTorch loop, and in the usual Lightning code.

cnnlit: what `python -m cnnlit.train data=mnist` builds: Trainer, module, data module, metrics.csv, progress bar,
        checkpoint.
bare:   a loop over the same tensors with the same indices; same network, loss, optimizer, schedule and padding; it
        measures and writes nothing, and its environment is not modified by Lightning. Both must end with the same
        weights, to the bit, or the benchmark refuses.
common: torchvision.datasets.MNIST with per-sample transforms, a DataLoader without workers, a torchmetrics forward and
        two self.log calls per step, Lightning's own progress bar and CSVLogger; same loss, optimizer and schedule. With
        cnnlit's LeNet5, and with the same function in the layers one would write down first.

An epoch runs from Lightning's on_train_epoch_start to its on_train_end, so that logging, the bar's last line and the
final checkpoint count, but the setup of fit does not. Against the bare loop it is a whole epoch, 938 batches; against
the usual code only the first COMMON_STEPS batches, which charges cnnlit's per-epoch costs several times over. There is
no validation. The progress bars of both Lightning variants are rendered as for a terminal, and discarded.
"""

import copy
import io
import logging
import os
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import hydra
import torch
import torchvision
from lightning import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.loggers import CSVLogger
from omegaconf import OmegaConf
from rich.console import Console
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassAccuracy
from torchvision import transforms

from benchmarks.distortions import random_affine, to_the_network
from benchmarks.timing import Claim, Clock, Cost, interleaved, ratio, seconds
from cnnlit import config
from cnnlit.callbacks import callbacks_of_a_run
from cnnlit.callbacks.progress import TrainingProgress
from cnnlit.config.hydra_internals import DEFAULTS
from cnnlit.data.loading.batch_sampler import BatchSampler
from cnnlit.data.small_sets.finding import find, places
from cnnlit.data.small_sets.idx_files import find_idx, unpack
from cnnlit.data.small_sets.published import SETS
from cnnlit.data.transforms.distortions import pad
from cnnlit.models.lenet5 import C3_TABLE, LeNet5, digit_codes
from cnnlit.parallel.trainer import build_trainer, quieten
from cnnlit.runs.folder import Run
from cnnlit.runs.metrics_file import MetricsFile
from cnnlit.training.module import ImageClassification
from cnnlit.training.recipe import Recipe

STEPS = 938
ROUNDS = 4
COMMON_STEPS = 120
COMMON_ROUNDS = 2  # these take longer, and differ by more
TOLERANCE = 1e-3  # on distances of about a hundred


class OrdinaryLeNet5(nn.Module):
    """LeNet-5 in plain layers, the same function as cnnlit's with the same parameters: [N, 1, 32, 32] -> [N, 10].

    Args:
        network: its parameters are copied.
    """

    def __init__(self, network: LeNet5) -> None:
        super().__init__()
        self.conv1, self.conv3, self.conv5 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5), nn.Conv2d(16, 120, 5)
        self.linear6 = nn.Linear(120, 84)
        self.pool = nn.AvgPool2d(2)
        self.coefficient2, self.bias2 = nn.Parameter(torch.ones(6, 1, 1)), nn.Parameter(torch.zeros(6, 1, 1))
        self.coefficient4, self.bias4 = nn.Parameter(torch.ones(16, 1, 1)), nn.Parameter(torch.zeros(16, 1, 1))
        connected = torch.tensor([[float(into in inputs) for into in range(6)] for inputs in C3_TABLE])
        self.connected: Tensor
        self.register_buffer("connected", connected[:, :, None, None])
        self.codes: Tensor
        self.register_buffer("codes", digit_codes())
        self._copy(network)

    @torch.no_grad()
    def _copy(self, network: Any) -> None:
        for ours, theirs in ((self.conv1, network.c1), (self.conv5, network.c5), (self.linear6, network.f6)):
            ours.load_state_dict(theirs.state_dict())
        self.conv3.weight.zero_()
        self.conv3.weight[self.connected[:, :, 0, 0].bool()] = network.c3.weight
        self.conv3.load_state_dict({"weight": self.conv3.weight, "bias": network.c3.bias})
        for number, layer in ((2, network.s2), (4, network.s4)):
            getattr(self, f"coefficient{number}").copy_(4 * layer.coefficient[:, None, None])
            getattr(self, f"bias{number}").copy_(layer.bias[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        x = _scaled_tanh(self.conv1(images))
        x = _scaled_tanh(self.pool(x) * self.coefficient2 + self.bias2)
        weight = self.conv3.weight * self.connected
        x = _scaled_tanh(nn.functional.conv2d(x, weight, self.conv3.bias))
        x = _scaled_tanh(self.pool(x) * self.coefficient4 + self.bias4)
        x = _scaled_tanh(self.conv5(x)).flatten(1)
        x = _scaled_tanh(self.linear6(x))
        return -(x[:, None] - self.codes).square().sum(2)


def _scaled_tanh(a: Tensor) -> Tensor:
    return 1.7159 * torch.tanh(2 * a / 3)


class CommonModule(LightningModule):
    """A LightningModule as in a typical template."""

    def __init__(self, network: nn.Module, recipe: Recipe, steps: int) -> None:
        super().__init__()
        self.network = network
        self.steps = steps
        self.recipe = recipe
        self.accuracy = MulticlassAccuracy(num_classes=10, average="micro")

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        logits = self.network(images)
        loss: Tensor = self.recipe.loss(logits, labels)
        self.accuracy(logits.argmax(dim=1), labels)
        self.log("train/loss", loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log("train/accuracy", self.accuracy, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def configure_optimizers(self) -> Any:
        optimizer = self.recipe.optimizer(self.network.parameters())
        schedule = self.recipe.schedule(optimizer, steps_per_epoch=self.steps, epochs=1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Stopwatch(Callback):
    """Measures the epoch of a one-epoch fit, including everything done at its end."""

    def __init__(self) -> None:
        self.clock = Clock()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.clock.start()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.cost = self.clock.stop()


class Epochs:
    """The variants; each method runs one epoch from the same initial weights and returns its cost.

    Args:
        root: the folder with MNIST's files.
        folder: for all output.
        steps: batches per epoch.
    """

    def __init__(self, root: str, folder: Path, steps: int) -> None:
        quieten()
        logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
        warnings.filterwarnings("ignore", module="lightning")
        self.folder = folder
        self.steps = steps
        self.settings = _settings(root, steps)
        self.recipe: Recipe = config.build(self.settings["recipe"])
        train = find(SETS["mnist"], root).contents.train
        self.images, self.labels = train.pixels[:, 0], train.labels
        self.unpacked = _unpacked(root, folder / "unpacked")
        seed_everything(self.settings["seed"], verbose=False)
        self.network: LeNet5 = config.build(config.as_constructed(self.settings["model"]))
        self.ordinary = OrdinaryLeNet5(self.network)
        self._runs = 0
        self._check()

    def common(self, network: nn.Module, *, distorted: bool = False) -> Cost:
        affine = [random_affine(transforms)] if distorted else []
        transform = transforms.Compose([*affine, *to_the_network()])
        dataset = torchvision.datasets.MNIST(str(self.unpacked), train=True, transform=transform)
        loader = DataLoader(dataset, batch_size=self.recipe.batch_size, shuffle=True)
        stopwatch = Stopwatch()
        # Lightning's own choice where rich is installed.
        bar = RichProgressBar(console_kwargs={"file": io.StringIO(), "force_terminal": True})
        trainer = Trainer(
            accelerator="cpu",
            max_epochs=1,
            limit_train_batches=self.steps,
            callbacks=[stopwatch, bar],
            logger=CSVLogger(self._new_folder()),
            enable_model_summary=False,
        )
        trainer.fit(CommonModule(network, self.recipe, self.steps), loader)
        return stopwatch.cost

    def bare(self, network: nn.Module) -> Cost:
        batches = BatchSampler(len(self.images), self.recipe.batch_size, order="fresh", seed=self.settings["seed"])
        optimizer = self.recipe.optimizer(network.parameters())
        schedule = self.recipe.schedule(optimizer, steps_per_epoch=self.steps, epochs=1)
        # Set by Lightning on import; every optimizer step then looks for NVIDIA's library again.
        lightnings = os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
        clock = Clock()
        clock.start()
        for indices in torch.split(batches.presentations(0), self.recipe.batch_size)[: self.steps]:
            images = pad(self.images.index_select(0, indices), self.settings["data"]["image_size"])
            loss = self.recipe.loss(network(images), self.labels.index_select(0, indices))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        cost = clock.stop()
        if lightnings is not None:
            os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = lightnings
        return cost

    def cnnlit(self, network: nn.Module, *, distorted: bool = False) -> Cost:
        distortion = "affine1998" if distorted else "none"
        settings = {**self.settings, "data": {**self.settings["data"], "distortion": distortion}}
        datamodule = config.build(settings["data"])
        datamodule.setup()
        task = ImageClassification(network, recipe=self.recipe, num_classes=10, seed=settings["seed"])
        run = Run(self._new_folder())
        loop: Any = build_trainer(
            partial(config.build, settings["trainer"]),
            run,
            self.recipe,
            datamodule,
            callbacks_of_a_run(run, self.recipe, datamodule),
        )
        loop.loggers = [MetricsFile(run.folder)]
        stopwatch = Stopwatch()
        loop.callbacks = [stopwatch, *loop.callbacks]
        for callback in loop.callbacks:
            if isinstance(callback, TrainingProgress):
                callback.console = Console(file=io.StringIO(), force_terminal=True)
        loop.fit(task, datamodule=datamodule)
        assert run.checkpoint.is_file()
        assert (run.folder / "metrics.csv").is_file()
        return stopwatch.cost

    def _check(self) -> None:
        """Refuse to compare variants that do not compute the same.

        Raises:
            RuntimeError: if logits or trained weights differ.
        """
        images = pad(self.images[:64], self.settings["data"]["image_size"])
        if (apart := (self.network(images) - self.ordinary(images)).abs().max().item()) > TOLERANCE:
            raise RuntimeError(f"the ordinary layers give logits that differ by {apart}")
        looped, trained = copy.deepcopy(self.network), copy.deepcopy(self.network)
        self.bare(looped)
        self.cnnlit(trained)
        for name, weights in looped.state_dict().items():
            if not torch.equal(weights, trained.state_dict()[name]):
                raise RuntimeError(f"cnnlit and the bare loop end with different {name}")

    def _new_folder(self) -> Path:
        self._runs += 1
        return self.folder / f"run{self._runs}"


def measure(root: str) -> list[Claim]:
    """The claims on an epoch, on MNIST below `root`."""
    with tempfile.TemporaryDirectory() as folder:
        whole = Epochs(root, Path(folder) / "whole", STEPS)
        variants = {
            "bare loop": lambda: whole.bare(copy.deepcopy(whole.network)),
            "cnnlit": lambda: whole.cnnlit(copy.deepcopy(whole.network)),
        }
        beside_bare = interleaved(variants, ROUNDS)
        epochs = Epochs(root, Path(folder) / "part", COMMON_STEPS)
        variants = {"cnnlit": lambda: epochs.cnnlit(copy.deepcopy(epochs.network))}
        variants["cnnlit, distorted"] = lambda: epochs.cnnlit(copy.deepcopy(epochs.network), distorted=True)
        for distorted, ending in ((False, ""), (True, ", distorted")):
            for layers in ("LeNet5", "ordinary layers"):
                network = epochs.network if layers == "LeNet5" else epochs.ordinary
                variants[f"common, {layers}{ending}"] = partial(_common, epochs, network, distorted)
        beside_common = interleaved(variants, COMMON_ROUNDS)
    claims = [ratio("cnnlit / bare loop", beside_bare, "cnnlit", "bare loop", bound=1.10, at_most=True)]
    for ending, bound in (("", 1.8), (", distorted", 2.5)):
        for layers in ("LeNet5", "ordinary layers"):
            over, under = f"common, {layers}{ending}", f"cnnlit{ending}"
            claims.append(ratio(f"{over} / {under}", beside_common, over, under, bound=bound, at_most=False))
    for costs, steps in ((beside_bare, STEPS), (beside_common, COMMON_STEPS)):
        claims += [seconds(f"  {name}, per step", costs, name, per=steps * 1e-3, unit="ms") for name in costs]
    return claims


def _common(epochs: Epochs, network: nn.Module, distorted: bool) -> Cost:
    return epochs.common(copy.deepcopy(network), distorted=distorted)


def _settings(root: str, steps: int) -> config.Node:
    """The configuration of `python -m cnnlit.train data=mnist`, limited to one short epoch."""
    overrides = ["data=mnist", f"data.root={Path(root).absolute()}", "data.val_split=0", "logger=csv", "trainer=cpu"]
    overrides += ["recipe.epochs=1", "trainer.precision=32-true", f"+trainer.limit_train_batches={steps}"]
    with hydra.initialize_config_dir(str(config.conf_dir()), **DEFAULTS):
        settings: config.Node = OmegaConf.to_container(  # type: ignore[assignment]
            hydra.compose("train", overrides=overrides), resolve=True
        )
    return settings


def _unpacked(root: str, folder: Path) -> Path:
    """A folder with MNIST as torchvision expects it: uncompressed; `root` may be read-only."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in find_idx(SETS["mnist"], places(SETS["mnist"], Path(root))):
        (raw / file.name).write_bytes(unpack(file.packed()))
    return folder
