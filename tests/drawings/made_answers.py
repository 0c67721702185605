"""Answers of a network that nobody trained, and rows of a training that nobody ran, for figures to show."""

from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

DIGITS = tuple("0123456789")


class Answers(NamedTuple):
    labels: Tensor
    predicted: Tensor
    confidence: Tensor


def answers(num_images: int, wrong: dict[int, int]) -> Answers:
    """Labels 0, 1 … 9, 0 …, all answered right but those in `wrong` (index -> answer), confidence rising by index."""
    labels = torch.arange(num_images) % 10
    predicted = labels.clone()
    for index, answer in wrong.items():
        assert answer != labels[index]
        predicted[index] = answer
    return Answers(labels, predicted, torch.linspace(0.1, 1, num_images))


def random_images(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def texts(figure: Figure) -> list[str]:
    """All that is written into a figure, its titles included."""
    return [text.get_text() for axes in figure.axes for text in [*axes.texts, axes.title] if text.get_text()]


def metrics_rows(epochs: int, val: bool = True) -> list[dict[str, str | float]]:
    """As Lightning's CSVLogger writes them: validation in a row of its own, everything else empty."""
    result: list[dict[str, str | float]] = []
    for epoch in range(epochs):
        halved = 0.5**epoch
        result.append(
            {"epoch": str(epoch), "train/error": str(0.2 * halved), "train/loss": str(halved), "val/loss": ""}
        )
        if val:
            result.append({"epoch": str(epoch), "val/error": 0.1 * halved, "val/loss": 0.5 * halved, "train/loss": ""})
    return result
