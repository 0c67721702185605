"""Figures of small AlexNets and ZFNets on ten classes of Tiny ImageNet: what they see, and what they answer."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

import cnnlit
from cnnlit import config
from cnnlit.attribution.deconvnet import project
from cnnlit.data.images_in_memory import TinyImageNet
from cnnlit.drawings.first_filters import draw_filters
from cnnlit.drawings.top_predictions import TopPredictions, draw_top_predictions
from cnnlit.experiment.trained_network import TrainedNetwork
from lecture_figures.house_style import BLUE, INK, LINES, ORANGE, blank

CROP = 56
"""Side of the crops of experiment=views, of images of 64 pixels."""


class Photographs(NamedTuple):
    """The test images of ten classes.

    Attributes:
        pixels: uint8 [N, 3, 64, 64].
        labels: int64 [N].
        names: of the classes.
    """

    pixels: Tensor
    labels: Tensor
    names: list[str]


def photographs(network: TrainedNetwork, data: Path) -> Photographs:
    """The images that a run was tested on, read from the folder `data`."""
    images = tested(network, data)
    return Photographs(
        images.test_images, images.labels_of(images.tested), [short(each) for each in images.class_names]
    )


def tested(network: TrainedNetwork, data: Path, **options: Any) -> TinyImageNet:
    """The data module of a run, told where its images are now."""
    images: TinyImageNet = config.build({**network.config["data"], "root": str(data), **options})
    images.setup()
    return images


def short(name: str) -> str:
    """The first of a class's names in WordNet: `goldfish` of `goldfish, Carassius auratus`."""
    return name.partition(",")[0]


def draw_first_filters(run: Path) -> Figure:
    """AlexNet's first filters, those of the first tower above those of the second."""
    return draw_filters(cnnlit.load(run).network.get_parameter("conv1.weight"), columns=8)


def crops(pixels: Tensor, side: int = CROP) -> Tensor:
    """The five crops of images [N, 3, H, W] and their reflections, [N, 10, 3, side, side]."""
    corners = [pixels[..., top : top + side, left : left + side] for left, top in places(pixels.shape[-1], side)]
    return torch.stack([*corners, *(corner.flip(-1) for corner in corners)], dim=1)


