"""A report shows means over classes and each class, as the tests of its runs have them."""

from pathlib import Path
from typing import Any

import pytest
from runs.made_runs import made_run

from cnnlit.analysis.comparison import compare_runs
from cnnlit.analysis.measures import Measure
from cnnlit.analysis.results import Results
from cnnlit.reports.class_tables import classes_table, metrics_table
from cnnlit.runs.records import find


def results_of(folder: Path, *tests: dict[str, float]) -> Results:
    for seed, test in enumerate(tests):
        made_run(folder / str(seed), seed=seed, test=test)
    found: Any = find([str(folder)])
    return compare_runs(found.records, Measure("test/error"), [], [])


def test_macro_metrics_are_means_of_an_arms_runs(tmp_path: Path) -> None:
    table = metrics_table(results_of(tmp_path, {"test/macro_f1": 0.5}, {"test/macro_f1": 0.7}))
    assert table is not None
    assert [column.head for column in table.columns] == ["arm", "macro f1"]
    assert [row[1] for row in table.rows] == ["60.00 %"]


def test_each_class_has_a_row_in_the_order_of_the_labels(tmp_path: Path) -> None:
    results = results_of(tmp_path, {f"test/class_{k}_accuracy": k / 20 for k in (10, 9, 2)})
    table = classes_table(results)
    assert table is not None
    assert [tuple(row) for row in table.rows] == [("2", "10.00 %"), ("9", "45.00 %"), ("10", "50.00 %")]


@pytest.mark.parametrize("number", [0, 31])
def test_without_classes_or_with_too_many_there_is_no_table(tmp_path: Path, number: int) -> None:
    assert classes_table(results_of(tmp_path, {f"test/class_{k}_accuracy": 0.5 for k in range(number)})) is None


def test_runs_of_earlier_versions_have_none_of_these(tmp_path: Path) -> None:
    assert metrics_table(results_of(tmp_path, {})) is None


def test_what_is_better_when_larger_is_known(tmp_path: Path) -> None:
    assert Measure("test/macro_f1").more_is_better
    assert not Measure("test/calibration_error").more_is_better
    assert Measure("test/macro_recall").show(0.25) == "25.00 %"
