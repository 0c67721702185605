"""A training step of the networks for photographs: ours, torchvision's and timm's, and ours in the whole framework.

All take the same batch, random pixels that lie on the device, in bfloat16 (autocast), channels_last, compiled, with
SGD with momentum. torchvision's and timm's networks are stepped as timm's own benchmark does it. Ours is stepped so
too, but for the fused optimizer that cnnlit takes on a GPU; then the same compiled network by what
`python -m cnnlit.train` builds, with its module, running loss and error, checks and bar.
"""

import io
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning import Callback, LightningDataModule, LightningModule, Trainer
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from benchmarks.gpu.measuring import Rate, Row, Scale, faster, interleaved, leaving_nothing, missing, rate, ratio
from benchmarks.gpu.stand_ins import is_here
from cnnlit.callbacks import callbacks_of_a_run
from cnnlit.callbacks.progress import TrainingProgress
from cnnlit.models.alexnet import AlexNet
from cnnlit.models.googlenet import GoogLeNet
from cnnlit.models.resnet import ResNet
from cnnlit.models.vgg import VGG
from cnnlit.parallel.trainer import build_trainer, quieten
from cnnlit.runs.folder import Run
from cnnlit.training.module import ImageClassification
from cnnlit.training.recipe import Recipe
from cnnlit.training.schedules import Constant

BATCH, SIDE, CLASSES = 256, 224, 1000
SETTLING = 5
"""Steps of the framework before it is timed."""


class Compared(NamedTuple):
    """A network of ours and what it is called elsewhere."""

    ours: Callable[..., nn.Module]
    torchvision: str
    timm: str | None
    """None where timm has no such network."""


NETWORKS = {
    "ResNet-50": Compared(lambda side: ResNet(depth=50, variant="torchvision"), "resnet50", "resnet50"),
    "ResNet-18": Compared(lambda side: ResNet(depth=18), "resnet18", "resnet18"),
    "AlexNet, the paper's": Compared(lambda side: AlexNet(image_size=side), "alexnet", None),
    "AlexNet, torchvision's": Compared(lambda side: AlexNet(variant="torchvision", image_size=side), "alexnet", None),
    "VGG16": Compared(lambda side: VGG(configuration="D", image_size=side), "vgg16", "vgg16"),
    "GoogLeNet": Compared(lambda side: GoogLeNet(image_size=side), "googlenet", None),
}


class Step:
    """A training step as timm's benchmark makes it; each call queues one.

    Args:
        network: to be trained.
        scale: of the measurement.
        fused: whether the optimizer is.
    """

    def __init__(self, network: nn.Module, scale: Scale, *, fused: bool) -> None:
        self.network: Any = network.train().to(scale.device)
        self.network.to(memory_format=torch.channels_last)
        self.network.compile(backend=scale.compiler)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=1e-4, momentum=0.9, fused=fused)
        self.images, self.labels = batch_on(scale)

    def __call__(self) -> None:
        self.optimizer.zero_grad()
        with torch.autocast(self.images.device.type, torch.bfloat16):
            outputs = self.network(self.images)
            heads = list(outputs) if isinstance(outputs, tuple) else [outputs]
            loss: Any = functional.cross_entropy(heads[0], self.labels)
            for head in heads[1:]:
                loss = loss + 0.3 * functional.cross_entropy(head, self.labels)
        loss.backward()
        self.optimizer.step()


def sizes(scale: Scale) -> tuple[int, int]:
    """Images in a batch, and their side."""
    return scale.of(BATCH, 2), scale.of(SIDE, 64)


def batch_on(scale: Scale) -> tuple[Tensor, Tensor]:
    """A batch of random pixels on the device, and its labels."""
    batch, side = sizes(scale)
    images = torch.randn(batch, 3, side, side, device=scale.device).to(memory_format=torch.channels_last)
    return images, torch.randint(CLASSES, (batch,), device=scale.device)


class Framework:
    """A variant: the rate of a whole run, between its first steps and its last one.

    Args:
        network: laid out and compiled.
        scale: of the measurement.
        steps: that are timed.
    """

    def __init__(self, network: nn.Module, scale: Scale, steps: int) -> None:
        self._network, self._scale, self._steps = network, scale, steps

    def __call__(self) -> float:
        count, batch = SETTLING + self._steps, batch_on(self._scale)
        watch = Watch(self._scale, SETTLING, count)
        train(self._network, SameBatch(batch, count), self._scale, [watch], precision="bf16-mixed")
        return len(batch[1]) * self._steps / watch.seconds


class SameBatch(LightningDataModule):
    """One batch over and over: what is measured are not the data."""

    def __init__(self, batch: tuple[Tensor, Tensor], count: int) -> None:
        super().__init__()
        self.num_images = {"train": count * len(batch[1]), "val": 0, "test": 0}
        self._shown = [batch] * count

    def train_dataloader(self) -> Any:
        return DataLoader(self._shown, batch_size=None)  # type: ignore[arg-type]  # a list will do

    def when_waiting(self) -> None:
        """Nothing, for the batch is on the device."""


