"""Images from anywhere, as the test of a small set presents them: drawings as its digits, others in its size."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cnnlit.data.images_in_memory import InMemoryImageData
from cnnlit.data.small_sets.drawn_digits import find_drawing, is_dark_on_bright, varied
from cnnlit.data.small_sets.published import SmallSet
from cnnlit.data.transforms.augmentation import Augmentation
from cnnlit.data.transforms.colours import as_channels
from cnnlit.data.transforms.evaluation_crops import Shifted


class ForeignSmallImages(InMemoryImageData):
    """A small set, whose images are of one size."""

    _entry: SmallSet | None
    _shifts: Shifted | None

    def _wide(self, shifts: Shifted) -> Augmentation:
        raise NotImplementedError

    def as_input(self, images: Sequence[Tensor]) -> Any:
        """See ResumableData and `_brought`."""
        brought = [self._brought(image) for image in images]
        if self._shifts is None:
            return super().as_input(brought)
        return [self._shifts.seen(self._normalize(self._shown_by(self._wide(self._shifts), brought)[0]))]

    def input_form(self) -> dict[str, Any]:
        """See ResumableData."""
        geometry: dict[str, Any] = {"shown_at": 2 * [self.hparams["image_size"]], "by": self.hparams["enlarge"]}
        if (entry := self._entry) and entry.shape[0] == 1:
            geometry |= {"brought_to": entry.shape[-2:], "ink": "bright on dark; dark on bright is inverted"}
            geometry["centred"] = "fitted into 20x20, its centre of mass in the middle" if entry.characters else "no"
        return super().input_form() | {"geometry": geometry}

    def as_seen(self, images: Sequence[Tensor]) -> Tensor:
        """See ResumableData."""
        shown = super().as_seen([self._brought(image) for image in images])
        return shown[:, 0] if shown.shape[1] == 1 else shown

    def remark(self, image: Tensor) -> str | None:
        """See ResumableData."""
        return "dark on bright: inverted" if self._is_inverted(image) else None

    @property
    def takes_drawings(self) -> bool:  # type: ignore[override]  # decided by the set
        """See ResumableData."""
        return bool(self._entry) and self._entry.characters and self._entry.shape[0] == 1  # type: ignore[union-attr]

    def doubtful(self, image: Tensor) -> tuple[str | None, Any]:
        """See ResumableData. Images of the size of the set's are not doubted, unless they are blank."""
        if not self.takes_drawings:
            return None, None
        drawing = find_drawing(image)
        if drawing.why_none or image.shape[1:] == drawing.digit.shape:
            return drawing.why_none, None
        return None, super().as_input([self._brought(digit.expand(3, -1, -1)) for digit in varied(drawing.digit)])

    def _is_inverted(self, image: Tensor) -> bool:
        """Whether an image is the negative of how the set, grey on black, would have it."""
        if self.takes_drawings:
            return find_drawing(image).dark
        return bool(self._entry) and self._entry.shape[0] == 1 and is_dark_on_bright(image)  # type: ignore[union-attr]

    def _brought(self, image: Tensor) -> Tensor:
        """An image uint8 [3, H, W] from anywhere as the set would have it: its size, its channels, white on black."""
        channels = self.hparams["in_channels"]
        if not self._entry:
            return as_channels(image[None], channels)[0]
        if self._entry.characters and self._entry.shape[0] == 1:
            return as_channels(find_drawing(image).digit[None, None], channels)[0]
        image = 255 - image if self._is_inverted(image) else image
        whole = Augmentation((), image_size=self._entry.shape[-1], normalize=self._normalize, seed=0)
        small = self._shown_by(whole, [image])[0].round().clamp(0, 255).to(torch.uint8)
        return as_channels(small, channels)[0]
