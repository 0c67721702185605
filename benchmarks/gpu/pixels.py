"""What is done to pixels on the device: distortions, crops and reflections, PCA colour; and how batches get there.

Peers: kornia's warp for the distortions, on the same maps; for crops and reflections one gathering in plain torch, as
in benchmarks.cifar_epoch; for PCA colour the same in plain torch.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.measuring import Rate, Row, Scale, interleaved, leaving_nothing, missing, rate, ratio
from benchmarks.gpu.networks import Step, sizes
from benchmarks.gpu.stand_ins import is_here
from cnnlit.data.loading.datasets import ImagesInMemory
from cnnlit.data.loading.image_set import LoadedImages
from cnnlit.data.transforms.augmentation import Augmentation
from cnnlit.data.transforms.colours import BACKGROUND, INK, Normalize, PCAColour
from cnnlit.data.transforms.distortions import AffineDistortion, ElasticField, warp
from cnnlit.data.transforms.geometry import Flip, RandomCrop
from cnnlit.models.resnet import ResNet

DIGIT, DIGITS_SEEN = 28, 32
BATCH = 1024
RANGES: dict[str, Any] = {
    "scaling": (0.76, 1.41), "squeezing": (0.9, 1.1), "shear": (-0.14, 0.14), "translation_pixels": (-2.0, 2.0),
}  # fmt: skip

Queues = Callable[[], object]
"""Queues work on the device."""


def measure(scale: Scale, root: str) -> Iterator[Row]:
    """The rates of transforms, each beside its peer."""
    parts = (distortions, crops, colours)
    for part in parts:
        with leaving_nothing():
            yield from part(scale)


def _side_by_side(what: str, steps: dict[str, Queues], images: int, scale: Scale) -> Iterator[Row]:
    """A row for each variant, and one for ours beside its peer, which is the second."""
    rates = interleaved({name: Rate(step, images, scale) for name, step in steps.items()}, scale.rounds)
    ours, *peers = rates
    for peer in peers:
        yield ratio(f"{what}: {ours} / {peer}", rates, ours, peer, None)
    for name in rates:
        yield rate(f"  {what}: {name}", rates, name)


def distortions(scale: Scale) -> Iterator[Row]:
    """Digits, distorted as in 1998 and as in 2003."""
    count = scale.of(BATCH, 16)
    images = torch.randint(0, 256, (count, DIGIT, DIGIT), dtype=torch.uint8, device=scale.device)
    presentations = torch.arange(count, device=scale.device)
    elastic = ElasticField(34.0, 4.0, DIGITS_SEEN)
    for name, field in (("affine1998", None), ("elastic2003", elastic)):
        distortion = AffineDistortion(**RANGES, num_images=count, versions=1, fixed=False, seeds=[0], elastic=field)
        steps: dict[str, Queues] = {"cnnlit": partial(distortion, images, 0, presentations, DIGITS_SEEN)}
        if field is None and is_here("kornia") and is_here("torchvision"):
            steps["kornia.warp_affine"] = _by_kornia(images, distortion.affine(0).to(scale.device))
        elif field is None:
            yield missing("distortion affine1998: kornia", "kornia is not installed", "images/s")
        yield from _side_by_side(f"distortion {name}, {count} digits", steps, count, scale)


def _by_kornia(images: Tensor, maps: Tensor) -> Queues:
    import kornia

    from benchmarks.distortions import forward_matrices

    matrices = forward_matrices(maps.cpu()).to(images.device)
    apart = 0.0

    def step() -> Tensor:
        ink = images[:, None].float() * ((INK - BACKGROUND) / 255)
        size = (DIGITS_SEEN, DIGITS_SEEN)
        warped: Tensor = kornia.geometry.transform.warp_affine(ink, matrices, size, align_corners=True)
        return warped + BACKGROUND

    apart = (step() - warp(images, maps, DIGITS_SEEN)).abs().max().item()
    if apart > 1e-3:
        raise RuntimeError(f"cnnlit's and kornia's pixels differ by {apart}")
    return step


def crops(scale: Scale) -> Iterator[Row]:
    """Small photographs, padded, cropped and mirrored."""
    count, side, padding = scale.of(BATCH, 16), 32, 4
    pixels = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, device=scale.device)
    loaded = LoadedImages(pixels, torch.zeros(count, dtype=torch.int64, device=scale.device))
    steps = (RandomCrop(pixels=side, padding=padding), Flip())
    augmentation = Augmentation(steps, image_size=side, normalize=Normalize("mean_std"), seed=0)
    dataset = ImagesInMemory(loaded, augmentation)
    every = torch.arange(count)
    x = torch.arange(side, device=scale.device)

    def gathered() -> Tensor:
        top, left = torch.randint(0, 2 * padding + 1, (2, count), device=scale.device)
        mirrored = torch.rand(count, 1, device=scale.device) < 0.5
        padded = torch.nn.functional.pad(pixels, (padding,) * 4)
        columns = left[:, None] + torch.where(mirrored, side - 1 - x, x)
        places = ((top[:, None] + x)[:, :, None] * (side + 2 * padding) + columns[:, None, :]).flatten(1)[:, None]
        shown = padded.flatten(2).gather(2, places.expand(-1, 3, -1)).view(-1, 3, side, side)
        return augmentation.normalize(shown)

    steps_of: dict[str, Queues] = {"cnnlit": lambda: dataset[0, every], "one gathering in plain torch": gathered}
    yield from _side_by_side(f"crop and reflection, {count} images of 32x32", steps_of, count, scale)


def colours(scale: Scale) -> Iterator[Row]:
    """Photographs, with AlexNet's colour augmentation, and brought to the network's scale."""
    count, side = scale.of(256, 4), scale.of(224, 64)
    pixels = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, device=scale.device)
    augmentation = Augmentation(
        [RandomCrop(pixels=side), PCAColour(statistics="imagenet")],
        image_size=side,
        normalize=Normalize("mean_std"),
        seed=0,
    )
    draws = augmentation.draws(0, torch.arange(count)).to(scale.device)
    mean, std = (torch.tensor(each, device=scale.device)[:, None, None] for each in ((0.45,) * 3, (0.22,) * 3))
    components = torch.rand(3, 3, device=scale.device)

    def plain() -> Tensor:
        shift = torch.randn(count, 3, device=scale.device) @ components
        return ((pixels.float() / 255 + shift[:, :, None, None]) - mean) / std

    ours: dict[str, Queues] = {"cnnlit": lambda: augmentation.finish(pixels, draws), "plain torch": plain}
    yield from _side_by_side(f"PCA colour and scale, {count} images of {side}x{side}", ours, count, scale)


class Interval(NamedTuple):
    """When the device did something, in microseconds."""

    start: float
    end: float


def measure_copies(scale: Scale, root: str) -> Iterator[Row]:
    """How much of a batch's way from pinned memory overlaps with the step before, by the profiler's trace."""
    what = "share of a batch's copy during which the device computes"
    with leaving_nothing():
        step = Step(ResNet(depth=18, num_classes=1000), scale, fused=scale.device.type == "cuda")
        batch, side = sizes(scale)
        waiting = torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8)
        cuda = scale.device.type == "cuda"
        waiting = waiting.pin_memory() if cuda else waiting
        copies: Any = torch.cuda.Stream() if cuda else None  # type: ignore[no-untyped-call]

        def one(*, own_stream: bool) -> None:
            if own_stream and copies:
                with torch.cuda.stream(copies):
                    sent = waiting.to(scale.device, non_blocking=True)
            else:
                sent = waiting.to(scale.device, non_blocking=True)
            step()
            if own_stream and copies:
                torch.cuda.current_stream().wait_stream(copies)
            step.images = sent.float().div_(255).to(memory_format=torch.channels_last)

        for own_stream in (False, True):
            how = "in a stream of its own" if own_stream else "non_blocking, in the step's stream"
            copied, computed = traced(partial(one, own_stream=own_stream), scale)
            total = sum(each.end - each.start for each in copied)
            if total:
                yield Row(f"{what}, {how}", overlap(copied, computed) / total, "x")
            else:
                yield missing(f"{what}, {how}", "the trace has no copy to a device; a CPU has none", "x")


def traced(step: Callable[[], None], scale: Scale) -> tuple[list[Interval], list[Interval]]:
    """When the device copied from the CPU, and when it computed, in some steps."""
    for _ in range(scale.of(3, 1)):
        step()
    scale.wait()
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if scale.device.type == "cuda" else [])]
    with profile(activities=kinds) as profiler:
        for _ in range(scale.of(5, 1)):
            step()
        scale.wait()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]

    def of(category: str, words: str = "") -> list[Interval]:
        found = (each for each in events if each.get("cat") == category and words in each.get("name", ""))
        return sorted(Interval(each["ts"], each["ts"] + each["dur"]) for each in found)

    return of("gpu_memcpy", "HtoD"), of("kernel")


def overlap(some: list[Interval], others: list[Interval]) -> float:
    """For how long any of some intervals and any of the others are at once; neither list overlaps itself by much."""
    total = 0.0
    for one in some:
        reached = one.start
        for other in others:
            start, end = max(reached, other.start), min(one.end, other.end)
            if start < end:
                total += end - start
                reached = end
    return total


MEASUREMENTS = {"transforms": measure, "copies": measure_copies}
