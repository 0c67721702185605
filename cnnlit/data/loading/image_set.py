"""What a set of images in files offers, however they are stored."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cnnlit.data.loading.decoding import DecodableImage


class ImageSet(Protocol):
    """ImageSet and their classes, in an order that never changes."""

    @property
    def folder(self) -> Path:
        """That they lie below."""
        ...

    @property
    def names(self) -> NDArray[np.bytes_]:
        """[N], paths below the folder, or what they once were."""
        ...

    @property
    def labels(self) -> Tensor:
        """int64 [N]."""
        ...

    def __len__(self) -> int: ...

    def path(self, index: int) -> str:
        """Where an image lies, for messages."""
        ...

    def open(self, index: int) -> DecodableImage: ...

    def subset(self, indices: Tensor) -> "ImageSet": ...