def places(size: int, side: int = CROP) -> list[tuple[int, int]]:
    """Left and top of the five crops: the four corners and the centre."""
    far = size - side
    return [(0, 0), (far, 0), (0, far), (far, far), (far // 2, far // 2)]


class TenAnswers(NamedTuple):
    """What a network says of ten crops of each image.

    Attributes:
        each: float32 [N, 10, K], the softmax of every crop; the centre is crop 4.
        labels: int64 [N].
    """

    each: Tensor
    labels: Tensor

    @property
    def average(self) -> Tensor:
        return self.each.mean(dim=1)

    @property
    def centre(self) -> Tensor:
        return self.each[:, 4]

    def error(self, answers: Tensor) -> float:
        """The fraction that is wrong of answers [N, K]."""
        return float((answers.argmax(dim=1) != self.labels).double().mean())


@torch.inference_mode()
def ten_answers(network: TrainedNetwork, data: Path) -> TenAnswers:
    """Ask about ten crops of every test image, as the run's own test did, whose protocol was ten_crop."""
    images = tested(network, data)
    answers = []
    for batch in images.test_dataloader():
        groups, labels = images.on_after_batch_transfer(batch, 0)
        ((views, places),) = groups
        answered = network(views).softmax(dim=1)
        in_order = torch.empty_like(answered).index_copy_(0, places, answered)
        # A crop and its reflection follow one another; here the five crops come first.
        answers.append((in_order.view(len(labels), 5, 2, -1).transpose(1, 2).flatten(1, 2), labels))
    return TenAnswers(torch.cat([each for each, _ in answers]), torch.cat([labels for _, labels in answers]))


def measure_crops(run: Path, data: Path) -> dict[str, float]:
    """The error of a run's network by the centre crop alone, by the worst other crop, and by the average of ten."""
    network = cnnlit.load(run)
    answers = ten_answers(network, data)
    each = [answers.error(answers.each[:, number]) for number in range(10)]
    return {
        "centre": answers.error(answers.centre), "ten": answers.error(answers.average), "images": len(answers.labels),
        "best": min(each), "worst": max(each),
    }  # fmt: skip


def draw_ten_crops(run: Path, data: Path) -> Figure:
    """The first test image that the centre crop gets wrong and the average of ten crops right."""
    network = cnnlit.load(run)
    images = photographs(network, data)
    answers = ten_answers(network, data)
    helped = (answers.centre.argmax(1) != images.labels) & (answers.average.argmax(1) == images.labels)
    first = int(helped.nonzero()[0])
    label = int(images.labels[first])
    wrong = int(answers.centre[first].argmax())
    figure = blank(5.6, layout=None)
    whole = figure.add_axes((0.02, 0.615, 0.353, 0.378), xticks=[], yticks=[])
    _show(whole, images.pixels[first])
    for number, (left, top) in enumerate(places(64)):
        whole.add_patch(_frame(left, top, BLUE if number < 4 else ORANGE))
    for number, crop in enumerate(crops(images.pixels[first : first + 1])[0]):
        row, column = divmod(number, 5)
        axes = figure.add_axes(
            (0.02 + 0.197 * column, 0.345 - 0.27 * row, 0.172, 0.172 * 6 / 5.6), xticks=[], yticks=[]
        )
        _show(axes, crop)
        right = float(answers.each[first, number, label])
        axes.spines[:].set(visible=True, color=ORANGE if number == 4 else LINES, linewidth=2 if number == 4 else 1)
        axes.set_xlabel(f"{right:.0%}", color=ORANGE if number == 4 else INK, fontweight="bold", labelpad=4)
    _bars(figure, images.names, answers, first, (label, wrong))
    figure.text(0.02, 0.55, f"Probability of {images.names[label]}, crop by crop", fontweight="bold")
    return figure


def _show(axes: Axes, pixels: Tensor) -> None:
    axes.imshow(pixels.movedim(0, -1).numpy(), interpolation="bicubic", aspect="auto")
    axes.spines[:].set_visible(False)


def _frame(left: int, top: int, color: str) -> Rectangle:
    return Rectangle((left, top), CROP - 1, CROP - 1, fill=False, edgecolor=color, linewidth=2)


def _bars(figure: Figure, names: list[str], answers: TenAnswers, image: int, classes: tuple[int, int]) -> None:
    """The centre's answer and the average's, for the right class and the one that the centre chose."""
    axes = figure.add_axes((0.41, 0.615, 0.57, 0.378))
    place = 0.0
    for title, given, color in (
        ("the centre alone", answers.centre, ORANGE),
        ("average of all ten", answers.average, BLUE),
    ):
        axes.text(0, place, title, color=color, fontweight="bold", va="center")
        for each in classes:
            place += 0.9
            probability = float(given[image, each])
            axes.barh(place, probability, color=color, height=0.72, alpha=0.9 if each == classes[0] else 0.35)
            axes.text(probability + 0.02, place, f"{names[each]} {probability:.0%}", va="center")
        place += 1.2
    axes.set(xlim=(0, 1.25), ylim=(place - 0.5, -0.5), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def draw_answers(run: Path, data: Path) -> Figure:
    """The first test image of each of eight classes and the five most probable answers, by ten crops."""
    network = cnnlit.load(run)
    images = photographs(network, data)
    answers = ten_answers(network, data)
    chosen = [int((images.labels == label).nonzero()[0]) for label in range(8)]
    shown = []
    for index in chosen:
        probable = answers.average[index].topk(5)
        names = [images.names[number] for number in probable.indices]
        shown.append(TopPredictions(names, probable.values.tolist(), images.names[int(images.labels[index])]))
    pixels = [enlarged(images.pixels[index]) for index in chosen]
    return draw_top_predictions(pixels, shown, "Ten classes, five answers", columns=2)


def enlarged(pixels: Tensor) -> Tensor:
    """A small photograph [3, H, W] at the size at which it is drawn, without stairs."""
    from torchvision.transforms.v2.functional import resize

    larger: Tensor = resize(pixels, [224, 224], interpolation=3, antialias=True)
    return larger


LAYER = "conv3"
NUM_FEATURES, NUM_IMAGES = 3, 9


class Feature(NamedTuple):
    """A feature map, and the images that excite it most.

    Attributes:
        number: of the map.
        images: int64 [9], the strongest first.
    """

    number: int
    images: Tensor


def draw_features(run: Path, data: Path) -> Figure:
    """For each of three feature maps the nine test images that excite it most, and the deconvnet's projections."""
    network = cnnlit.load(run)
    images = photographs(network, data)
    inputs = network.transform(list(images.pixels))
    found = strongest(network, inputs)
    figure = blank(9.75, layout=None)
    for row, feature in enumerate(found):
        top = 1 - (0.34 + row * 3.25) / 9.75
        figure.text(0.02, top + 0.01, f"{LAYER}, map {feature.number}", fontweight="bold")
        for place, index in enumerate(feature.images.tolist()):
            projected = project(network.network, inputs[index], LAYER, maps=[feature.number])
            left, upper, right, lower = projected.boxes[0].tolist()
            part = projected.pixels[0][:, upper:lower, left:right]
            grey = 0.5 + part / (2 * part.abs().max().clamp(min=1e-12))
            _tile(figure, grey.movedim(0, -1), place, 0.02, top)
            crop = images.pixels[index][:, upper:lower, left:right].movedim(0, -1)
            _tile(figure, crop / 255, place, 0.515, top)
    return figure


def _tile(figure: Figure, pixels: Tensor, place: int, left: float, top: float) -> None:
    """One of three by three squares below `top`, [H, W, 3] from 0 to 1."""
    row, column = divmod(place, 3)
    side = 0.152
    tall = side * 6 / 9.75
    box = (left + column * (side + 0.006), top - (row + 1) * (tall + 0.004), side, tall)
    axes = figure.add_axes(box, xticks=[], yticks=[])
    axes.imshow(pixels.numpy(), interpolation="bicubic", aspect="auto")
    axes.spines[:].set_visible(False)


@torch.inference_mode()
def strongest(network: TrainedNetwork, inputs: Tensor) -> list[Feature]:
    """The maps of the layer with the largest values, of which no two are strong in one image; nine images each."""
    outputs: list[Tensor] = []
    layer = network.network.get_submodule(LAYER)
    hook = layer.register_forward_hook(lambda module, taken, output: outputs.append(output.amax(dim=(2, 3))))
    for batch in torch.split(inputs, 100):
        network(batch)
    hook.remove()
    order = torch.cat(outputs).topk(NUM_IMAGES, dim=0)  # [images, maps]
    found: list[Feature] = []
    for number in order.values.mean(dim=0).argsort(descending=True).tolist():
        shown = {index for feature in found for index in feature.images.tolist()}
        if len(found) < NUM_FEATURES and not shown & set(order.indices[:, number].tolist()):
            found.append(Feature(number, order.indices[:, number]))
    return found
