"""Drawings of a tested network: learning curves, confusions, errors, first filters."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

# Every command imports this module and few draw: matplotlib is slow to import, so each drawing imports it itself.
if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

DPI = 150
TILE = 84  # pixels: a digit's 28, three times
LIST_WIDTH = 3.4  # inches
FAINT = "#767676"
SPLITS = {"train": ("train", "#4477aa"), "val": ("validation", "#cc3311"), "test": ("test", "#111111")}

Row = Mapping[str, str | float]
Series = dict[float, float]


def draw_learning_curves(rows: Sequence[Row]) -> "Figure":
    """Error in percent and loss after each epoch, in training and validation; the test is a point at the end.

    Values that span a factor of ten are drawn on a logarithmic axis, on which a zero lies at the lower edge.

    Args:
        rows: of metrics.csv. `epoch` counts from 0, `*/error` are fractions. Any value may be missing, empty, or
            the text of a number; of several for one epoch, the last counts.

    Raises:
        ValueError: if no row has an error or loss of training or validation.
    """
    error = {split: _series(rows, f"{split}/error", scale=100) for split in SPLITS}
    loss = {split: _series(rows, f"{split}/loss") for split in SPLITS}
    epochs = [epoch for panel in (error, loss) for split in ("train", "val") for epoch in panel[split]]
    if not epochs:
        raise ValueError("no row has an error or loss of training or validation")
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    panels = [("Error, %", "{:.2f} %", error), ("Loss", "{:.3g}", loss)]
    panels = [panel for panel in panels if any(panel[2].values())]
    figure = Figure(figsize=(9.6, 3.7), dpi=DPI, layout="constrained")
    single = min(epochs) == max(epochs)
    for axes, (title, number, panel) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        panel["test"] = {max(epochs): value for value in panel["test"].values()}
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
        axes.set_xlabel("epoch")
        axes.set_xlim(min(epochs) - single / 2, max(epochs) + single / 2)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#e4e4e4", linewidth=0.7)
        _draw_series(axes, panel, number)
    return figure


def _series(rows: Sequence[Row], column: str, scale: float = 1) -> Series:
    """The finite values of a column, by the number of epochs completed."""
    series: Series = {}
    for row in rows:
        value, epoch = (float("nan" if row.get(name) in (None, "") else row[name]) for name in (column, "epoch"))
        if math.isfinite(value):
            series[epoch + 1 if math.isfinite(epoch) else len(series) + 1.0] = value * scale
    return dict(sorted(series.items()))


def _draw_series(axes: "Axes", panel: Mapping[str, Series], number: str) -> None:
    """Draw each split's series and write its name and last value where it ends, none over another."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    values = [value for series in panel.values() for value in series.values()]
    positive = [value for value in values if value > 0]
    floor = -math.inf
    if positive and min(values) >= 0 and max(positive) >= 10 * min(positive):
        floor = min(positive) / 1.5
        axes.set_yscale("log")
        axes.set_ylim(floor, max(positive) * 1.5)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(positive) < 1000 * min(positive) else (1,)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
    ends: list[tuple[float, str, str]] = []
    for split, series in panel.items():
        if series:
            name, color = SPLITS[split]
            y = [max(value, floor) for value in series.values()]
            markersize = 3 if len(y) > 1 else 5
            axes.plot(list(series), y, color=color, linewidth=1.6, marker="o", markersize=markersize, clip_on=False)
            ends.append((y[-1], f"{name} {number.format(list(series.values())[-1])}", color))
    axes.autoscale_view()  # otherwise put off until the figure is drawn
    to_axes = axes.transScale + axes.transLimits
    height = -math.inf
    for last, label, color in sorted(ends):
        height = max(height + 0.075, float(to_axes.transform((1, last))[1]))
        axes.text(1.025, height, label, color=color, va="center", fontsize=9, transform=axes.transAxes)