class Watch(Callback):
    """Seconds from the end of one step to that of another, the device's work included."""

    def __init__(self, scale: Scale, first: int, last: int) -> None:
        self._scale, self._first, self._last = scale, first, last
        self.seconds = 0.0

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.global_step in (self._first, self._last):
            self._scale.wait()
            self.seconds = time.perf_counter() - self.seconds


def train(
    network: nn.Module,
    data: Any,
    scale: Scale,
    watching: list[Callback],
    *,
    precision: str = "32-true",
    recipe: Recipe | None = None,
    task: LightningModule | None = None,
) -> None:
    """Train as a run does, for the recipe's epochs, without validation.

    Args:
        network: laid out and compiled.
        data: what is shown.
        scale: of the measurement.
        watching: callbacks beside a run's own.
        precision: of the Trainer.
        recipe: None for SGD with momentum and cross-entropy, one epoch.
        task: None for ImageClassification of the network.
    """
    recipe = recipe or plain_recipe(scale, sizes(scale)[0])
    quieten()
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder) / "run")
        own = callbacks_of_a_run(run, recipe, data, single=task is None)
        for each in own:
            if isinstance(each, TrainingProgress):
                each.console = Console(file=io.StringIO(), force_terminal=True)
        chosen = {"accelerator": "gpu" if scale.device.type == "cuda" else "cpu", "devices": 1, "precision": precision}
        trainer = build_trainer(Trainer, run, recipe, data, [*watching, *own], chosen)
        task = task or ImageClassification(network, recipe=recipe, num_classes=CLASSES, seed=0)
        trainer.fit(task, datamodule=data)


def plain_recipe(scale: Scale, batch_size: int, epochs: int = 1) -> Recipe:
    """SGD with momentum at a rate that changes next to nothing, fused on a GPU."""
    optimizer = partial(torch.optim.SGD, lr=1e-4, momentum=0.9, fused=scale.device.type == "cuda")
    return Recipe(
        batch_size=batch_size, epochs=epochs, order="fresh", loss=nn.CrossEntropyLoss(), optimizer=optimizer,
        schedule=Constant,
    )  # fmt: skip


def peers_of(name: str) -> Iterator[tuple[str, Callable[[], nn.Module] | str]]:
    """What the network of this name is compared with, or why it is not."""
    compared = NETWORKS[name]
    if is_here("torchvision"):
        from torchvision.models import get_model

        more = {"init_weights": False} if compared.torchvision == "googlenet" else {}
        yield "torchvision", partial(get_model, compared.torchvision, **more)
    else:
        yield "torchvision", "torchvision is not installed"
    if compared.timm is None:
        yield "timm", "timm has no such network"
    elif is_here("timm"):
        import timm

        yield "timm", partial(timm.create_model, compared.timm)
    else:
        yield "timm", "timm is not installed"


def measure(name: str, scale: Scale, root: str) -> Iterator[Row]:
    """The rows of one of NETWORKS; needs no data."""
    with leaving_nothing():
        yield from _measured(name, scale)


def _measured(name: str, scale: Scale) -> Iterator[Row]:
    fused = scale.device.type == "cuda"
    ours = Step(NETWORKS[name].ours(sizes(scale)[1]), scale, fused=fused)
    variants: dict[str, Callable[[], float]] = {}
    peaks: dict[str, float] = {}
    steps: dict[str, Step | str] = {"cnnlit": ours}
    for peer, make in peers_of(name):
        steps[peer] = make if isinstance(make, str) else Step(make(), scale, fused=False)
    for variant, step in steps.items():
        try:
            if isinstance(step, str):
                raise RuntimeError(step)
            before = torch.cuda.memory_allocated() if fused else 0
            timed = Rate(step, len(step.labels), scale)
            variants[variant], peaks[variant] = timed, (timed.peak_bytes - before) / 1e9
        except Exception as error:  # out of memory, or the compiler's: the others are measured all the same
            yield missing(f"{name}: {variant}", error, "images/s")
    if "cnnlit" not in variants:
        return
    count = max(1, round(scale.seconds * variants["cnnlit"]() / len(ours.labels)))
    variants["the whole framework"] = Framework(ours.network, scale, count)
    rates = interleaved(variants, scale.rounds)
    yield from _rows(name, rates, peaks)


def _rows(name: str, rates: Any, peaks: dict[str, float]) -> Iterator[Row]:
    peers = [each for each in ("torchvision", "timm") if each in rates]
    if peers:
        best = faster(rates, peers)
        yield ratio(f"{name}: cnnlit / {best}", rates, "cnnlit", best, 1.0)
    yield ratio(f"{name}: the whole framework / our bare step", rates, "the whole framework", "cnnlit", 0.97)
    for variant in rates:
        yield rate(f"  {name}: {variant}", rates, variant)
    for variant, peak in peaks.items():
        if peak:
            yield Row(f"  {name}: {variant}, memory of a step beside weights and batch", peak, "GB")
