"""Images from anywhere, as the test of a set of colour images presents them."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from cnnlit.data.datamodule import ResumableData
from cnnlit.data.loading.multi_view import ViewGroup
from cnnlit.data.transforms.augmentation import Augmentation
from cnnlit.data.transforms.colours import Normalize
from cnnlit.data.transforms.evaluation_crops import ViewPlan
from cnnlit.data.transforms.geometry import Windows
from cnnlit.data.user_images import render


class ForeignImages(ResumableData):
    """A set whose test crops images, which those from anywhere are to enter alike.

    A recipe may crop a number of pixels without resizing before, as those of small pictures do. A photograph is then
    brought to the size of the training pictures first: its middle 64 of 500 pixels would show nothing of it.

    Attributes:
        picture_size: height and width of the training pictures; None if it is not known, or they have several.
    """

    _in_memory: ClassVar[bool]
    _shows_parts: ClassVar[bool] = False
    """Whether a test shows a part of an image, resized; digits are cut out and centred."""
    _usual_size: ClassVar[Sequence[int] | None] = None
    """Of the pictures of a set, where early checkpoints do not say."""

    _normalize: Normalize
    _evaluation: Augmentation
    _views: ViewPlan | None
    picture_size: Sequence[int] | None = None

    def bring_to(self, size: Sequence[int] | None) -> None:
        """Bring the pictures of a test to the size of those of the training, if the test would not resize them."""
        self.picture_size = size or self.picture_size or self._usual_size
        side = min(self.picture_size) if self.picture_size else None
        for plan in (self._evaluation, self._views):
            if plan:
                plan.picture_side = side

    def answer_for(self, state: Mapping[str, Any]) -> None:
        """See ResumableData."""
        super().answer_for(state)
        self.bring_to(state.get("picture_size"))

    def part_seen(self, image: Tensor) -> tuple[float, float, float, float] | None:
        """See ResumableData."""
        if not self._shows_parts:
            return None
        height, width = image.shape[1:]
        left, top, right, bottom = self._windows(image).box.unbind(1)
        ends = (torch.minimum(left, right).min(), top.min(), torch.maximum(left, right).max(), bottom.max())
        parts = (float(end) / side for end, side in zip(ends, (width, height, width, height), strict=True))
        return tuple(min(max(part, 0.0), 1.0) for part in parts)  # type: ignore[return-value]

    def _windows(self, image: Tensor) -> Windows:
        size = torch.tensor([image.shape[1:]])
        if self._views is None:
            return self._evaluation.windows(size, 0, torch.zeros(1, dtype=torch.int64))
        return self._views.windows(size)

    def as_input(self, images: Sequence[Tensor]) -> Tensor | list[ViewGroup]:
        """See ResumableData."""
        if self._views is None:
            pixels, places = self._only_view(images)
            return self._evaluation.finish(pixels, self._evaluation.draws(0, places))
        windows = [self._views.windows(torch.tensor([image.shape[1:]])) for image in images]
        groups = render(images, windows, exactly=self._in_memory, channels=self.hparams["in_channels"])
        return [(self._normalize(pixels), places) for pixels, places in groups]

    def input_form(self) -> dict[str, Any]:
        """See ResumableData."""
        side = self.hparams["image_size"]
        tall = torch.tensor([[8 * side, 10 * side]])
        window = self._evaluation.windows(tall, 0, torch.zeros(1, dtype=torch.int64))
        shown = float(window.box[0, 3] - window.box[0, 1])
        geometry = {
            "resize_shorter_side": round(8 * side * side / shown),
            "interpolation": "bilinear, antialiased",
            "crop": [side, side],
            "position": "centre",
        }
        black = torch.zeros(1, self.hparams["in_channels"], side, side)
        add = self._normalize(black)[0]
        multiply = (self._normalize(black + 255)[0] - add) / 255
        return {"geometry": geometry, "multiply": multiply, "add": add}

    def as_seen(self, images: Sequence[Tensor]) -> Tensor:
        """See ResumableData."""
        seen = self._only_view(images)[0].round().clamp(0, 255).to(torch.uint8)
        return seen[:, 0] if seen.shape[1] == 1 else seen

    def _only_view(self, images: Sequence[Tensor]) -> ViewGroup:
        return self._shown_by(self._evaluation, images)

    def _shown_by(self, augmentation: Augmentation, images: Sequence[Tensor]) -> ViewGroup:
        """Images [C, H, W], each of any size, as an augmentation without chance shows them, 0 to 255."""
        first = torch.zeros(1, dtype=torch.int64)
        windows = [augmentation.windows(torch.tensor([image.shape[1:]]), 0, first) for image in images]
        (view,) = render(images, windows, exactly=self._in_memory, channels=self.hparams["in_channels"])
        return view
