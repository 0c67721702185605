"""What all figures of the lecture share: a white ground, letters that stay readable on a telephone, safe colours.

Figures have the ground of paper, so that they look the same on a dark page, and are six inches wide: on a telephone
they shrink to 350 pixels, and a letter of 11 points to nine pixels.
"""

import io
from typing import Any, Literal

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 6.0  # inches

BLUE, ORANGE, GREEN, PURPLE, SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9"
"""Okabe and Ito's colours, which those who do not tell red from green tell apart."""

INK, FAINT, LINES = "#222222", "#6a6a6a", "#dddddd"

STYLE: dict[str, Any] = {
    "font.size": 11.5,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": LINES,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 2.2,
    "figure.constrained_layout.h_pad": 0.12,  # inches: on a dark page the ground has an edge
    "figure.constrained_layout.w_pad": 0.12,
    "svg.hashsalt": "cnnlit",  # otherwise the names of shapes are drawn at random
    "savefig.dpi": 160,
}


def house_style() -> Any:
    """A context in which figures are drawn and encoded; settings of the machine play no part."""
    return style.context(["default", STYLE])


def blank(height: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """An empty figure, `height` inches high; without a layout its axes are placed by hand."""
    return Figure(figsize=(WIDTH, height), layout=layout)


HOW: dict[str, dict[str, Any]] = {
    "svg": {"metadata": {"Date": None, "Creator": None}},
    "png": {"metadata": {"Software": None}},
    "jpg": {"pil_kwargs": {"quality": 88, "optimize": True}},  # photographs, a fifth of what they take as PNG
}
"""How each form is written: without the time, and without the versions of programs."""


def encoded(figure: Figure, form: str) -> bytes:
    """A figure as the content of a file, `form` being one of HOW; the same figure gives the same bytes."""
    content = io.BytesIO()
    figure.savefig(content, format=form, **HOW[form])
    return content.getvalue()


def without_frame(axes: Axes) -> None:
    """Leave an axes' labels alone: no spines, no ticks."""
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
