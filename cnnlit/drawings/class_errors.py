"""Which classes a network gets wrong, and what it takes them for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
from cnnlit.drawings.tiled_figure import DPI, FAINT, error_rate, shortened

MOST_BARS = 20
"""Classes that are drawn, and pairs of them."""

ROW = 0.24  # inches


def draw_class_errors(
    labels: Tensor, predicted: Tensor, class_names: Sequence[str], confusions: Sequence[Any]
) -> "Figure":
    """Draw the error of each class, of many classes the largest, and how often one is taken for another.

    Args:
        labels: int64 [N].
        predicted: int64 [N].
        class_names: one per class.
        confusions: the most frequent first, with `label`, `answer` and `times`.
    """
    from matplotlib.figure import Figure

    number = len(class_names)
    shown = labels.bincount(minlength=number)
    wrong = labels[labels != predicted].bincount(minlength=number)
    errors = wrong / shown.clamp(min=1)
    tested = shown.nonzero()[:, 0]
    order = errors[tested].argsort(descending=True, stable=True)[:MOST_BARS]
    classes = tested[order].tolist()
    pairs = confusions[:MOST_BARS]
    height = 1.4 + ROW * max(len(classes), len(pairs), 4)
    figure = Figure(figsize=(9.6, height), dpi=DPI, layout="constrained")
    left, right = figure.subplots(1, 2)
    names = shortened(class_names, 20)
    counts = [f"{errors[each]:.1%}, {wrong[each]} of {shown[each]}" for each in classes]
    _bars(left, [names[each] for each in classes], [float(errors[each]) for each in classes], counts)
    left.set_title(error_rate(int(wrong.sum()), len(labels)), loc="left", fontsize=11, fontweight="bold")
    words = [f"{names[each.label]} \N{RIGHTWARDS ARROW} {names[each.answer]}" for each in pairs]
    _bars(right, words, [each.times for each in pairs], [f"{each.times:g}" for each in pairs])
    right.set_title("Label \N{RIGHTWARDS ARROW} answer, times", loc="left", fontsize=11, fontweight="bold")
    return figure


def _bars(axes: "Axes", names: Sequence[str], lengths: Sequence[float], told: Sequence[str]) -> None:
    """Bars from top to bottom, each with a name before and a word behind it."""
    axes.barh(range(len(names)), lengths, color="#9db7d5", height=0.7)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(max(len(names), 4) - 0.5, -0.5)
    axes.set_xlim(0, 1.35 * max([*lengths, 1e-9]))
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    for place, (length, word) in enumerate(zip(lengths, told, strict=True)):
        axes.annotate(word, (length, place), (4, 0), textcoords="offset points", va="center", fontsize=7, color=FAINT)
