"""Batches of other people's loaders: which can be planned, where in them images and labels are, what is wrong."""

import io
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Annotated, Any, TypeGuard

import torch
from annotated_types import Ge
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

IMAGE_KEYS = ("image", "images", "img", "pixel_values", "input", "inputs", "x")
LABEL_KEYS = ("label", "labels", "target", "targets", "class", "y")

Key = str | Annotated[int, Ge(0)] | None


def is_planned(loader: Any) -> TypeGuard[DataLoader[Any]]:
    """Whether it is known in advance which items make up which batch."""
    return (
        isinstance(loader, DataLoader)
        and type(loader).__iter__ is DataLoader.__iter__
        and not isinstance(loader.dataset, IterableDataset)
        and loader.batch_sampler is not None
    )


class Stream:
    """The batches of a loader as they come.

    Args:
        loader: any iterable of batches.
        skipped: batches that are passed over in the first iteration.
    """

    def __init__(self, loader: Any, skipped: int = 0) -> None:
        self._loader = loader
        self._skipped = skipped

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Any]:
        skipped, self._skipped = self._skipped, 0
        return islice(iter(self._loader), skipped, None)


def keys_of(batch: Any, image_key: Key, label_key: Key, source: str) -> tuple[Any, Any]:
    """Where images and labels are in a batch or an item.

    Args:
        batch: a sequence or a mapping.
        image_key: a position or a key; None for the first, or a usual name.
        label_key: likewise; None for the second.
        source: whose batch it is, for messages.

    Raises:
        ValueError: one line about what it is instead.
    """
    given = image_key, label_key
    if isinstance(batch, Mapping):
        usual = [next((key for key in keys if key in batch), None) for keys in (IMAGE_KEYS, LABEL_KEYS)]
        image, label = (usual[n] if key is None else key for n, key in enumerate(given))
        if image not in batch or label not in batch:
            raise ValueError(
                f"data: {source}'s batches have the keys {', '.join(map(str, batch))}; "
                "name two: data.image_key=... data.label_key=..."
            )
        return image, label
    places = [number if key is None else key for number, key in enumerate(given)]
    if not isinstance(batch, list | tuple) or not all(isinstance(n, int) and n < len(batch) for n in places):
        raise ValueError(f"data: {source}'s batches are {type(batch).__name__}, and not (images, labels)")
    return places[0], places[1]


def check_stream(loader: Any, source: str) -> None:
    """Refuse a training loader of unknown length."""
    try:
        len(loader)
    except (TypeError, NotImplementedError):
        message = f"data: {source}.train_dataloader has no length, which schedules need: give its data set __len__"
        raise ValueError(message) from None


def check_batch(images: Any, labels: Any, data: Mapping[str, Any], source: str) -> None:
    """Refuse a batch that is not what `in_channels`, `image_size` and `num_classes` of its data say."""
    size, channels, classes = data["image_size"], data["in_channels"], data["num_classes"]
    if not isinstance(images, Tensor) or not images.is_floating_point() or images.shape[1:] != (channels, size, size):
        known = isinstance(images, Tensor)
        found = f"{str(images.dtype).removeprefix('torch.')} {list(images.shape)}" if known else type(images).__name__
        raise ValueError(
            f"data: {source}'s images are {found}; data.in_channels={channels} and data.image_size={size} "
            f"say float [N, {channels}, {size}, {size}]"
        )
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.shape != images.shape[:1]:
        raise ValueError(f"data: {source}'s labels have to be integers [N], one class for each image")
    if not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(f"data.num_classes={classes}: {source} has a label {int(labels.max())}")


def check_state(state: dict[str, Any], source: str) -> None:
    """Refuse a state that a resumed run could not read."""
    content = io.BytesIO()
    torch.save(state, content)
    content.seek(0)
    try:
        torch.load(content, weights_only=True)
    except Exception as error:
        raise ValueError(f"data: {source}.state_dict() holds more than plain containers and tensors") from error
