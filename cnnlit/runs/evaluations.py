"""Tests that are taken of a network after its training: written into its run's folder, shown beside the run's own."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from torch import Tensor

from cnnlit.files import write_json, write_whole
from cnnlit.results.sheets import Page, Sheet

QUANTITIES = {
    "error": "{:.2%}",
    "num_errors": "{:.0f}",
    "num_images": "{:.0f}",
    "top5_error": "{:.2%}",
    "loss": "{:.4f}",
    "num_views": "{:.0f}",
    "seconds": "{:.1f}",
}
"""What is shown of a test, and how."""


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


def compared(split: str, name: str, record: dict[str, Any], run: Path | None) -> Page:
    """A test as a table, beside the one at the end of its run's training where that was of the same images.

    Args:
        split: `test` or `val`.
        name: of the protocol.
        record: of the test, with keys such as `test/error`.
        run: the folder of its run.
    """
    columns = {"now": record}
    if run and split == "test" and (run / "test.json").is_file():
        before = json.loads((run / "test.json").read_text())
        if before["test/num_images"] == record["test/num_images"]:
            columns["end of training"] = before
    known = {key: shown for key, shown in QUANTITIES.items() if f"{split}/{key}" in record}
    rows = []
    for key, shown in known.items():
        values = [column.get(f"{split}/{key}") for column in columns.values()]
        rows.append((f"{split}/{key}", *("" if value is None else shown.format(value) for value in values)))
    return [Sheet.of(name, ("quantity", *columns), rows)]
