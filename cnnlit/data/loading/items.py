"""Batches of any map-style data set: its items one by one, each with random numbers of its own."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, Subset, default_collate
from torchvision.datasets import VisionDataset

from cnnlit.data.loading.batch_sampler import Presentations
from cnnlit.data.transforms.random_numbers import drawing


class PresentedItems(Dataset[Any]):
    """Items of a map-style data set, collated.

    `dataset[epoch, presentations]` is the batch of the items presentation % N. What a presentation draws at random is a
    function of seed, epoch and presentation, in whichever process it is made.

    Args:
        items: number -> an item, augmented.
        seed: of what is drawn.
        collate: items -> a batch.
    """

    def __init__(self, items: Any, *, seed: int, collate: Callable[[list[Any]], Any] = default_collate) -> None:
        self.items = items
        self.seed = seed
        self.collate = collate

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, batch: Presentations) -> Any:
        epoch, presentations = batch
        numbers = (presentations % len(self)).tolist()
        with drawing(self.seed, epoch) as moving_on:
            if hasattr(self.items, "__getitems__"):  # takes a batch at once
                moving_on(1 + int(presentations[0]))
                return self.collate(self.items.__getitems__(numbers))
            items = []
            for presentation, number in zip(presentations.tolist(), numbers, strict=True):
                moving_on(1 + presentation)
                items.append(self.items[number])
        return self.collate(items)


def labels_of(items: Any, key: Any = 1) -> Tensor:
    """The classes of the items of a map-style data set, int64 [N].

    torchvision's data sets, and Subsets of them, have a list of them; each item of any other set is made once.

    Args:
        items: number -> an item.
        key: where in an item the class is.
    """
    listed = _listed(items.dataset) if isinstance(items, Subset) else _listed(items)
    if listed is not None:
        return listed[torch.as_tensor(items.indices)] if isinstance(items, Subset) else listed
    with drawing(0):
        return torch.tensor([int(items[number][key]) for number in range(len(items))])


def _listed(items: Any) -> Tensor | None:
    changed = getattr(items, "target_transform", None) or not getattr(items, "transform", None)
    if not isinstance(items, VisionDataset) or changed or not hasattr(items, "targets"):
        return None
    return torch.as_tensor(items.targets, dtype=torch.int64)


class LoaderBatches(Sampler[Presentations]):
    """The batches that the sampler of a DataLoader makes up, as BatchSampler yields them; see there.

    What the sampler draws from global random numbers, or from generators that the loader and it were given, is a
    function of seed and epoch. Presentation p is item p % N, for the (p // N)th time that any item is presented.

    Args:
        loader: of a map-style data set.
        seed: of its order.
        order: a new random order each epoch, or that of the first epoch in all.
        rank: the number of this replica.
        num_replicas: that share each batch.
    """

    def __init__(self, loader: DataLoader[Any], *, seed: int, order: str, rank: int = 0, num_replicas: int = 1) -> None:
        self.loader = loader
        self.num_items = len(loader.dataset)  # type: ignore[arg-type]
        self.seed = seed
        self.order = order
        self.rank = rank
        self.num_replicas = num_replicas
        self.epoch = 0
        self._skipped = 0
        self._known: tuple[int, list[Tensor]] | None = None

    def __len__(self) -> int:
        return len(self.loader)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration, from 0; called by Lightning."""
        self.epoch = epoch

    def skip(self, batches: int) -> None:
        """Skip so many batches at the beginning of the next iteration, once."""
        self._skipped = batches

    def batches(self, epoch: int) -> list[Tensor]:
        """All batches of an epoch: int64 [batch] each, the numbers of the items."""
        epoch = 0 if self.order == "constant" else epoch
        if self._known is None or self._known[0] != epoch:
            self._known = epoch, [torch.as_tensor(list(batch), dtype=torch.int64) for batch in self._drawn(epoch)]
        return self._known[1]

    def _drawn(self, epoch: int) -> list[Sequence[int]]:
        sampler: Any = self.loader.batch_sampler
        parts = [self.loader, sampler, getattr(sampler, "sampler", None)]
        with drawing(self.seed, epoch):
            for part in parts:
                if isinstance(own := getattr(part, "generator", None), torch.Generator):
                    own.manual_seed(int(torch.randint(2**62, ())))
                if part is not self.loader and hasattr(part, "set_epoch"):
                    part.set_epoch(epoch)
            return list(sampler)

    def share(self, number: int) -> tuple[int, int]:
        """See BatchSampler."""
        everyone = len(self.batches(self.epoch)[number])
        return len(range(self.rank, everyone, self.num_replicas)), everyone

    def positions(self, number: int) -> Tensor:
        """See BatchSampler."""
        before = sum(map(len, self.batches(self.epoch)[:number]))
        return torch.arange(before, before + self.share(number)[1])[self.rank :: self.num_replicas]

    def __iter__(self) -> Iterator[Presentations]:
        skipped, self._skipped = self._skipped, 0
        first = 0
        for number, items in enumerate(self.batches(self.epoch)):
            presentations = (first + torch.arange(len(items))) * self.num_items + items
            first += len(items)
            if number >= skipped:
                share = presentations[self.rank :: self.num_replicas]
                yield self.epoch, share if len(share) else presentations[:1]