def draw_confusion_matrix(labels: Tensor, predicted: Tensor, class_names: Sequence[str]) -> "Figure":
    """How often each label (row) was given each answer (column).

    Only errors are coloured: correct answers are a hundred times as many, and would hide them. Up to 20 classes,
    the counts are written; of more, the most frequent confusions are listed beside the matrix.

    Args:
        labels: int64 [N].
        predicted: int64 [N].
        class_names: the name of each class.
    """
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    num_classes = len(class_names)
    pairs = labels.cpu() * num_classes + predicted.cpu()
    counts = pairs.bincount(minlength=num_classes**2).view(num_classes, num_classes)
    confusions = counts - counts.diag().diag()
    most = max(1, int(confusions.max()))

    side = max(6.4, 1.5 * num_classes / DPI)  # inches; no cell smaller than a pixel
    many = num_classes > 20
    figure = Figure(figsize=(side + LIST_WIDTH * many, side), dpi=DPI, layout="constrained")
    axes, *beside = figure.subplots(1, 1 + many, squeeze=False, width_ratios=[side, LIST_WIDTH][: 1 + many])[0]
    axes.imshow(_blank_zeros(torch.eye(num_classes)), cmap="Greys", vmin=0, vmax=9, interpolation="nearest")
    # The square root keeps a single error visible beside the most frequent one.
    norm = PowerNorm(0.5, 0, most)
    image = axes.imshow(_blank_zeros(confusions), cmap="OrRd", norm=norm, interpolation="nearest")
    axes.set_title(_error_rate(int(confusions.sum()), len(labels)), fontsize=11, fontweight="bold")
    axes.set_xlabel("predicted")
    axes.set_ylabel("label")
    axes.tick_params(length=0)
    if many:
        figure.colorbar(image, ax=axes, label="errors", shrink=0.7, ticks=MaxNLocator(integer=True))
        _list_confusions(beside[0], confusions, class_names)
        return figure
    names_are_long = max(map(len, class_names)) > 3
    axes.set_xticks(range(num_classes), class_names, rotation=90 if names_are_long else 0)
    axes.set_yticks(range(num_classes), class_names)
    axes.spines[:].set_visible(False)
    axes.set_xticks([edge + 0.5 for edge in range(num_classes - 1)], minor=True)
    axes.set_yticks([edge + 0.5 for edge in range(num_classes - 1)], minor=True)
    axes.grid(which="minor", color="#e4e4e4", linewidth=0.7)
    axes.tick_params(which="minor", length=0)
    fontsize = min(11, 110 / num_classes)
    for row, column in counts.nonzero().tolist():
        color = FAINT if row == column else "white" if confusions[row, column] > 0.45 * most else "black"
        axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=fontsize, color=color)
    return figure


def _list_confusions(axes: "Axes", confusions: Tensor, class_names: Sequence[str], limit: int = 30) -> None:
    """Write how often the most frequent confusions occurred; of as many, those of the first labels."""
    axes.set_axis_off()
    most = confusions.flatten().argsort(descending=True, stable=True)[:limit].tolist()
    names = shortened(class_names, 20)
    lines = ["Most frequent, label->answer", ""]
    for place in most:
        label, answer = divmod(place, len(class_names))
        if confusions[label, answer]:
            lines.append(f"{confusions[label, answer]:>4}  {names[label]}->{names[answer]}")
    axes.text(0, 0.98, "\n".join(lines), va="top", fontsize=7, linespacing=1.5, transform=axes.transAxes)


def shortened(names: Sequence[str], length: int) -> list[str]:
    """The names, those of more than `length` characters cut off with an ellipsis."""
    return [name if len(name) <= length else f"{name[: length - 1]}…" for name in names]


def _blank_zeros(counts: Tensor) -> "NDArray[np.float32]":
    return counts.float().masked_fill(counts == 0, math.nan).numpy()


