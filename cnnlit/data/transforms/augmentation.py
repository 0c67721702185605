"""What is done to images before the network sees them: a paper's list of steps, put to work."""

from collections.abc import Sequence

import torch
from torch import Tensor

from cnnlit.data.transforms.colours import ColourStep, Normalize
from cnnlit.data.transforms.geometry import CenterCrop, Flip, Geometry, ShorterSide, Windows
from cnnlit.data.transforms.random_numbers import uniform

Step = Geometry | ColourStep


class Augmentation:
    """Steps in the order in which a paper lists them: first geometry, then colour; then the input's scale.

    Geometry becomes one window for each presentation, wherever the pixels are. Colour and scale are for whole batches
    on the device that trains. What does not end with a crop is brought to `image_size` by its shorter side and cropped
    in the middle; without any step, that is all.

    All that is random depends on nothing but the seed, the epoch, the number of the presentation, and the step's place
    in the list.

    Args:
        steps: of geometry and colours.
        image_size: side of the images that the network sees, in pixels. See geometry for what this does to the
            steps' own pixels.
        normalize: the input's scale.
        seed: of the draws.

    Raises:
        ValueError: for what is no step, and for geometry after colour.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        *,
        image_size: int,
        normalize: Normalize,
        seed: int,
    ) -> None:
        self.geometry: list[Geometry] = []
        self.colours: list[ColourStep] = []
        for step in steps:
            kind = type(step).__name__
            if isinstance(step, ColourStep):
                self.colours.append(step)
            elif not isinstance(step, Geometry):
                raise ValueError(f"data.augmentation: {kind} is no step of cnnlit.data.transforms.geometry or .colours")
            elif self.colours:
                before = type(self.colours[-1]).__name__
                raise ValueError(f"data.augmentation: {kind} comes after {before}; geometry comes first")
            else:
                self.geometry.append(step)
        sizing = [step for step in self.geometry if not isinstance(step, Flip)]
        crops = [step.crop_pixels for step in sizing if step.crop_pixels]
        pixels = crops[-1] if crops else image_size
        self.factor = image_size / pixels
        if not sizing or not sizing[-1].crop_pixels:
            self.geometry += [ShorterSide(pixels=pixels), CenterCrop(pixels=pixels)]
        self.image_size = image_size
        self.normalize = normalize
        self.seed = seed

    def for_evaluation(self) -> "Augmentation":
        """The same without chance: crops in the middle, scales in the middle of their range, nothing else."""
        return Augmentation(
            [each for step in self.geometry for each in step.for_evaluation()],
            image_size=self.image_size,
            normalize=self.normalize,
            seed=self.seed,
        )

    def windows(self, sizes: Tensor, epoch: int, presentations: Tensor) -> Windows:
        """What each presentation [N] shows of its image, of heights and widths [N, 2]; all of `image_size`."""
        windows = Windows.whole(sizes)
        for place, step in enumerate(self.geometry):
            windows = step(windows, self._uniform(step, place, epoch, presentations), self.factor)
        # Whole pixels come out as such: to a 65,536th of a pixel.
        return windows._replace(box=(windows.box * 2**16).round() / 2**16)

    def draws(self, epoch: int, presentations: Tensor) -> Tensor:
        """The random numbers of the steps on colour, float32 [N, their sum], for `finish`."""
        columns = [
            self._uniform(step, place, epoch, presentations)
            for place, step in enumerate(self.colours, start=len(self.geometry))
        ]
        return torch.cat([torch.empty(len(presentations), 0), *columns], dim=1).float()

    def finish(self, images: Tensor, draws: Tensor) -> Tensor:
        """Steps on colour and the input's scale.

        Args:
            images: [N, 3, image_size, image_size], 0 to 255, on any device.
            draws: float32 [N, k], of the same presentations, on the same device.

        Returns:
            float32 [N, 3, image_size, image_size].
        """
        if self.colours:
            images = images.to(torch.float32, memory_format=torch.contiguous_format)
        first = 0
        for step in self.colours:
            images = step.colour(images, draws[:, first : first + step.num_draws])
            first += step.num_draws
        return self.normalize(images)

    def _uniform(self, step: Step, place: int, epoch: int, presentations: Tensor) -> Tensor:
        return uniform(presentations, step.num_draws, self.seed, epoch, 3, place)
