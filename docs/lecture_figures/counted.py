"""Figures that need neither runs nor data: they are counted in the networks, or are published numbers."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import nn

from cnnlit.description.layer_table import Layer, LayerTable
from cnnlit.description.shape_inference import Outlined
from cnnlit.models.alexnet import AlexNet
from cnnlit.models.googlenet import TABLE_1, GoogLeNet
from cnnlit.models.vgg import VGG
from cnnlit.parallel.communication import Exchange, exchanges
from cnnlit.parallel.towers import JOINED
from cnnlit.reports.ilsvrc import PUBLISHED, Entry
from lecture_figures.house_style import BLUE, FAINT, GREEN, LINES, ORANGE, SKY, blank, without_frame

BATCH = 128
"""Images in a step of Krizhevsky et al. 2012."""

BOUND = Fraction(4, 9)
"""Of the slides, for a module whose reduction is to a third."""


def outlined(build: Callable[[], nn.Module], image: tuple[int, int, int]) -> LayerTable:
    """The layers of a network, without memory for its weights."""
    with Outlined():
        network = build().to("meta")
    return LayerTable(network, image)


def draw_winners() -> Figure:
    """The top-5 error of ILSVRC's winners by year, and a person's."""
    entries = sorted(PUBLISHED, key=lambda each: -each.error)
    figure = blank(5.2)
    axes = figure.subplots()
    for place, entry in enumerate(entries):
        axes.barh(place, 100 * entry.error, color=_color(entry), height=0.66)
        axes.text(100 * entry.error + 0.4, place, f"{100 * entry.error:.3g} %", va="center", fontweight="bold")
        kind = entry.note.partition(",")[0]
        if _color(entry) == BLUE and kind != "several networks":
            axes.text(100 * entry.error + 6.3, place, kind, va="center", color=FAINT)
    axes.set_yticks(range(len(entries)), [f"{each.name}  {each.year or '    '}".strip() for each in entries])
    axes.invert_yaxis()
    axes.set(xlim=(0, 34), xticks=[], title="Top-5 error of the best entries")
    for place, (color, what) in enumerate(
        [(FAINT, "features made by hand"), (BLUE, "convolutional networks"), (GREEN, "a person")]
    ):
        axes.text(34, 7.4 + 0.75 * place, what, color=color, ha="right", fontweight="bold")
    without_frame(axes)
    return figure


def _color(entry: Entry) -> str:
    if entry.year is None:
        return GREEN
    return FAINT if "by hand" in entry.note else BLUE


def draw_exchanges() -> Figure:
    """What AlexNet's two towers exchange, layer by layer, and what two replicas would send instead."""
    rows = exchanges(batch_size=BATCH)
    figure = blank(5.4)
    towers, replicas = figure.subplots(1, 2, width_ratios=[1.15, 1], sharey=True)
    for place, row in enumerate(rows):
        _draw_layer(towers, place, row)
        megabytes = row.replicas / 1e6
        replicas.barh(place, megabytes, color=ORANGE, height=0.5)
        replicas.text(megabytes + 3, place, f"{megabytes:.1f}", va="center", color=ORANGE, fontweight="bold")
    sums = [sum(column) / 1e6 for column in zip(*((row.towers, row.replicas) for row in rows), strict=True)]
    towers.set_title(f"Two towers\n{sums[0]:.0f} MB a step", color=BLUE)
    replicas.set_title(f"Two replicas\n{sums[1]:.0f} MB a step", color=ORANGE)
    towers.set(xlim=(-0.15, 3.05), xticks=[0.4, 2.5], ylim=(len(rows) - 0.4, -0.6))
    towers.set_xticklabels(["GPU 1", "GPU 2"])
    towers.set_yticks(range(len(rows)), [row.layer for row in rows])
    replicas.set(xlim=(0, 195), xticks=[])
    for axes in (towers, replicas):
        without_frame(axes)
    replicas.tick_params(labelleft=False)
    return figure


def _draw_layer(axes: Axes, place: int, row: Exchange) -> None:
    """A layer's halves as two boxes; a band between them, as wide as what crosses."""
    for left in (0.0, 2.1):
        axes.add_patch(Rectangle((left, place - 0.28), 0.8, 0.56, facecolor="#e8eef4", edgecolor=BLUE))
    if row.layer in JOINED:
        megabytes = row.towers / 1e6
        axes.plot([0.8, 2.1], [place, place], color=BLUE, linewidth=1.5 + megabytes / 2.5, solid_capstyle="butt")
        axes.text(1.45, place - 0.3, f"{megabytes:.1f} MB", ha="center", va="bottom", color=BLUE, fontweight="bold")


class Stack(NamedTuple):
    """Convolutions of 3x3 one after the other, and the single one that sees as far.

    Attributes:
        layers: their number.
        field: side of the square of pixels that both see.
        weights: of the stack, from C maps to C maps each, in units of C squared.
        single: weights of the single convolution, in units of C squared.
    """

    layers: int
    field: int
    weights: int
    single: int


def stacks() -> list[Stack]:
    """One to four convolutions of 3x3: the field is traced through them, the weights are counted."""
    found = []
    for number in range(1, 5):
        table = outlined(partial(_stacked, number), (1, 32, 32))
        last = table.rows("layers")[-1]
        field = last.receptive_field
        single = outlined(partial(nn.Conv2d, 1, 1, field, bias=False), (1, 32, 32))
        found.append(Stack(number, field, table.parameters, single.parameters))
    return found


