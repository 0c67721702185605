"""Photographs from a store, beside torchvision's reference pipeline on the same photographs in their folder.

The same way of measuring as for photographs in a folder: whole loaders on one core in batches of 64, the same crops of
the same photographs in the same order; CPU time is that of all processes. cnnlit's single worker is a thread. Images
leave its loader as uint8; to normalise them is for the device that trains; what that costs on this core is shown.

The fidelity of a store is that of the images which the network is shown to those which it would be shown of the
photographs themselves, in decibels (PSNR, the mean over the images of the first epoch).
"""

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.photographs import (
    BATCH,
    SIDE,
    TRANSFORMS,
    Loading,
    Reference,
    one_core,
    photographs,
    threaded,
)
from benchmarks.timing import Claim, Clock, Cost, interleaved, ratio, seconds
from cnnlit.data.loading.batch_sampler import BatchSampler
from cnnlit.data.loading.datasets import DecodedImages
from cnnlit.data.loading.image_set import ImageSet
from cnnlit.data.sources.folders import ImageFiles, Listing
from cnnlit.data.stores.store import StoredImages
from cnnlit.data.stores.store_writer import Preparation, psnr
from cnnlit.data.transforms.augmentation import Augmentation
from cnnlit.data.transforms.colours import Normalize

ROUNDS = 5
PASSES = {"torchvision": 1, "JPEG": 4, "raw": 40}  # per round: times of the same order
IMAGENET = 1_281_167

STORES: dict[str, dict[str, Any]] = {
    "JPEG 256": {"side": 256},
    "JPEG 256 q95 4:4:4": {"side": 256, "quality": 95, "subsampling": 444},
    "JPEG 384": {"side": 384},
    "raw 256x256": {"encoding": "raw"},
}
BOUNDS: dict[str, dict[str, float | None]] = {
    "AlexNet's transform": {"JPEG 256": 6.5, "JPEG 256 q95 4:4:4": None, "raw 256x256": 20},
    "random resized crop": {"JPEG 256": None, "JPEG 384": 2.6},
}


def measure(root: str) -> list[Claim]:
    """The claims on stores of the photographs in imagenet-sample below `root`."""
    files = photographs(Path(root) / "imagenet-sample")
    claims = []
    with tempfile.TemporaryDirectory() as folder:
        stores = {name: _store(files, Path(folder) / name, **how) for name, how in STORES.items()}
        for transform, bounds in BOUNDS.items():
            steps, _ = TRANSFORMS[transform]
            augmentation = Augmentation(steps, image_size=SIDE, normalize=Normalize("mean_std"), seed=0)
            claims += _compare(transform, augmentation, files, {name: stores[name] for name in bounds})
    return claims


def _compare(transform: str, augmentation: Augmentation, files: ImageFiles, stores: dict[str, Any]) -> list[Claim]:
    """The claims on one transform."""

    def batches(name: str) -> BatchSampler:
        return BatchSampler(len(files), BATCH, order="fresh", passes_per_epoch=PASSES[name.split()[0]])

    variants: dict[str, Callable[[], Cost]] = {
        "torchvision": Loading(Reference(files, augmentation), batches("torchvision"))
    }
    for name, (pictures, _) in stores.items():
        dataset = DecodedImages(pictures, augmentation)
        variants[name] = threaded(dataset, batches(name)) if name.startswith("raw") else Loading(dataset, batches(name))
    batch = DecodedImages(files, augmentation)[0, torch.arange(BATCH)]
    variants["normalisation"] = _repeated(lambda: augmentation.finish(batch.images, batch.draws))
    with one_core():
        costs = interleaved(variants, ROUNDS)
    claims = []
    for name, (pictures, size) in stores.items():
        what = f"{transform}: torchvision / {name}; {size:.0f} GB, {_fidelity(files, pictures, augmentation)}"
        per = PASSES["torchvision"] / PASSES[name.split()[0]]
        bound = BOUNDS[transform][name]
        claims.append(ratio(what, costs, "torchvision", name, bound=bound, at_most=False, per=per))
    for name in ("torchvision", *stores):
        count = len(files) * PASSES[name.split()[0]]
        claims.append(seconds(f"  {name}, per image", costs, name, per=count * 1e-6, unit="us"))
    return [
        *claims,
        seconds("  normalisation on this core, per image", costs, "normalisation", per=10 * BATCH * 1e-6, unit="us"),
    ]


def _store(files: ImageSet, folder: Path, **how: Any) -> tuple[StoredImages, float]:
    """The photographs, prepared, and the gigabytes for ImageNet's training set."""
    names = [str(label) for label in range(int(files.labels.max()) + 1)]
    first = files.subset(torch.arange(1))
    store = Preparation(to=str(folder), **how).run(Listing("class folders", files, first, names, names))
    train = store.about["splits"]["train"]
    return StoredImages(store.folder, "train"), train["bytes"] / train["images"] * IMAGENET / 1e9


def _repeated(function: Callable[[], object]) -> Callable[[], Cost]:
    def measured() -> Cost:
        clock = Clock()
        clock.start()
        for _ in range(10):
            function()
        return clock.stop()

    return measured


def _fidelity(files: ImageSet, store: ImageSet, augmentation: Augmentation) -> str:
    everything = torch.arange(len(files))
    exact, stored = (DecodedImages(each, augmentation)[0, everything].images.numpy() for each in (files, store))
    if (exact == stored).all():
        return "the same pixels"
    apart = abs(exact.astype(int) - stored).max()
    decibels = statistics.mean(psnr(*pair) for pair in zip(exact, stored, strict=True))
    return f"PSNR {decibels:.1f} dB" + (f", within {apart}/255" if apart < 10 else "")
