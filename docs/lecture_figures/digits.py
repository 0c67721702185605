"""Figures of LeNet-5 at work on MNIST, with the weights that come with cnnlit: nothing is trained."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

import cnnlit
from cnnlit.callbacks.run_figures import ErrorsOf1998, compare_with_1998
from cnnlit.data.small_images import SmallImages
from cnnlit.drawings.wrong_images import draw_errors
from cnnlit.models.lenet5 import digit_codes
from lecture_figures.house_style import BLUE, FAINT, ORANGE, WIDTH, blank

WEIGHTS = "LeNet5.MNIST"

SHOWN = 4
"""The test image whose maps are drawn: the first 4, a digit of several strokes."""

LAYERS = ("c1", "s2", "c3", "s4", "c5", "f6", "output")

SQUASHED = 1.7159
"""The largest output of LeNet-5's squashing function; Sec. II-B."""

OF_1998 = (359, 366, 339, 330, 336, 376, 331, 337, 333, 334)
"""The training images, 0 to 9, whose distortions are shown in Fig. 7 of the paper; found by matching its pixels."""

NUM_DISTORTED = 6
"""Distortions of each digit."""


@functools.cache  # figures share it, and none changes it
def mnist(data: Path, distortion: str = "none") -> SmallImages:
    """MNIST, read from the folder `data`."""
    images = SmallImages(source="mnist", root=str(data), distortion=distortion)  # type: ignore[arg-type]
    images.setup()
    return images


def draw_maps(data: Path) -> Figure:
    """What every layer of LeNet-5 makes of one digit, and how far F6 is from each of the ten codes."""
    image = mnist(data).test_dataloader().dataset[0, torch.tensor([SHOWN])][0]
    outputs = outputs_of_layers(cnnlit.load(WEIGHTS).network, image)
    figure = blank(8.95, layout=None)
    sheet = Sheet(figure)
    sheet.row("Input, 32x32 pixels", image[0], tile=0.84, columns=1)
    for name, what in (("c1", "C1, six convolutions of 5x5"), ("s2", "S2, each 2x2 becomes one")):
        sheet.row(what, outputs[name][0], tile=0.84, columns=6)
    sheet.row("C3, 16 convolutions, each of some maps of S2", outputs["c3"][0], tile=0.61, columns=8)
    sheet.row("S4, each 2x2 becomes one", outputs["s4"][0], tile=0.34, columns=16)
    sheet.row("C5, 120 units", outputs["c5"].view(1, 3, 40), tile=WIDTH - 0.3, columns=1)
    sheet.row("F6, 84 units as a bitmap, and the code nearest to it", torch.empty(0), tile=0, columns=1)
    distances = -outputs["output"][0]
    nearest = int(distances.argmin())
    sheet.bitmap(outputs["f6"].view(12, 7), "F6", ORANGE, 0)
    for digit, code in enumerate(digit_codes().view(10, 12, 7)):
        color = ORANGE if digit == nearest else FAINT
        sheet.bitmap(code, f"{distances[digit]:.0f}", color, digit + 1)
    return figure


