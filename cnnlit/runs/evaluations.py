"""The files that a test leaves in a folder: its numbers as JSON, its predictions as CSV."""

import csv
import io
from pathlib import Path
from typing import Any

from torch import Tensor

from cnnlit.files import write_json, write_whole


def predictions_table(labels: Tensor, predicted: Tensor, confidence: Tensor) -> str:
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