def _stacked(number: int) -> nn.Module:
    return nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(number)))


def fields(build: Callable[[], nn.Module]) -> list[Layer]:
    """The convolutions and pools of a network for images of 224 pixels."""
    rows = outlined(build, (3, 224, 224)).rows("layers")
    return [row for row in rows if row.kind in ("convolution", "pooling")]


NETWORKS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "AlexNet": (AlexNet, FAINT),
    "VGG-16": (lambda: VGG(configuration="D"), BLUE),
    "VGG-19": (lambda: VGG(configuration="E"), ORANGE),
}


def draw_fields() -> Figure:
    """What stacks of small convolutions see and cost, and how far each layer of VGG sees."""
    figure = blank(6.6)
    above, below = figure.subplots(2, 1, height_ratios=[1, 1.25])
    for place, stack in enumerate(stacks()):
        above.bar(place - 0.19, stack.weights, 0.36, color=BLUE)
        above.bar(place + 0.19, stack.single, 0.36, color=ORANGE)
        above.text(place - 0.19, stack.weights + 1, f"{stack.weights} C²", ha="center", color=BLUE, fontweight="bold")
        above.text(place + 0.19, stack.single + 1, f"{stack.single} C²", ha="center", color=ORANGE, fontweight="bold")
    above.set_xticks(range(4), [f"{each.layers} of 3x3\nor {each.field}x{each.field}" for each in stacks()])
    above.set(yticks=[], ylim=(0, 92), title="The same field, for these weights")
    above.text(-0.4, 76, "a stack of 3x3", color=BLUE, fontweight="bold")
    above.text(-0.4, 64, "one large filter", color=ORANGE, fontweight="bold")
    without_frame(above)
    for name, (build, color) in NETWORKS.items():
        rows = fields(build)
        sizes = [row.receptive_field for row in rows]
        below.plot(range(1, len(sizes) + 1), sizes, color=color, marker="o", markersize=4)
        below.annotate(
            f"{name} {sizes[-1]:g}", (len(sizes), sizes[-1]), xytext=(-9, -3), textcoords="offset points",
            color=color, fontweight="bold", ha="right",
        )  # fmt: skip
    below.axhline(224, color=LINES, zorder=0)
    below.text(0.6, 229, "the image, 224", color=FAINT, va="bottom")
    below.set(
        title="Pixels that a unit sees, along a side",
        xlabel="convolutions and pools",
        xlim=(0.4, 22),
        ylim=(0, 295),
        xticks=range(0, 22, 5),
    )
    return figure


class Reduction(NamedTuple):
    """What 1x1 reductions leave of the multiply-adds of an Inception module's two wide paths.

    Attributes:
        module: `3a` to `5b`.
        threes, fives: fraction that the path of 3x3, or of 5x5, needs, its reduction included.
        reduced_to: the fraction of maps that the 3x3 see.
    """

    module: str
    threes: float
    fives: float
    reduced_to: float


def reductions() -> list[Reduction]:
    """The fractions for each module of GoogLeNet, from the counts of its layers."""
    layers = {row.name: row for row in outlined(GoogLeNet, (3, 224, 224)).rows("layers")}
    found = []
    for module in TABLE_1:
        reduce, threes = layers[f"{module}.conv3x3_reduce"], layers[f"{module}.conv3x3"]
        maps = reduce.weights // reduce.output[0]
        fives = _left(layers[f"{module}.conv5x5_reduce"], layers[f"{module}.conv5x5"], 25)
        found.append(Reduction(module[-2:], _left(reduce, threes, 9), fives, reduce.output[0] / maps))
    return found


def _left(reduce: Layer, wide: Layer, window: int) -> float:
    """The multiply-adds of both layers, by those of the second on all maps that the first one sees."""
    directly = window * (reduce.macs // reduce.output[0]) * wide.output[0]
    return (reduce.macs + wide.macs) / directly


def draw_reductions() -> Figure:
    """What reductions leave of each module's multiply-adds, beside the slides' bound."""
    found = reductions()
    figure = blank(5.6)
    axes = figure.subplots()
    axes.axvline(float(BOUND), color=FAINT, linestyle="--", linewidth=1.5)
    axes.text(float(BOUND), -0.75, f"{BOUND}", ha="center", fontweight="bold")
    for place, each in enumerate(found):
        color = BLUE if each.threes <= BOUND else ORANGE
        axes.barh(place - 0.18, each.threes, 0.36, color=color)
        axes.barh(place + 0.18, each.fives, 0.3, color=SKY)
        axes.text(each.threes + 0.008, place - 0.18, f"{each.threes:.3f}", va="center", color=color, fontweight="bold")
        axes.text(each.fives + 0.008, place + 0.18, f"{each.fives:.3f}", va="center", color=FAINT)
    axes.set_yticks(range(len(found)), [each.module for each in found])
    axes.invert_yaxis()
    axes.set(xlim=(0, 0.66), xticks=[], title="Multiply-adds left by the 1x1 reductions\n")
    for place, (color, what) in enumerate([(BLUE, "3x3, within the bound"), (ORANGE, "3x3, above it"), (SKY, "5x5")]):
        box = {"facecolor": "white", "edgecolor": "none", "pad": 3}
        axes.text(0.66, 6.9 + 0.55 * place, what, color=color, ha="right", fontweight="bold", bbox=box)
    without_frame(axes)
    return figure