def draw_errors(
    images: Sequence[Tensor] | Tensor,
    labels: Tensor,
    predicted: Tensor,
    confidence: Tensor,
    class_names: Sequence[str],
    limit: int | None = None,
) -> "Figure":
    """Every picture that was answered wrong, in the order of the test set, as Fig. 8 of LeCun et al. 1998.

    Above a picture stand its label and the answer; below, its index in the test set and the confidence. Of
    more than `limit` errors, those with the most confidence are drawn.

    Args:
        images: N of uint8 [H, W], 255 is ink, or [3, H, W]. Only those that are drawn are asked for.
        labels: int64 [N].
        predicted: int64 [N].
        confidence: float [N], 0 to 1.
        class_names: the name of each class.
        limit: the largest number of pictures; None for 200, or 60 that are larger than 100 pixels.

    Raises:
        ValueError: if there is not one image to each label.
    """
    if len(images) != len(labels):
        raise ValueError(f"{len(labels)} predictions for {len(images)} images")
    labels, predicted, confidence = labels.cpu(), predicted.cpu(), confidence.cpu()
    wrong = (predicted != labels).nonzero()[:, 0]
    side = max(images[0].shape[-2:])
    limit = limit or (200 if side <= 100 else 60)
    shown = wrong[confidence[wrong].argsort(descending=True)[:limit]].sort().values
    title = _error_rate(len(wrong), len(labels))
    if len(shown) < len(wrong):
        title += f" ({len(shown)} of {len(wrong)} shown, the most confident)"
    names = shortened(class_names, 14)
    digits = max(map(len, names)) <= 3
    between, lines, fontsize = ("->", 1, 8.5) if digits else ("\n->", 2, 6)
    captions = [f"{names[labels[index]]}{between}{names[predicted[index]]}" for index in shown]
    tile = TILE if side <= TILE // 2 else 2 * TILE // side * side or 2 * TILE
    width = max([tile, *(math.ceil(1.4 * fontsize * len(line)) for text in captions for line in text.split("\n"))])
    above = 19 + 16 * (lines - 1)
    sheet = Sheet(
        title,
        "above: label->answer; below: test index, confidence" if len(shown) else "",
        tiles=len(shown),
        columns=min(1800 // width, max(8, math.ceil(math.sqrt(1.6 * len(shown))))),
        cell=(width, tile + above + 19),
    )
    for index, caption, (x, y) in zip(shown.tolist(), captions, sheet.corners, strict=True):
        image = images[index].cpu()
        pixels = image.movedim(0, -1) if image.ndim == 3 else 255 - image
        right, bottom = sheet.show(pixels, x, y + above, tile, value_range=(0, 255))
        sheet.axes.text(x, y + above - 5, caption, fontsize=fontsize, fontweight="bold", linespacing=1.2)
        sheet.axes.text(x, bottom + 15, str(index), fontsize=6, color=FAINT)
        sheet.axes.text(right, bottom + 15, f"{confidence[index]:.0%}", fontsize=6, color=FAINT, ha="right")
    return sheet.figure


def draw_filters(weights: Tensor) -> "Figure":
    """The filters of a first layer, their numbers from 0 beside them.

    On one channel a weight of 0 is middle grey and a positive one lighter; black and white are the largest
    magnitude among all filters. On three channels the same holds for each of red, green and blue.

    Args:
        weights: float [filters, channels, height, width], of 1 or 3 channels.

    Raises:
        ValueError: on any other number of channels.
    """
    weights = weights.detach().float().cpu()
    num_filters, channels, height, width = weights.shape
    if channels not in (1, 3):
        raise ValueError(f"filters on {channels} channels have no colours; 1 or 3 have")
    largest = weights.abs().max().clamp(min=1e-12)
    brightness = (0.5 + weights / (2 * largest)).movedim(1, -1).squeeze(-1)
    sheet = Sheet(
        f"First layer: {num_filters} filters of {height}x{width}",
        f"weights from -{largest:.2g}, dark, to {largest:.2g}, bright; 0 is middle grey",
        tiles=num_filters,
        columns=16,
        cell=(TILE, TILE + 19),
    )
    for number, (x, y) in enumerate(sheet.corners):
        _, bottom = sheet.show(brightness[number], x, y, TILE, value_range=(0, 1))
        sheet.axes.text(x, bottom + 15, str(number), fontsize=6, color=FAINT)
    return sheet.figure


def _error_rate(errors: int, total: int) -> str:
    if errors == 0:
        return f"No error on {total:,} test images"
    return f"Test error {errors / total:.2%}: {errors:,} of {total:,}".replace("%", " %")


class Sheet:
    """White paper with a heading and rows of cells; its data coordinates are pixels from the upper left.

    Attributes:
        corners: (x, y) of each cell's upper left.
    """

    def __init__(self, title: str, legend: str, *, tiles: int, columns: int, cell: tuple[int, int]) -> None:
        from matplotlib.figure import Figure

        margin, gap = 24, 14
        header = 62 if legend else 22
        rows = math.ceil(tiles / columns)
        columns = math.ceil(tiles / max(1, rows))  # as many in each row
        width = max(columns * (cell[0] + gap) - gap, 13 * len(title), 8 * len(legend)) + 2 * margin
        height = max(0, rows * (cell[1] + gap) - gap) + header + 2 * margin
        self.figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
        self.axes = self.figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        self.axes.set_axis_off()
        self.axes.text(margin, margin + 18, title, fontsize=11, fontweight="bold")
        self.axes.text(margin, margin + 40, legend, fontsize=7, color=FAINT)
        self.corners = [
            (margin + tile % columns * (cell[0] + gap), margin + header + tile // columns * (cell[1] + gap))
            for tile in range(tiles)
        ]

    def show(
        self, pixels: Tensor, left: int, top: int, tile: int, value_range: tuple[float, float]
    ) -> tuple[float, float]:
        """Draw [H, W] or [H, W, 3] in a tile, magnified by a whole number; returns the lower right corner."""
        from matplotlib.patches import Rectangle

        longest = max(pixels.shape[:2])
        scale = tile // longest or tile / longest
        height, width = (side * scale for side in pixels.shape[:2])
        low, high = value_range
        extent = (left, left + width, top + height, top)
        self.axes.imshow(pixels.numpy(), cmap="gray", vmin=low, vmax=high, extent=extent, aspect="auto")
        self.axes.add_patch(Rectangle((left, top), width, height, fill=False, edgecolor="#cccccc", linewidth=0.4))
        return left + width, top + height
