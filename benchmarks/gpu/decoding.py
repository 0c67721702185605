"""Photographs from a folder, from prepared stores and by the GPU's own decoder, with all cores.

Beside what the networks take in an hour's training: the loaders' rates are to be read against those of the networks.
Pixels of the GPU's decoder are compared with PIL's.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.measuring import Row, Scale, interleaved, missing, rate, ratio
from benchmarks.gpu.stand_ins import is_here
from cnnlit.data.loading.batch_sampler import BatchSampler
from cnnlit.data.loading.datasets import DecodedImages, DecodingLoader
from cnnlit.data.loading.decoding import num_cores
from cnnlit.data.loading.image_set import ImageSet
from cnnlit.data.loading.threads import ThreadLoader
from cnnlit.data.sources.folders import Listing
from cnnlit.data.stores.store import StoredImages
from cnnlit.data.stores.store_writer import Preparation
from cnnlit.data.transforms.augmentation import Augmentation
from cnnlit.data.transforms.colours import Normalize
from cnnlit.data.transforms.geometry import CenterCrop, Flip, RandomCrop, ShorterSide
from cnnlit.data.workers.watched import in_workers

BATCH, SIDE, WHOLE = 256, 224, 256
TOLERANCE = 2
"""Of 255, between the GPU's decoder and PIL's."""

STORES: dict[str, dict[str, Any]] = {"store, JPEG 256": {"side": 256}, "store, raw 256x256": {"encoding": "raw"}}


def measure(scale: Scale, root: str) -> Iterator[Row]:
    """The rates of loaders, on imagenet-sample below `root`."""
    if not is_here("torchvision"):
        yield missing("decoding", "torchvision is not installed", "images/s")
        return
    from benchmarks.photographs import photographs

    try:
        files = photographs(Path(root) / "imagenet-sample")
    except FileNotFoundError as error:
        yield missing("decoding", error, "images/s")
        return
    if scale.small:
        files = files.subset(torch.arange(12))
    by = "" if is_here("simplejpeg") else "decoded by PIL, for simplejpeg is not installed"
    with tempfile.TemporaryDirectory() as folder:
        sets: dict[str, ImageSet] = {"folder": files}
        for name, how in STORES.items():
            sets[name] = _store(files, Path(folder) / name, how)
        yield from _loaders(sets, scale, by)
        yield from _by_the_gpu(files, scale)


def _store(files: ImageSet, folder: Path, how: dict[str, Any]) -> StoredImages:
    names = [str(label) for label in range(int(files.labels.max()) + 1)]
    first = files.subset(torch.arange(1))
    store = Preparation(to=str(folder), **how).run(Listing("class folders", files, first, names, names))
    return StoredImages(store.folder, "train")


def _loaders(sets: dict[str, ImageSet], scale: Scale, note: str) -> Iterator[Row]:
    steps = (ShorterSide(pixels=WHOLE), CenterCrop(pixels=WHOLE), RandomCrop(pixels=SIDE), Flip())
    augmentation = Augmentation(steps, image_size=SIDE, normalize=Normalize("mean_std"), seed=0)
    variants: dict[str, Callable[[], float]] = {}
    cores = num_cores()
    for name, images in sets.items():
        passes = scale.of(20 if "raw" in name else 4, 1)
        batches = BatchSampler(len(images), scale.of(BATCH, 4), order="fresh", passes_per_epoch=passes)
        dataset = DecodedImages(images, augmentation)
        pins = scale.device.type == "cuda"
        threads = ThreadLoader(dataset, batches, num_threads=cores, pin_memory=pins)
        variants[f"{name}, {cores} threads"] = _epoch(threads, len(images) * passes)
        processes = DecodingLoader(
            dataset, batch_size=None, sampler=batches, persistent_workers=True, pin_memory=pins,
            **in_workers(cores, 300.0),
        )  # fmt: skip
        variants[f"{name}, {cores} processes"] = _epoch(processes, len(images) * passes)
    rates = interleaved(variants, scale.of(3, 1))
    for name in variants:
        yield rate(f"  photographs from a {name}", rates, name).noted(note)


def _epoch(loader: Any, images: int) -> Callable[[], float]:
    def one() -> float:
        began = time.perf_counter()
        for _ in loader:
            pass
        return images / (time.perf_counter() - began)

    return one


def _by_the_gpu(files: Any, scale: Scale) -> Iterator[Row]:
    """torchvision's decode_jpeg: on the GPU, and on the CPU by the same call."""
    from PIL import Image
    from torchvision.io import ImageReadMode, decode_jpeg

    contents = [
        torch.from_numpy(np.fromfile(files.path(index), np.uint8)) for index in range(min(len(files), scale.of(256, 4)))
    ]

    def decoded(device: str) -> list[torch.Tensor]:
        return list(decode_jpeg(contents, mode=ImageReadMode.RGB, device=device))

    def timed(device: str) -> Callable[[], float]:
        def one() -> float:
            scale.wait()
            began = time.perf_counter()
            decoded(device)
            scale.wait()
            return len(contents) / (time.perf_counter() - began)

        return one

    where = scale.device.type
    what = f"decode_jpeg on the {where.upper()}"
    try:
        found = decoded(where)
        rates = interleaved({where: timed(where), "one core": timed("cpu")}, scale.of(3, 1))
    except RuntimeError as error:
        yield missing(what, error, "images/s")
        return
    yield ratio(f"{what} / on one core", rates, where, "one core", None)
    yield rate(f"  {what}, JPEGs of ImageNet's size", rates, where)
    apart = 0
    for number, pixels in enumerate(found[:32]):
        exact = torch.from_numpy(np.array(Image.open(files.path(number)).convert("RGB"))).movedim(2, 0)
        apart = max(apart, int((pixels.cpu().int() - exact.int()).abs().max()))
    yield Row(f"{what}: the greatest difference of a pixel from PIL's", apart, "of 255", TOLERANCE, at_most=True)


MEASUREMENTS = {"decoding": measure}
