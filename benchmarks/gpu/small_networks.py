"""LeNet-5 on MNIST and ResNet-20 on CIFAR-10: whole epochs through the framework, and beside a bare loop.

Each epoch shows the whole training set, distorted or cropped and mirrored, from images that lie on the device. The bare
loop takes the same batches from the same loader and does nothing but step. Pixels are random where the set is not
there, for no step's time depends on them.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer, seed_everything
from torch import Tensor, nn

from benchmarks.gpu.measuring import Row, Scale, leaving_nothing, missing
from benchmarks.gpu.networks import plain_recipe, train
from benchmarks.gpu.stand_ins import is_here
from benchmarks.startup import child
from cnnlit.data.loading.image_set import LoadedImages
from cnnlit.data.small_images import SmallImages
from cnnlit.data.small_sets.contents import Contents
from cnnlit.data.transforms.geometry import Flip, RandomCrop
from cnnlit.models.lenet5 import LeNet5
from cnnlit.models.resnet import CifarResNet
from cnnlit.runs.reading import read_test
from cnnlit.training.stacked_seeds import StackedSeeds, why_not_stacked

LENET5_BATCH, LENET5_SECONDS = 128, 0.5
"""The goal for an epoch of 60,000 distorted digits."""

CIFAR_SECONDS = 3.0
REPLICAS, REPLICAS_SHARE = 32, 0.25
EPOCHS = 3
"""Of which the first, in which the device warms up, is not counted."""


class RandomSmallImages(SmallImages):
    """The digits or the small photographs of a data module, but with random pixels.

    Args:
        shape: of the pixels, [N, C, H, W].
        device: on which they lie.
        options: of SmallImages.
    """

    def __init__(self, shape: tuple[int, int, int, int], device: torch.device, **options: Any) -> None:
        super().__init__(**options)
        self._shape, self._there = shape, device

    @property
    def _device(self) -> torch.device:
        return self._there  # with a Trainer and without one

    def prepare_data(self) -> None:
        """Nothing is read."""

    def _read_whole(self) -> Contents:
        random = torch.Generator().manual_seed(0)
        pixels = torch.randint(0, 256, self._shape, generator=random, dtype=torch.uint8)
        images = LoadedImages(pixels, torch.arange(len(pixels)) % 10)
        return Contents(images, images.subset(torch.arange(10)))


class EpochWatch(Callback):
    """Seconds of each epoch of training but the first."""

    def __init__(self, scale: Scale) -> None:
        self._scale, self._began = scale, 0.0
        self.seconds: list[float] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._scale.wait()
        self._began = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._scale.wait()
        if trainer.current_epoch:
            self.seconds.append(time.perf_counter() - self._began)


def digits(scale: Scale, **more: Any) -> RandomSmallImages:
    """As many digits as MNIST has, distorted as in 1998."""
    count = scale.of(60_000, 300)
    return RandomSmallImages(
        (count, 1, 28, 28),
        scale.device,
        source="mnist",
        batch_size=LENET5_BATCH,
        distortion="affine1998",
        val_split=0,
        **more,
    )


def photographs(scale: Scale) -> RandomSmallImages:
    """As many small photographs as CIFAR-10's training has, cropped and mirrored."""
    steps = [RandomCrop(pixels=32, padding=4), Flip()]
    return RandomSmallImages(
        (scale.of(45_000, 130), 3, 32, 32), scale.device, source="cifar10", in_channels=3, batch_size=128, val_split=0,
        augmentation=steps, normalization="mean_image",
    )  # fmt: skip


def lenet5() -> LeNet5:
    """LeNet-5 as it is trained today."""
    return LeNet5(activation="relu", pooling="max", head="linear", initialization="he2015")


COMPILED: dict[str, Callable[[Scale], dict[str, Any] | None]] = {
    "eager": lambda scale: None,
    "compiled": lambda scale: {"backend": scale.compiler},
    "CUDA graphs": lambda scale: {"backend": scale.of("cudagraphs", "aot_eager")},
}


