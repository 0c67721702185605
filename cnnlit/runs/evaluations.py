"""Tests that are taken of a network after its training: written into its run's folder."""

import csv
import io
from pathlib import Path
from typing import Any

from torch import Tensor

from cnnlit.files import write_json, write_whole


def predictions_table(labels: Tensor, predicted: Tensor, confidence: Tensor) -> str:
    """The answer to each image as CSV.

    Args:
        labels: int64 [N], the truth.
        predicted: int64 [N].
        confidence: float [N], the probability of the prediction.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("index", "label", "predicted", "confidence"))
    answers = zip(labels.tolist(), predicted.tolist(), confidence.tolist(), strict=True)
    writer.writerows((index, label, answer, f"{c:.6f}") for index, (label, answer, c) in enumerate(answers))
    return table.getvalue()


def write_evaluation(folder: Path, name: str, record: dict[str, Any], predictions: str) -> Path:
    """Write `<name>_predictions.csv` and then `<name>.json`, each whole or not at all.

    Args:
        folder: of evaluations.
        name: of this one; an earlier one of this name is replaced.
        record: plain containers.
        predictions: CSV.

    Returns:
        The JSON file.
    """
    write_whole(folder / f"{name}_predictions.csv", predictions)
    write_json(folder / f"{name}.json", record)
    return folder / f"{name}.json"