class Sheet:
    """A figure that is filled with rows of maps from the top; lengths are inches.

    Args:
        figure: without a layout.
    """

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.width, self.height = figure.get_size_inches()
        self.top = self.height - 0.05

    def row(self, title: str, maps: Tensor, *, tile: float, columns: int) -> None:
        """A heading and maps [N, H, W] below it, `tile` wide each."""
        self.figure.text(0.15 / self.width, (self.top - 0.2) / self.height, title, fontweight="bold")
        self.top -= 0.32
        gap = (self.width - 0.3 - columns * tile) / max(1, columns - 1)
        for number, values in enumerate(maps):
            row, column = divmod(number, columns)
            tall = tile * values.shape[0] / values.shape[1]
            left = 0.15 + column * (tile + min(gap, 0.14))
            self.show(values, left, self.top - row * (tall + 0.08) - tall, tile, tall)
        if len(maps):
            self.top -= -(-len(maps) // columns) * (tall + 0.08) + 0.1

    def bitmap(self, values: Tensor, below: str, color: str, place: int) -> None:
        """F6 or a code, [12, 7], and what is written below it; F6 is drawn wider apart."""
        tile = 0.4
        left = 0.15 + place * (tile + 0.105) + 0.1 * (place > 0)
        tall = tile * 12 / 7
        axes = self.show(values, left, self.top - tall - 0.02, tile, tall)
        axes.spines[:].set_color(color)
        axes.spines[:].set_linewidth(2 if color == ORANGE else 0.8)
        axes.set_xlabel(below, color=color, fontweight="bold", labelpad=4)

    def show(self, values: Tensor, left: float, bottom: float, width: float, height: float) -> Axes:
        """Values from -SQUASHED, white, to SQUASHED, black."""
        box = (left / self.width, bottom / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(box, xticks=[], yticks=[])
        axes.imshow(
            values.numpy(), cmap="gray_r", vmin=-SQUASHED, vmax=SQUASHED, interpolation="nearest", aspect="auto"
        )
        axes.spines[:].set(visible=True, color="#bbbbbb", linewidth=0.5)
        return axes


@torch.inference_mode()
def outputs_of_layers(network: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """What each of LAYERS gives, after its activation, for images [N, 1, 32, 32]."""
    outputs: dict[str, Tensor] = {}
    names = {id(module): name for name, module in network.named_children()}
    last = ""

    def note(module: nn.Module, inputs: object, output: Tensor) -> None:
        nonlocal last
        name = names[id(module)]
        last = name if name in LAYERS else last
        if last:  # an activation takes the place of what it was computed from
            outputs[last] = output

    hooks = [module.register_forward_hook(note) for module in network.children()]
    network(images)
    for hook in hooks:
        hook.remove()
    return outputs


def draw_distortions(data: Path) -> Figure:
    """Ten digits of the training set and, below each, what the distortions of 1998 make of it."""
    presented = mnist(data, "affine1998").train_dataloader().dataset
    plain = mnist(data).train_dataloader().dataset
    chosen = torch.tensor(OF_1998)
    rows = [plain[0, chosen][0], *(presented[epoch, chosen][0] for epoch in range(NUM_DISTORTED))]
    figure = blank(4.75, layout=None)
    for number, images in enumerate(rows):
        for digit, image in enumerate(images[:, 0]):
            bottom = 1 - (0.3 + (number + 1) * 0.585 + (0.3 if number else 0)) / 4.75
            axes = figure.add_axes((0.02 + digit * 0.0965, bottom, 0.0915, 0.55 / 4.75), xticks=[], yticks=[])
            axes.imshow(image.numpy(), cmap="gray_r", vmin=-0.1, vmax=1.175, interpolation="nearest", aspect="auto")
            axes.spines[:].set(visible=True, color="#dddddd", linewidth=0.5)
    figure.text(0.02, 1 - 0.24 / 4.75, "As they are in the training set", fontweight="bold")
    figure.text(0.02, 1 - 1.12 / 4.75, "As they were presented in six passes", fontweight="bold", color=BLUE)
    return figure


class Answered(NamedTuple):
    """The network's answers to MNIST's 10,000 test images.

    Attributes:
        labels: int64 [N].
        predicted: int64 [N].
        confidence: float32 [N].
    """

    labels: Tensor
    predicted: Tensor
    confidence: Tensor


@torch.inference_mode()
def answered(images: SmallImages) -> Answered:
    """Ask the network that comes with cnnlit about all test images."""
    network = cnnlit.load(WEIGHTS)
    batches = [(network(batch).softmax(dim=1), labels) for batch, labels in _batches(images)]
    confidence, predicted = torch.cat([answers for answers, _ in batches]).max(dim=1)
    return Answered(torch.cat([labels for _, labels in batches]), predicted, confidence)


def _batches(images: SmallImages) -> Iterator[tuple[Tensor, Tensor]]:
    yield from images.test_dataloader()


def errors_of_1998(data: Path) -> ErrorsOf1998:
    """The network's errors beside the 82 of 1998."""
    images = mnist(data)
    answers = answered(images)
    return compare_with_1998(answers.predicted, answers.labels, images.published_errors or {})


def draw_gallery(data: Path) -> Figure:
    """Every error of the network; a frame around those that LeNet-5 made in 1998, too."""
    images = mnist(data)
    return draw_errors(
        images.test_images, *answered(images), images.class_names, columns=7, framed=images.published_errors or ()
    )