def epochs(scale: Scale, network: nn.Module, data: Any, how: str, **more: Any) -> list[float]:
    """Seconds of epochs through the framework."""
    network = network.to(scale.device)
    if options := COMPILED[how](scale):
        network.compile(**options)
    watch = EpochWatch(scale)
    data.setup()
    train(network, data, scale, [watch], recipe=plain_recipe(scale, data.hparams["batch_size"], EPOCHS), **more)
    return watch.seconds


def bare_epochs(scale: Scale, network: nn.Module, data: Any, how: str) -> list[float]:
    """Seconds of epochs in a plain loop over the same loader."""
    data.setup()
    loader = data.train_dataloader()
    recipe = plain_recipe(scale, data.hparams["batch_size"])
    network = network.to(scale.device)
    step = captured(scale, network, recipe) if how == "CUDA graphs" else plain(network, recipe)
    if how == "compiled":
        network.compile(backend=scale.compiler)
    seconds = []
    for epoch in range(EPOCHS):
        loader.sampler.set_epoch(epoch)
        scale.wait()
        began = time.perf_counter()
        for images, labels in loader:
            step(images, labels)
        scale.wait()
        seconds.append(time.perf_counter() - began)
    return seconds[1:]


def plain(network: nn.Module, recipe: Any) -> Callable[[Tensor, Tensor], None]:
    """A step in its plainest form."""
    optimizer = recipe.optimizer(network.parameters())

    def step(images: Tensor, labels: Tensor) -> None:
        optimizer.zero_grad()
        recipe.loss(network(images), labels).backward()
        optimizer.step()

    return step


def captured(scale: Scale, network: nn.Module, recipe: Any) -> Callable[[Tensor, Tensor], None]:
    """A whole step as one CUDA graph, for batches of one size; another size is stepped as usual.

    Raises:
        RuntimeError: on a CPU.
    """
    if scale.device.type != "cuda":
        raise RuntimeError("a CPU has no CUDA graphs")
    step = plain(network, recipe)
    graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor, Tensor]] = {}

    def capture(images: Tensor, labels: Tensor) -> None:
        side: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                step(images, labels)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        images, labels = images.clone(), labels.clone()
        with torch.cuda.graph(graph):
            step(images, labels)
        graphs[len(labels)] = graph, images, labels

    def replay(images: Tensor, labels: Tensor) -> None:
        if len(labels) != LENET5_BATCH:
            step(images, labels)
            return
        if not graphs:
            capture(images, labels)
        graph, its_images, its_labels = graphs[len(labels)]
        its_images.copy_(images)
        its_labels.copy_(labels)
        graph.replay()

    return replay


def measure_lenet5(scale: Scale, root: str) -> Iterator[Row]:
    """An epoch of LeNet-5: each way of computing it, through the framework and in a bare loop."""
    best: list[float] = []
    for how in COMPILED:
        for what, run in (("the framework", epochs), ("a bare loop", bare_epochs)):
            name = f"LeNet-5, an epoch with distortions, {what}, {how}"
            try:
                seconds = run(scale, lenet5(), digits(scale), how)
            except Exception as error:  # the other ways are measured all the same
                yield missing(f"  {name}", error, "s")
                continue
            yield Row(f"  {name}", statistics.median(seconds), "s", rounds=seconds)
            if what == "the framework" and (not best or statistics.median(seconds) < statistics.median(best)):
                best = seconds
            with leaving_nothing():
                pass
    if best:
        what = f"LeNet-5, an epoch with distortions, batches of {LENET5_BATCH}, the framework's fastest way"
        yield Row(what, statistics.median(best), "s", LENET5_SECONDS, at_most=True, rounds=best)


