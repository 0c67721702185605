"""A test of a trained network as a table, beside the test at the end of its training."""

import json
from pathlib import Path
from typing import Any

from cnnlit.reports.tables import Page, Table

QUANTITIES = {
    "error": "{:.2%}",
    "num_errors": "{:.0f}",
    "num_images": "{:.0f}",
    "top5_error": "{:.2%}",
    "macro_accuracy": "{:.2%}",
    "macro_precision": "{:.2%}",
    "macro_recall": "{:.2%}",
    "macro_f1": "{:.2%}",
    "calibration_error": "{:.2%}",
    "loss": "{:.4f}",
    "num_views": "{:.0f}",
    "seconds": "{:.1f}",
}
"""The metrics of a test that are shown, and their formats."""


OTHER_LOSS = (
    "The loss at the end of training is not shown: this recipe's loss is of the network's own outputs, of which "
    "several views leave only the logarithm of their averaged softmax, so the two are on different scales."
)


def compared(split: str, name: str, record: dict[str, Any], run: Path | None, *, of_softmax: bool) -> Page:
    """A test as a table, beside the one at the end of training if that used as many images.

    Args:
        split: `test` or `val`.
        name: of the test protocol.
        record: the metrics, with keys such as `test/error`.
        run: the folder of the run, or None.
        of_softmax: whether the loss depends on the softmax of the outputs alone, as cross-entropy does; others are not
            compared between one view and several.
    """
    columns, explained = {"now": record}, []
    if run and split == "test" and (run / "test.json").is_file():
        before = json.loads((run / "test.json").read_text())
        if before["test/num_images"] == record["test/num_images"]:
            columns["end of training"] = before
            if not of_softmax and (_views(before) > 1) != (_views(record) > 1):
                del before["test/loss"]
                explained = [OTHER_LOSS]
    known = {key: shown for key, shown in QUANTITIES.items() if f"{split}/{key}" in record}
    rows = []
    for key, shown in known.items():
        values = [column.get(f"{split}/{key}") for column in columns.values()]
        rows.append((f"{split}/{key}", *("" if value is None else shown.format(value) for value in values)))
    return [Table.of(name, ("quantity", *columns), rows), *explained]


def _views(test: dict[str, Any]) -> int:
    return int(test.get("test/num_views", 1))  # tests of 0.1.0 do not say
