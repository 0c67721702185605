"""What a small set holds once it is read, and how one is refused that is not what it is called."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnnlit.data.loading.image_set import LoadedImages


class Contents(NamedTuple):
    """The images of a set, in memory."""

    train: LoadedImages
    test: LoadedImages | None
    """None if the form has no test images."""
    val: LoadedImages | None = None
    """None if the form has no validation images."""
    class_names: Sequence[str] = ()
    """Empty if the form does not say."""


class Located(NamedTuple):
    """A set that was found on the disk, not read yet."""

    form: str
    """How it is stored, in a few words: `python batches`."""
    path: Path
    """The folder or the file that holds it."""
    read: Callable[[], Contents]
    """Raises ValueError, in one line, for files that are damaged."""
    lossy: bool = False
    """Whether its pixels were compressed with a loss, so that they are not the published ones."""
    verified: Callable[[], bool | None] = lambda: None
    """Whether its files are the published ones, by md5; None where nothing published says so."""


class NotThisSetError(ValueError):
    """Files that lie where a set should, and are sound, but are not that set."""


def images(pixels: NDArray[np.uint8], labels: NDArray[np.generic], where: Path) -> LoadedImages:
    """Arrays as images.

    Args:
        pixels: uint8 [N, C, H, W].
        labels: of any integer type, [N].
        where: they are from, for messages.

    Raises:
        ValueError: if they are not as many.
    """
    if len(pixels) != len(labels):
        raise ValueError(f"{where} holds {len(pixels):,} images and {len(labels):,} labels")
    return LoadedImages(torch.from_numpy(np.array(pixels, order="C")), as_labels(labels))


def as_labels(labels: NDArray[np.generic]) -> Tensor:
    """int64 [N]."""
    return torch.from_numpy(np.ascontiguousarray(labels).astype(np.int64))