def measure_replicas(scale: Scale, root: str) -> Iterator[Row]:
    """Many seeds of LeNet-5 in lock-step, and one of them alone."""
    count = scale.of(REPLICAS, 3)
    for how in ("eager", "CUDA graphs"):
        with leaving_nothing():
            alone = epochs(scale, lenet5(), digits(scale), how)
            networks = []
            for seed in range(count):
                seed_everything(seed, verbose=False)
                networks.append(lenet5())
            data = digits(scale)
            data.replicas = count
            recipe = plain_recipe(scale, LENET5_BATCH, EPOCHS)
            task = StackedSeeds(networks, recipe=recipe, num_classes=10, seeds=list(range(count)))
            if options := COMPILED[how](scale):
                task.compile(**options)
            together = epochs(scale, nn.Identity(), data, "eager", task=task)
        one, all_of_them = statistics.median(alone), statistics.median(together)
        what = f"{count} seeds of LeNet-5 in lock-step / one after the other, an epoch, {how}"
        each = [seconds / one / count for seconds in together]
        yield Row(what, all_of_them / (one * count), "x", REPLICAS_SHARE, at_most=True, rounds=each)
        images = count * data.num_images["train"]
        yield Row(f"  {count} seeds of LeNet-5, all together, {how}", images / all_of_them, "images/s")


def measure_cifar(scale: Scale, root: str) -> Iterator[Row]:
    """An epoch of ResNet-20 on CIFAR-10."""
    found: dict[str, list[float]] = {}
    for how, precision in (("eager", "32-true"), ("compiled", "32-true"), ("compiled", "bf16-mixed")):
        name = f"{how}, {precision}"
        with leaving_nothing():
            network = CifarResNet(depth=20)
            network.to(memory_format=torch.channels_last)
            try:
                found[name] = epochs(scale, network, photographs(scale), how, precision=precision)
            except Exception as error:  # the other ways are measured all the same
                yield missing(f"  ResNet-20, an epoch of CIFAR-10's size, {name}", error, "s")
                continue
        yield Row(f"  ResNet-20, an epoch of CIFAR-10's size, {name}", statistics.median(found[name]), "s",
                  rounds=found[name])  # fmt: skip
    if found:
        best = min(found.values(), key=statistics.median)
        what = "ResNet-20, an epoch of CIFAR-10's size, the framework's fastest way"
        yield Row(what, statistics.median(best), "s", CIFAR_SECONDS, at_most=True, rounds=best)
    reason = why_not_stacked(CifarResNet(depth=20), plain_recipe(scale, 128))
    yield missing("a ResNet with batch normalisation, seeds in lock-step", reason, "x")


TO_99 = ("experiment=lenet5_modern", "recipe.epochs=6", "recipe.batch_size=128", "logger=none")


def measure_command(scale: Scale, root: str) -> Iterator[Row]:
    """MNIST to 99.0 %, from the command to the result."""
    what = "MNIST to 99.0 %, from the command to the result"
    absent = [package for package in ("hydra", "omegaconf", "pydantic") if not is_here(package)]
    if absent:
        yield missing(what, f"{', '.join(absent)} not installed, without which there is no command", "s")
        return
    data = ("data=digits", "recipe.epochs=1") if scale.small else (f"data.root={Path(root).absolute()}",)
    accelerator = f"trainer.accelerator={'gpu' if scale.device.type == 'cuda' else 'cpu'}"
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        words = [*TO_99, *data, accelerator, f"hydra.run.dir={run}"]
        began = time.perf_counter()
        child(["-m", "cnnlit.train", *words], ends_with=0)
        seconds = time.perf_counter() - began
        error = read_test(run)["test/error"]
    if error > 0.01 and not scale.small:
        yield missing(what, f"{1 - error:.2%} after {seconds:.0f} s", "s")
    else:
        yield Row(what, seconds, "s", note=f"{1 - error:.2%} of the test images are right")


MEASUREMENTS = {
    "lenet5": measure_lenet5,
    "replicas": measure_replicas,
    "cifar": measure_cifar,
    "command": measure_command,
}
