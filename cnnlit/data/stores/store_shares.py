"""Several processes, on one machine or many, that make one store: each makes a share of its shards."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from cnnlit.data.loading.image_set import ImageSet
from cnnlit.data.sources.folders import Listing
from cnnlit.data.stores.store import Split
from cnnlit.data.stores.store_folder import SHARES, Shard, shards_of
from cnnlit.files import LOCK, Lock, is_locked, make_folder


class StoreShare(NamedTuple):
    """A share of the shards of a store."""

    number: int
    """From 1."""
    of: int

    @classmethod
    def of_text(cls, text: str) -> "StoreShare":
        """`3/16`: the third of sixteen.

        Raises:
            ValueError: if it is nothing of the kind.
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise ValueError(f"prepare.shard={text}: say which share of how many, such as 3/16, from 1/16 to 16/16")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def shards(self, shards: Sequence[Shard]) -> list[Shard]:
        """Its shards, out of those of all parts of a store."""
        return list(shards[self.number - 1 :: self.of])


@contextmanager
def working(folder: Path, share: StoreShare) -> Iterator[None]:
    """Keep others from the share that this process makes.

    Raises:
        ValueError: if another process makes it.
    """
    place = folder / SHARES / f"{share.number}-of-{share.of}"
    make_folder(place)
    lock = Lock(place)
    if not lock.take():
        raise ValueError(f"prepare.shard={share}: another process is making this share of {folder}")
    try:
        yield
    finally:
        lock.give_back()


def splits_of(listing: Listing) -> dict[Split, ImageSet]:
    """The parts of a set, as a store calls them."""
    splits: dict[Split, ImageSet | None] = {"train": listing.train, "val": listing.test, "dev": listing.val}
    return {split: images for split, images in splits.items() if images is not None}


def all_shards(listing: Listing) -> list[Shard]:
    """The shards of all parts of a store."""
    return [shard for split, images in splits_of(listing).items() for shard in shards_of(split, images)]


def missing_shards(folder: Path, listing: Listing) -> list[Shard]:
    """Those that are not there yet."""
    return [shard for shard in all_shards(listing) if not (folder / shard.name).is_file()]


def at_work(folder: Path) -> bool:
    """Whether a process makes a share of a store."""
    return any(is_locked(lock.parent) for lock in (folder / SHARES).glob(f"*/{LOCK}"))
