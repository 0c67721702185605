"""The order of presentation: which images make up a batch, as a pure function of seed and epoch."""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.utils.data import Sampler

from cnnlit.data.loading.balance import balanced
from cnnlit.data.transforms.random_numbers import generator

Order = Literal["fresh", "constant", "balanced", "sequential"]
Presentations = tuple[int, Tensor]

MIXED_BLOCKS = 16
"""Blocks of neighbours whose images are shuffled together."""


class BatchSampler(Sampler[Presentations]):
    """Samples whole batches: yields `(epoch, presentations)`, the second int64 [batch].

    Presentation p is image p % num_images in version p // num_images. All versions of all images, in random order,
    make up a sweep; sweep follows sweep, and each epoch takes the next presentations. With one version and one pass per
    epoch, a sweep is an epoch.

    In a `balanced` order an epoch shows each class equally often, up to one presentation: those of rare classes several
    times, in versions that follow one another, and not all of common ones. See cnnlit.data.loading.balance.

    The order depends on seed and epoch alone, so an interrupted run finds its place again with `skip`, whatever the
    number of workers. The last batch holds the remainder.

    Args:
        num_images: number of images.
        batch_size: presentations per batch, over all replicas.
        order: a new random order each sweep, the same random order each sweep, a new random order each epoch in
            which all classes are equally frequent, or the order of the images.
        labels: of the images, int64 [num_images], for a balanced order.
        block_images: 1 to shuffle single images. More shuffles blocks of so many neighbours on the disk, and then the
            images of MIXED_BLOCKS blocks at a time: the disk reads in long strides, and a batch is as diverse as so
            many blocks.
        places: int64 [num_images], the rank of each image on the disk; None if they are stored in their order.
        blocks: int64 [num_images], the block of each image, counted from 0, where they can only be read in blocks of
            their own sizes; in place of `block_images` and `places`.
        seed: of the random orders.
        versions: number of different versions of each image.
        passes_per_epoch: presentations per epoch, in multiples of `num_images`.
        rank: the number of this replica, from 0; it takes every `num_replicas`-th presentation of a batch.
        num_replicas: number of replicas that share each batch. If a batch is too short for all of them, those without
            a share are given its first presentation, so that all take the same number of steps; `share` tells that it
            does not count.
    """

    def __init__(
        self,
        num_images: int,
        batch_size: int,
        *,
        order: Order,
        labels: Tensor | None = None,
        seed: int = 0,
        versions: int = 1,
        passes_per_epoch: int = 1,
        block_images: int = 1,
        places: Tensor | None = None,
        blocks: Tensor | None = None,
        rank: int = 0,
        num_replicas: int = 1,
    ) -> None:
        self.sweep_length = num_images * versions
        self.epoch_length = num_images * passes_per_epoch
        self.batch_size = batch_size
        self.order = order
        self.labels = labels
        self.block_images = block_images
        self.places = places if blocks is None else blocks.argsort(stable=True).argsort()
        self.blocks = blocks
        self.num_images = num_images
        self.seed = seed
        self.rank = rank
        self.num_replicas = num_replicas
        self.epoch = 0
        self._skipped = 0

    def __len__(self) -> int:
        return -(-self.epoch_length // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration, from 0; called by Lightning."""
        self.epoch = epoch

    def share(self, number: int) -> tuple[int, int]:
        """How many presentations of batch `number` of an epoch are for this replica, and how many for all replicas."""
        everyone = min(self.batch_size, self.epoch_length - number * self.batch_size)
        return len(range(self.rank, everyone, self.num_replicas)), everyone

    def positions(self, number: int) -> Tensor:
        """The positions in the epoch of this replica's share of batch `number`, int64 [its share]."""
        first = number * self.batch_size
        return torch.arange(first, first + self.share(number)[1])[self.rank :: self.num_replicas]

    def skip(self, batches: int) -> None:
        """Skip so many batches at the beginning of the next iteration, once."""
        self._skipped = batches

    def presentations(self, epoch: int) -> Tensor:
        """All presentations of an epoch in order, int64 [num_images * passes_per_epoch]."""
        if self.order == "balanced":
            assert self.labels is not None
            images, times = balanced(self.labels, self.epoch_length, generator(self.seed, epoch))
            return images + self.num_images * (times % (self.sweep_length // self.num_images))
        first, offset = divmod(epoch * self.epoch_length, self.sweep_length)
        last = (offset + self.epoch_length - 1) // self.sweep_length + first
        sweeps = torch.cat([self._sweep(number) for number in range(first, last + 1)])
        return sweeps[offset : offset + self.epoch_length]

    def _sweep(self, number: int) -> Tensor:
        if self.order == "sequential":
            return torch.arange(self.sweep_length)
        random = generator(self.seed, 0 if self.order == "constant" else number)
        if self.block_images == 1 and self.blocks is None:
            return torch.randperm(self.sweep_length, generator=random)
        blocks = torch.split(self._neighbours(), self._block_lengths())
        order = torch.randperm(len(blocks), generator=random).tolist()
        mixed = [
            torch.cat([blocks[block] for block in order[first : first + MIXED_BLOCKS]])
            for first in range(0, len(order), MIXED_BLOCKS)
        ]
        return torch.cat([part[torch.randperm(len(part), generator=random)] for part in mixed])

    def _block_lengths(self) -> int | list[int]:
        """Presentations in each block of a sweep."""
        if self.blocks is None:
            return self.block_images
        lengths: list[int] = (self.blocks.bincount() * (self.sweep_length // self.num_images)).tolist()
        return [length for length in lengths if length]

    def _neighbours(self) -> Tensor:
        """All presentations of a sweep in the order of their images on the disk."""
        images = torch.arange(self.num_images) if self.places is None else self.places.argsort()
        versions = torch.arange(self.sweep_length // self.num_images)
        return (images[:, None] + self.num_images * versions).flatten()

    def __iter__(self) -> Iterator[Presentations]:
        skipped, self._skipped = self._skipped, 0
        epoch = self.epoch
        for batch in torch.split(self.presentations(epoch), self.batch_size)[skipped:]:
            share = batch[self.rank :: self.num_replicas]
            yield epoch, share if len(share) else batch[:1]


class LockstepSampler(Sampler[Presentations]):
    """Samples the batches of several seeds together: yields `(epoch, presentations)`, int64 [seeds * batch].

    The seeds follow one another in a batch. Presentation p of seed number s is s * sweep_length + p: its image is still
    the remainder by `num_images`, and its random numbers are a row of one table for all seeds.

    Args:
        each: the sampler of each seed; they differ in nothing else.
    """

    def __init__(self, each: Sequence[BatchSampler]) -> None:
        self.each = each
        self._skipped = 0

    def __len__(self) -> int:
        return len(self.each[0])

    def set_epoch(self, epoch: int) -> None:
        """See BatchSampler."""
        for batches in self.each:
            batches.set_epoch(epoch)

    def skip(self, batches: int) -> None:
        """See BatchSampler."""
        self._skipped = batches

    def __iter__(self) -> Iterator[Presentations]:
        skipped, self._skipped = self._skipped, 0
        first = self.each[0]
        own = [
            number * batches.sweep_length + batches.presentations(first.epoch)
            for number, batches in enumerate(self.each)
        ]
        for step in torch.split(torch.stack(own), first.batch_size, dim=1)[skipped:]:
            yield first.epoch, step.flatten()
