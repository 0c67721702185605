"""Full-size photographs from a folder to batches of images, beside torchvision's reference pipeline.

Both are whole loaders with one worker, on one core, in batches of 64, and show the same crops of the same photographs
in the same order. The reference is that of torchvision's own training scripts: ImageFolder's PIL, ToTensor and
Normalize, in a worker process. cnnlit's single worker is a thread; a worker process of its own is shown beside it. Its
images leave the loader as uint8, for the device that trains normalises them; what that costs on this core is shown
too. CPU time is that of all processes, from the second epoch on.

Pixels are compared with the exact ones: those of PIL's decoder and PIL's filter at the window's fractional edges.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate
from torchvision.datasets.folder import pil_loader
from torchvision.transforms import functional

from benchmarks.timing import Claim, Clock, Cost, interleaved, ratio, seconds, timed
from cnnlit.data.loading.batch_sampler import BatchSampler, Presentations
from cnnlit.data.loading.datasets import DecodedImages
from cnnlit.data.loading.threads import ThreadLoader
from cnnlit.data.sources.folders import ImageFiles
from cnnlit.data.transforms.augmentation import Augmentation
from cnnlit.data.transforms.colours import MEAN, STD, Normalize
from cnnlit.data.transforms.geometry import CenterCrop, Flip, RandomCrop, RandomResizedCrop, ShorterSide
from cnnlit.parallel.devices import keep_freed_memory

ROUNDS = 5
PASSES = 2  # per round
BATCH = 64
SIDE, WHOLE = 224, 256
TOLERANCE = 2  # of 255

ALEXNET = (ShorterSide(pixels=WHOLE), CenterCrop(pixels=WHOLE), RandomCrop(pixels=SIDE), Flip())
RESIZED = (RandomResizedCrop(pixels=SIDE), Flip())
TRANSFORMS = {"AlexNet's transform": (ALEXNET, 2.2), "random resized crop": (RESIZED, 1.9)}


def measure(root: str) -> list[Claim]:
    """The claims on a folder of photographs: imagenet-sample below `root`."""
    keep_freed_memory()  # as cnnlit does when it trains on the processor; torchvision's gains by it as well
    files = photographs(Path(root) / "imagenet-sample")
    claims = []
    for name, (steps, bound) in TRANSFORMS.items():
        augmentation = Augmentation(steps, image_size=SIDE, normalize=Normalize("mean_std"), seed=0)
        batches = BatchSampler(len(files), BATCH, order="fresh", passes_per_epoch=PASSES)
        apart = difference(files, augmentation)
        with one_core():
            dataset = DecodedImages(files, augmentation)
            shown = dataset[0, torch.arange(BATCH)]
            costs = interleaved(
                {
                    "torchvision": Loading(Reference(files, augmentation), batches),
                    "cnnlit": threaded(dataset, batches),
                    "cnnlit, in a process": Loading(dataset, batches),
                    "normalisation": timed(partial(augmentation.finish, shown.images, shown.draws)),
                },
                ROUNDS,
            )
        claims += [
            ratio(f"{name}: torchvision / cnnlit", costs, "torchvision", "cnnlit", bound=bound, at_most=False),
            *(
                seconds(f"  {each}, per image", costs, each, per=count / 1000, unit="ms")
                for each, count in zip(costs, [len(files) * PASSES] * 3 + [BATCH], strict=True)
            ),
            Claim("  greatest difference of a pixel, of 255", apart, TOLERANCE, True, "", apart, (apart, apart)),
        ]
    return claims


def photographs(folder: Path) -> ImageFiles:
    """The photographs in the class folders of `folder`."""
    names = sorted(str(path.relative_to(folder)) for path in folder.glob("*/*.JPEG"))
    if not names:
        raise FileNotFoundError(f"no photographs <class>/*.JPEG in {folder}")
    classes = {name: label for label, name in enumerate(sorted({os.path.dirname(name) for name in names}))}
    labels = torch.tensor([classes[os.path.dirname(name)] for name in names])
    return ImageFiles(folder, np.array([os.fsencode(name) for name in names], np.bytes_), labels)


class Reference(Dataset[tuple[Tensor, Tensor]]):
    """torchvision's reference pipeline on the crops of an augmentation: `dataset[epoch, presentations]` is a batch.

    Args:
        files: the photographs.
        augmentation: one of TRANSFORMS; the random numbers are its, the pixels torchvision's.
    """

    def __init__(self, files: ImageFiles, augmentation: Augmentation) -> None:
        self.files = files
        self.augmentation = augmentation

    def __getitem__(self, batch: Presentations) -> tuple[Tensor, Tensor]:
        epoch, presentations = batch
        indices = (presentations % len(self.files)).tolist()
        pictures = [pil_loader(self.files.path(index)) for index in indices]
        windows = self.augmentation.windows(torch.tensor([each.size[::-1] for each in pictures]), epoch, presentations)
        samples = [self.sample(*each) for each in zip(pictures, windows.box.tolist(), strict=True)]
        return default_collate(list(zip(samples, self.files.labels[indices].tolist(), strict=True)))  # type: ignore[no-any-return]

    def sample(self, picture: Image.Image, box: Sequence[float]) -> Tensor:
        """One image, float32 [3, 224, 224]."""
        left, top, right, bottom = box
        near, far = min(left, right), max(left, right)
        if self.augmentation.geometry[0].crop_pixels:
            shape = round(top), round(near), round(bottom - top), round(far - near)
            shown = functional.resized_crop(picture, *shape, [SIDE, SIDE])
        else:
            whole = functional.resize(picture, WHOLE)
            step = (far - near) / SIDE, (bottom - top) / SIDE
            margin = [round((side - WHOLE) / 2) for side in whole.size]
            square = functional.center_crop(whole, WHOLE)
            shown = functional.crop(
                square, round(top / step[1]) - margin[1], round(near / step[0]) - margin[0], SIDE, SIDE
            )
        if left > right:
            shown = functional.hflip(shown)
        normalized: Tensor = functional.normalize(functional.to_tensor(shown), MEAN, STD)
        return normalized


class Stamped(Dataset[tuple[Any, float]]):
    """Another dataset, and the processor seconds of the process that reads it so far."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitem__(self, batch: Presentations) -> tuple[Any, float]:
        return self.dataset[batch], time.process_time()


