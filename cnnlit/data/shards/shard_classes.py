"""The classes of shards: what their numbers mean."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnnlit.data.labels.class_ids import imagenet_ids
from cnnlit.data.shards.shard_index import ShardIndex, in_order
from cnnlit.data.sources.class_names import class_names, first_word, imagenet_names
from cnnlit.data.sources.folders import WNID, some

LISTS = ("classes.txt", "classnames.txt", "class_names.txt", "labels.txt")
"""Files beside shards that name a class in each line, in the order of its number."""

ENOUGH = 900
"""Names out of ImageNet's thousand, in its order, by which a list of them is known: some are shortened otherwise."""


class ShardClasses(NamedTuple):
    """The classes of all parts of a set."""

    labels: list[str]
    """As the shards tell them, in the order of the labels."""
    ids: list[str]
    names: list[str]
    """What each is called."""

    def label_of(self, index: ShardIndex) -> NDArray[np.int64]:
        """The label of each class of an index."""
        numbers = {text: number for number, text in enumerate(self.labels)}
        return np.array([numbers[text] for text in index.labels], np.int64)


def classes_of(parts: dict[str, ShardIndex], folder: Path) -> ShardClasses:
    """The classes of a set.

    Args:
        parts: the indices of its parts, that of the training images first.
        folder: beside whose shards a list may name them.

    Raises:
        ValueError: one line, if another part has classes that the first one has not, or a list is too short.
    """
    first = next(iter(parts.values()))
    told = first.told or _listed(folder)
    labels = in_order({text for index in parts.values() for text in index.labels})
    for part, index in parts.items():
        if new := [text for text in index.labels if text not in first.labels and not told]:
            raise ValueError(f"{folder}: {part} has images of {some(new)}, of which there are none to train on")
    if not all(map(str.isdecimal, labels)):
        return ShardClasses(labels, labels, class_names(labels, [folder]))
    if told and int(labels[-1]) >= len(told):
        raise ValueError(f"{folder}: {len(told):,} classes are named, and an image is of class number {labels[-1]}")
    if told:
        labels = [str(number) for number in range(len(told))]
    ids = _ids(labels, told, first)
    if all(map(WNID.fullmatch, ids)):
        return ShardClasses(labels, ids, class_names(ids, [folder]))
    return ShardClasses(labels, ids, told or labels)


def _ids(labels: list[str], told: Sequence[str], index: ShardIndex) -> list[str]:
    """A WordNet id for each number where these are known, else its name, or else the number."""
    if is_imagenet(told):
        return list(imagenet_ids())
    if index.wnids.keys() >= set(labels):
        return [index.wnids[label] for label in labels]
    return list(told) if told and len(set(told)) == len(told) else labels


def is_imagenet(names: Sequence[str]) -> bool:
    """Whether these are ImageNet's thousand classes, in the order of their WordNet ids."""
    ours = imagenet_names()
    if len(names) != len(ours):
        return False
    same = sum(first_word(one).lower() == other.lower() for one, other in zip(names, ours, strict=True))
    return same >= ENOUGH


def _listed(folder: Path) -> list[str]:
    for name in LISTS:
        if (folder / name).is_file():
            return [line.strip() for line in (folder / name).read_text(errors="replace").splitlines() if line.strip()]
    return []
