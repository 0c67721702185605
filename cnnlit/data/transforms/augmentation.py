"""Augmentation: applies the steps that a paper lists, in its order."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from cnnlit.data.transforms.colours import ColourStep, Normalize, told_by
from cnnlit.data.transforms.geometry import CenterCrop, Flip, Geometry, ShorterSide, Windows
from cnnlit.data.transforms.own_steps import EachPicture
from cnnlit.data.transforms.presented import PresentedImage, fractions, told_of, visible
from cnnlit.data.transforms.random_numbers import uniform

Step = Geometry | ColourStep


class Augmentation:
    """Steps in the order of a paper: geometry, then colour, then the scale of the network's input.

    All geometry of a presentation becomes one window, computed without its pixels. Colour and scale are applied to
    whole batches on the device that trains. If the geometry does not end with a crop, the shorter side is resized to
    `image_size` and the centre is cropped; without any step, that is all.

    Random numbers depend only on the seed, the epoch, the presentation, and the step's place in the list.

    Args:
        steps: steps of transforms.geometry, then of transforms.colours, and anything that can be called with a picture,
            see EachPicture.
        image_size: side of the images that the network sees, in pixels; it rescales the pixels of the steps, see
            transforms.geometry.
        normalize: the scale of the input.
        seed: of the random numbers.

    Attributes:
        seeds: one, or those of several replicas that are served at once.
        picture_side: shorter side that images are brought to before they are cropped, where the first step does not
            resize them; None to take them as they are.
        sweep_length: presentations of each of several replicas: number p of replica r is r * sweep_length + p.

    Raises:
        ValueError: for anything that is none of these, and for geometry after colour.
    """

    def __init__(
        self,
        steps: Sequence[Step | Callable[[Tensor], Any]],
        *,
        image_size: int,
        normalize: Normalize,
        seed: int,
    ) -> None:
        self.geometry: list[Geometry] = []
        self.colours: list[ColourStep] = []
        for step in steps:
            if isinstance(step, ColourStep):
                self.colours.append(step)
            elif not isinstance(step, Geometry):
                self.colours.append(EachPicture(step))
            elif self.colours:
                before = type(steps[len(self.geometry)]).__name__
                kind = type(step).__name__
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
        self.seeds = [seed]
        self.picture_side: int | None = None
        self.sweep_length = 0

    def try_on(self, channels: int) -> None:
        """Show a grey picture to the steps that are the user's own; raises ValueError, one line about the answer."""
        for step in self.colours:
            if isinstance(step, EachPicture):
                step.try_on(channels, self.image_size)

    @property
    def is_random(self) -> bool:
        """Whether two presentations of an image may differ."""
        steps: list[Step] = [*self.geometry, *self.colours]
        return any(step.num_draws for step in steps)

    def for_evaluation(self) -> "Augmentation":
        """The same without randomness: centre crops, scales in the middle of their range, nothing else."""
        return Augmentation(
            [each for step in self.geometry for each in step.for_evaluation()],
            image_size=self.image_size,
            normalize=self.normalize,
            seed=self.seeds[0],
        )

    def windows(self, sizes: Tensor, epoch: int, presentations: Tensor) -> Windows:
        """The window of each presentation [N], whose images have heights and widths [N, 2]; all of `image_size`."""
        windows = brought(sizes, self.picture_side, self.geometry[0])
        for place, step in enumerate(self.geometry):
            windows = step(windows, self._uniform(step, place, epoch, presentations), self.factor)
        # Rounded to 1/65,536 of a pixel, so that whole pixels come out as whole numbers.
        return windows._replace(box=(windows.box * 2**16).round() / 2**16)

    def draws(self, epoch: int, presentations: Tensor) -> Tensor:
        """The random numbers of the colour steps, float32 [N, sum of their num_draws], for `finish`."""
        columns = [
            self._uniform(step, place, epoch, presentations)
            for place, step in enumerate(self.colours, start=len(self.geometry))
        ]
        return torch.cat([torch.empty(len(presentations), 0), *columns], dim=1).float()

    def finish(self, images: Tensor, draws: Tensor) -> Tensor:
        """Apply the colour steps and the scale of the input.

        Args:
            images: [N, C, image_size, image_size], 0 to 255, on any device.
            draws: float32 [N, k], from `draws` for the same presentations, on the same device.

        Returns:
            float32 [N, C, image_size, image_size].
        """
        if self.colours:
            images = images.to(torch.float32, memory_format=torch.contiguous_format)
        first = 0
        for step in self.colours:
            images = step.colour(images, draws[:, first : first + step.num_draws])
            first += step.num_draws
        return self.normalize(images)

    def presented(
        self,
        originals: Sequence[Tensor],
        sizes: Tensor,
        finished: tuple[Tensor, Tensor],
        epoch: int,
        presentations: Tensor,
    ) -> list[PresentedImage]:
        """Presentations made visible, with what was drawn for each.

        Args:
            originals: N of uint8 [C, H, W], to be drawn.
            sizes: heights and widths of the images, int64 [N, 2].
            finished: what `finish` made of them, and their labels, int64 [N].
            epoch: of the presentations.
            presentations: int64 [N].
        """
        images, labels = finished
        windows = self.windows(sizes, epoch, presentations)
        parts = [visible(image[None])[0] for image in originals]
        colours = self._told(images.shape[1], epoch, presentations)
        told = [", ".join(words) for words in zip(told_of(windows, sizes), *colours, strict=True)]
        each = visible(self.normalize.undone(images)), labels.tolist(), parts, told, fractions(windows, sizes)
        return [PresentedImage(*image) for image in zip(*each, strict=True)]

    def _told(self, channels: int, epoch: int, presentations: Tensor) -> list[list[str]]:
        """What each colour step draws for presentations [N]: as many lists of N words."""
        widths = [step.num_draws for step in self.colours]
        draws = torch.split(self.draws(epoch, presentations), widths, dim=1)
        return [told_by(step, uniform, channels) for step, uniform in zip(self.colours, draws, strict=True)]

    def _uniform(self, step: Step, place: int, epoch: int, presentations: Tensor) -> Tensor:
        if len(self.seeds) == 1:
            return uniform(presentations, step.num_draws, self.seeds[0], epoch, 3, place)
        drawn = torch.empty(len(presentations), step.num_draws, dtype=torch.float64)
        for replica, seed in enumerate(self.seeds):
            its = presentations // self.sweep_length == replica
            own = presentations[its] - replica * self.sweep_length
            drawn[its] = uniform(own, step.num_draws, seed, epoch, 3, place)
        return drawn


def brought(sizes: Tensor, side: int | None, first: object) -> Windows:
    """Windows that show all of images of these heights and widths [N, 2], brought to a shorter side.

    Args:
        sizes: of the images.
        side: in pixels of the images; None to take them as they are.
        first: the step that follows; one that resizes images itself has them as they are.
    """
    windows = Windows.whole(sizes)
    if side is None or getattr(first, "resizes", False):
        return windows
    return ShorterSide(pixels=side)(windows, torch.empty(len(sizes), 0, dtype=torch.float64), 1.0)
