"""Batches that say which batch comes after them, for images that take their time to come."""

from collections.abc import Iterator
from itertools import chain, islice, tee
from typing import Any

from torch.utils.data import Sampler

from cnnlit.data.loading.batch_sampler import BatchSampler, LockstepSampler


class ReadAhead(Sampler[Any]):
    """The batches of a sampler, each with the presentations of the one that its worker makes next.

    A worker that knows asks for the images of the next batch before it decodes those of this one.

    Args:
        batches: the sampler.
        workers: how many take batches in turn.
    """

    def __init__(self, batches: BatchSampler | LockstepSampler, workers: int) -> None:
        self.batches = batches
        self.workers = workers

    def __len__(self) -> int:
        return len(self.batches)

    def set_epoch(self, epoch: int) -> None:
        """See BatchSampler."""
        self.batches.set_epoch(epoch)

    def __iter__(self) -> Iterator[Any]:
        now, later = tee(self.batches)
        upcoming = chain(islice(later, self.workers, None), [None] * self.workers)
        for batch, following in zip(now, upcoming, strict=False):
            yield batch if following is None else (*batch, following[1])
