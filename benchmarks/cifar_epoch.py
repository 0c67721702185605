"""An epoch of CIFAR-10's loader: cropped, mirrored, its mean image subtracted, in batches of 128.

cnnlit: what `python -m cnnlit.train model=resnet20 data=cifar10` trains on, through its DataLoader.
bare loop: the same in plain torch, batch by batch, with nothing around it: index, pad, crop and mirror by one
gathering, subtract. Its places are drawn at once, before the epoch, outside what is measured.
torchvision: CIFAR10's images as PIL has them, RandomCrop, RandomHorizontalFlip, ToTensor and Normalize, image by image
in a DataLoader of two workers, whose CPU time counts. On a part of the epoch, for it takes so long.

The pixels are random, for no step's time depends on them.
"""

import resource
import time
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.timing import Claim, Cost, interleaved, ratio, seconds, timed
from cnnlit.data.loading.image_set import LoadedImages
from cnnlit.data.small_images import SmallImages
from cnnlit.data.small_sets.contents import Contents
from cnnlit.data.transforms.geometry import Flip, RandomCrop

ROUNDS = 5
BATCH, NUM_IMAGES, HELD_OUT, SIDE, PADDING = 128, 50_000, 5_000, 32, 4
PART = 40 * BATCH
"""Images of an epoch that torchvision is measured on."""


def measure(root: str) -> list[Claim]:
    """The claims on CIFAR-10's epoch; `root` is not read."""
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (NUM_IMAGES, 3, SIDE, SIDE), generator=random, dtype=torch.uint8)
    images = LoadedImages(pixels, torch.arange(NUM_IMAGES) % 10)
    data = RandomPixels(images)
    data.setup()
    loader: Any = data.train_dataloader()
    train = images.subset(torch.arange(NUM_IMAGES - HELD_OUT))
    mean = pixels.float().mean(dim=0)
    epoch = iter(range(10**6))

    def ours() -> None:
        loader.sampler.set_epoch(next(epoch))
        shown = sum(len(labels) for _, labels in loader)
        assert shown == len(train)

    def bare() -> Cost:
        places = torch.randperm(len(train)), torch.randint(0, 2 * PADDING + 1, (2, len(train))), torch.rand(len(train))
        return timed(lambda: bare_epoch(train, mean, *places))()

    costs = interleaved({"cnnlit": timed(ours), "bare": bare, "torchvision": lambda: by_torchvision(train)}, ROUNDS)
    share = PART / len(train)
    return [
        ratio("CIFAR-10's epoch, cnnlit / bare loop", costs, "cnnlit", "bare", bound=1.05, at_most=True),
        ratio(
            "  torchvision, two workers / cnnlit", costs, "torchvision", "cnnlit", bound=10, at_most=False, per=share
        ),
        seconds("  cnnlit, per image", costs, "cnnlit", per=len(train) * 1e-6, unit="us"),
        seconds("  bare loop, per image", costs, "bare", per=len(train) * 1e-6, unit="us"),
        seconds("  torchvision, per image", costs, "torchvision", per=PART * 1e-6, unit="us"),
    ]


class RandomPixels(SmallImages):
    """What data=cifar10 and recipe=he2015_cifar build, on other pixels."""

    def __init__(self, images: LoadedImages) -> None:
        super().__init__(
            source="cifar10",
            in_channels=3,
            batch_size=BATCH,
            val_split=HELD_OUT,
            augmentation=[RandomCrop(pixels=SIDE, padding=PADDING), Flip()],
            normalization="mean_image",
        )
        self._given = images

    def _read_whole(self) -> Contents:
        return Contents(self._given, self._given.subset(torch.arange(10)))


def bare_epoch(images: LoadedImages, mean: Tensor, order: Tensor, offsets: Tensor, drawn: Tensor) -> None:
    """An epoch in plain torch, given its order, the offsets of its crops, and a number below 0.5 where it mirrors."""
    x = torch.arange(SIDE)
    for first in range(0, len(order), BATCH):
        batch = slice(first, first + BATCH)
        padded = functional.pad(images.pixels.index_select(0, order[batch]), (PADDING,) * 4)
        top, left = offsets[:, batch]
        columns = left[:, None] + torch.where(drawn[batch, None] < 0.5, SIDE - 1 - x, x)
        places = ((top[:, None] + x)[:, :, None] * (SIDE + 2 * PADDING) + columns[:, None, :]).flatten(1)[:, None]
        shown = padded.flatten(2).gather(2, places.expand(-1, 3, -1)).view(-1, 3, SIDE, SIDE)
        shown.float().sub_(mean)
        images.labels.index_select(0, order[batch])


class Photographs(Dataset[Any]):
    """Images as torchvision's CIFAR10 has them: an array, of which PIL makes an image at a time."""

    def __init__(self, images: LoadedImages) -> None:
        self.pixels, self.labels = images.pixels[:PART].movedim(1, -1).contiguous().numpy(), images.labels.tolist()
        crop, mean = transforms.RandomCrop(SIDE, padding=PADDING), (0.5, 0.5, 0.5)
        steps = [crop, transforms.RandomHorizontalFlip(), transforms.ToTensor(), transforms.Normalize(mean, mean)]
        self.transform = transforms.Compose(steps)

    def __len__(self) -> int:
        return PART

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


def by_torchvision(images: LoadedImages) -> Cost:
    """A part of an epoch; the CPU time of the workers, which end with it, counts."""
    loader: DataLoader[Any] = DataLoader(Photographs(images), BATCH, shuffle=True, num_workers=2)
    before, began = _cpu(), time.perf_counter()
    for _ in loader:
        pass
    return Cost(_cpu() - before, time.perf_counter() - began)


def _cpu() -> float:
    """CPU seconds of this process and of the children that it has seen end."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
