"""Profiles of a network's layers: what LayerStatistics measured."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = {
    "gradient_norm": "Length of the gradient, first batch of an epoch",
    "saturation": "Saturated activations, fraction",
}


def measured_layers(rows: Sequence[Mapping[str, str | float]]) -> dict[str, list[str]]:
    """The layers that metrics.csv has columns for, by what was measured, in their order in the network."""
    columns = list(rows[0]) if rows else []
    layers = {kind: [name.partition("/")[2] for name in columns if name.startswith(f"{kind}/")] for kind in PANELS}
    return {kind: names for kind, names in layers.items() if names}


def draw_layers(rows: Sequence[Mapping[str, str | float]]) -> "Figure":
    """Draw gradients, on a logarithmic axis, and saturation from the first layer to the last; one line per epoch.

    Args:
        rows: of metrics.csv, with columns `gradient_norm/<layer>` and `saturation/<layer>`.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    layers = measured_layers(rows)
    most = max(map(len, layers.values()))
    above = most > 12  # one above the other, to make room for many names
    width, height = max(5.0, 0.22 * most + 2), 4.2
    size = (width, height * len(layers)) if above else (width * len(layers), height)
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    scale, colormap = Normalize(1, max(2, len(rows))), colormaps["viridis_r"]
    panels = figure.subplots(*((len(layers), 1) if above else (1, len(layers))), squeeze=False).flat
    for axes, (kind, names) in zip(panels, layers.items(), strict=True):
        for epoch, row in enumerate(rows, start=1):
            values = [_number(row.get(f"{kind}/{name}", "")) for name in names]
            axes.plot(values, color=colormap(scale(epoch)), linewidth=1.4, marker="o", markersize=3)
        axes.set_title(PANELS[kind], loc="left", fontsize=11, fontweight="bold")
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=8 if most <= 30 else 6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#e4e4e4", linewidth=0.7)
        if kind == "gradient_norm":
            axes.set_yscale("log")
        else:
            axes.set_ylim(-0.02, 1.02)
    if len(rows) > 1:
        figure.colorbar(ScalarMappable(scale, colormap), ax=figure.axes, label="epoch", ticks=MaxNLocator(integer=True))
    return figure


def _number(value: str | float) -> float:
    return float("nan" if value == "" else value)
