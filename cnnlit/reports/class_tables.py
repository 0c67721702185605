"""What a test says beside its error: means over classes, calibration, each class for itself, and which are confused."""

import re
from statistics import mean

from cnnlit.analysis.measures import shown
from cnnlit.analysis.results import Measured, Results
from cnnlit.reports.charts.calibration import answers_of, bins_of
from cnnlit.reports.tables import Table
from cnnlit.runs.evaluations import most_confused

OF_ALL = ("macro_accuracy", "macro_precision", "macro_recall", "macro_f1", "calibration_error")
MOST_CLASSES = 30
"""Classes that a table has room for; test.json has all of them."""

MOST_PAIRS = 10


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
    names = class_names(results)
    rows = [
        (_name(names, number), *(_mean(each, found[number]) for each in results.measured)) for number in sorted(found)
    ]
    return Table.of("Accuracy of each class", ("class", *(each.name for each in results.measured)), rows)


def confused_table(results: Results) -> Table | None:
    """The pairs of classes that are confused most, a column for each arm; None where no answers are kept."""
    answered = {each.name: answers for each in results.measured if (answers := answers_of(each))}
    pairs = most_confused([one for answers in answered.values() for one in answers], MOST_PAIRS)
    if not pairs:
        return None
    times = {
        arm: {(each.label, each.answer): each.times for each in most_confused(answers)}
        for arm, answers in answered.items()
    }
    names = class_names(results)
    rows = [
        (
            f"{_name(names, each.label)} \N{RIGHTWARDS ARROW} {_name(names, each.answer)}",
            *(f"{times[arm].get((each.label, each.answer), 0):.3g}" for arm in answered),
        )
        for each in pairs
    ]
    return Table.of("Most confused: label \N{RIGHTWARDS ARROW} answer, times in a test", ("pair", *answered), rows)


def calibration_table(results: Results) -> Table | None:
    """How often answers are right, by their confidence: a row for each range and arm; None without answers."""
    rows = [
        (
            each.name,
            f"{100 * one.low:.0f} to {100 * one.high:.0f} %",
            f"{one.answers:,}",
            shown(one.confidence, "accuracy"),
            shown(one.accuracy, "accuracy"),
        )
        for each in results.measured
        for one in bins_of(each)
    ]
    heads = ("arm", "range", "answers", "confidence", "accuracy")
    return Table.of("Accuracy by confidence", heads, rows) if rows else None


def class_names(results: Results) -> tuple[str, ...]:
    """What classes are called, if all counted runs agree; else nothing."""
    known = {run.class_names for _, _, run, _ in results.counted}
    return known.pop() if len(known) == 1 else ()


def _name(names: tuple[str, ...], number: int) -> str:
    return names[number] if number < len(names) else str(number)


def _mean(each: Measured, key: str) -> str:
    values = [each.arm.runs[block].test[key] for block in each.readings if key in each.arm.runs[block].test]
    return shown(mean(values), key) if values else ""