class Loading:
    """A variant: one epoch of a loader with one worker process, which lives from one epoch to the next.

    Args:
        dataset: takes what `batches` yields.
        batches: the order.
    """

    def __init__(self, dataset: Any, batches: BatchSampler) -> None:
        self.loader: DataLoader[Any] = DataLoader(
            Stamped(dataset), batch_size=None, sampler=batches, num_workers=1, persistent_workers=True
        )
        self.worker = 0.0

    def __call__(self) -> Cost:
        clock = Clock()
        clock.start()
        before = self.worker
        for _, seconds_of_worker in self.loader:
            self.worker = seconds_of_worker
        cost = clock.stop()
        return Cost(cost.cpu + self.worker - before, cost.wall)


def threaded(dataset: DecodedImages, batches: BatchSampler) -> Callable[[], Cost]:
    """A variant: one epoch of a loader with one thread."""
    loader = ThreadLoader(dataset, batches, num_threads=1, pin_memory=False)

    def epoch() -> None:
        for _ in loader:
            pass

    return timed(epoch)


@contextmanager
def one_core() -> Iterator[None]:
    """On the first of this process's cores alone, and all that it starts; as they were before at the end."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def difference(files: ImageFiles, augmentation: Augmentation) -> int:
    """The greatest difference of a pixel, of 255, from PIL's decoder and PIL's filter, over one epoch."""
    greatest = 0
    dataset = DecodedImages(files, augmentation)
    for index in range(len(files)):
        (shown,) = dataset[0, torch.tensor([index])].images
        picture = pil_loader(files.path(index))
        windows = augmentation.windows(torch.tensor([picture.size[::-1]]), 0, torch.tensor([index]))
        ((left, top, right, bottom),), ((x, y, end_x, end_y),) = windows.box.tolist(), windows.cut.tolist()
        if x > -math.inf:
            picture = picture.crop((x, y, end_x, end_y))
            left, top, right, bottom = left - x, top - y, right - x, bottom - y
        exact = picture.resize(
            (SIDE, SIDE), Image.Resampling.BILINEAR, box=(min(left, right), top, max(left, right), bottom)
        )
        if left > right:
            exact = functional.hflip(exact)
        greatest = max(greatest, int((shown.int() - functional.pil_to_tensor(exact).int()).abs().max()))
    return greatest
