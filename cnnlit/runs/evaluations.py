"""The files that a test leaves in a folder: its numbers as JSON, its predictions as CSV."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnnlit.files import write_json, write_whole

if TYPE_CHECKING:  # a report reads such files without torch
    from torch import Tensor

ANSWERS = "test_predictions.csv"


class Answers(NamedTuple):
    """A network's answers to the images of a test set, in their order.

    Attributes:
        labels: int64 [N], the true classes.
        predicted: int64 [N], the predicted classes.
    """

    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]


def read_answers(folder: Path) -> Answers | None:
    """The answers in a run's folder; None if there are none, or if the file cannot be read."""
    try:
        columns = np.loadtxt(folder / ANSWERS, np.int64, delimiter=",", skiprows=1, usecols=(1, 2), ndmin=2)
    except (OSError, ValueError):
        return None
    return Answers(*columns.T)


def predictions_table(labels: "Tensor", predicted: "Tensor", confidence: "Tensor") -> str:
    """The prediction for each image as CSV.

    Args:
        labels: int64 [N], the true classes.
        predicted: int64 [N], the predicted classes.
        confidence: float [N], the probability of the predicted class.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("index", "label", "predicted", "confidence"))
    rows = zip(labels.tolist(), predicted.tolist(), confidence.tolist(), strict=True)
    writer.writerows((index, label, answer, f"{c:.6f}") for index, (label, answer, c) in enumerate(rows))
    return table.getvalue()


def write_evaluation(folder: Path, name: str, record: dict[str, Any], predictions: str) -> Path:
    """Write `<name>_predictions.csv` and then `<name>.json`, each whole or not at all.

    Args:
        folder: where they go.
        name: of the evaluation; an earlier one of the same name is replaced.
        record: the numbers and how they were obtained, plain containers.
        predictions: see predictions_table.

    Returns:
        The JSON file.
    """
    write_whole(folder / f"{name}_predictions.csv", predictions)
    write_json(folder / f"{name}.json", record)
    return folder / f"{name}.json"
