"""What a test says beside its error: means over classes, calibration, and each class for itself."""

import re
from statistics import mean

from cnnlit.analysis.measures import shown
from cnnlit.analysis.results import Measured, Results
from cnnlit.reports.tables import Table

OF_ALL = ("macro_accuracy", "macro_precision", "macro_recall", "macro_f1", "calibration_error")
MOST_CLASSES = 30
"""Classes that a table has room for; test.json has all of them."""


def metrics_table(results: Results) -> Table | None:
    """Means over the counted runs of each arm; None where none of them has any."""
    keys = [f"test/{name}" for name in OF_ALL if any(f"test/{name}" in run.test for _, _, run, _ in results.counted)]
    if not keys:
        return None
    rows = [(each.name, *(_mean(each, key) for key in keys)) for each in results.measured]
    heads = [key.removeprefix("test/").replace("_", " ") for key in keys]
    return Table.of("Means over classes, and calibration", ("arm", *heads), rows)


def classes_table(results: Results) -> Table | None:
    """The accuracy of each class, a column for each arm; None where there are none, or too many."""
    found = {int(match[1]): key for _, _, run, _ in results.counted for key in run.test
             if (match := re.fullmatch(r"test/class_(\d+)_accuracy", key))}  # fmt: skip
    if not found or len(found) > MOST_CLASSES:
        return None
    rows = [(str(number), *(_mean(each, found[number]) for each in results.measured)) for number in sorted(found)]
    return Table.of("Accuracy of each class", ("class", *(each.name for each in results.measured)), rows)


def _mean(each: Measured, key: str) -> str:
    values = [each.arm.runs[block].test[key] for block in each.readings if key in each.arm.runs[block].test]
    return shown(mean(values), key) if values else ""
