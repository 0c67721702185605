"""The confusion matrix: which classes are mistaken for which."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

# matplotlib is slow to import, and every command imports this module but few draw: each function imports it itself.
if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
from cnnlit.drawings.tiled_figure import DPI, FAINT, error_rate, shortened

LIST_WIDTH = 3.4  # inches


def draw_confusion_matrix(labels: Tensor, predicted: Tensor, class_names: Sequence[str]) -> "Figure":
    """Draw how often images of each label (row) were given each answer (column).

    Only errors are coloured: correct answers, a hundred times as many, would hide them. For up to 20 classes the
    counts are written into the matrix; for more, the most frequent confusions are listed beside it.

    Args:
        labels: int64 [N].
        predicted: int64 [N].
        class_names: one per class.
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
    axes.set_title(error_rate(int(confusions.sum()), len(labels)), fontsize=11, fontweight="bold")
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
    """List the most frequent confusions with their counts; among equals, those of the first labels."""
    axes.set_axis_off()
    most = confusions.flatten().argsort(descending=True, stable=True)[:limit].tolist()
    names = shortened(class_names, 20)
    lines = ["Most frequent, label->answer", ""]
    for place in most:
        label, answer = divmod(place, len(class_names))
        if confusions[label, answer]:
            lines.append(f"{confusions[label, answer]:>4}  {names[label]}->{names[answer]}")
    axes.text(0, 0.98, "\n".join(lines), va="top", fontsize=7, linespacing=1.5, transform=axes.transAxes)


def _blank_zeros(counts: Tensor) -> "NDArray[np.float32]":
    return counts.float().masked_fill(counts == 0, math.nan).numpy()
