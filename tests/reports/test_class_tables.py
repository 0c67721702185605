"""A report shows means over classes and each class, as the tests of its runs have them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs.made_runs import made_run

from cnnlit.analysis.comparison import compare_runs
from cnnlit.analysis.measures import Measure
from cnnlit.analysis.results import Results
from cnnlit.analysis.verdicts import judge
from cnnlit.reports.charts.calibration import calibration_chart
from cnnlit.reports.class_tables import calibration_table, classes_table, confused_table, metrics_table
from cnnlit.reports.report_data import as_json
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


def answered(folder: Path, *wrong: list[bool], names: tuple[str, ...] = ()) -> Results:
    """Runs that take images of ten classes for those of the next, where they are wrong."""
    for seed, each in enumerate(wrong):
        made_run(folder / str(seed), seed=seed, error=sum(each) / len(each), wrong=np.array(each), num_images=len(each))
        record = json.loads((folder / str(seed) / "run.json").read_text())
        (folder / str(seed) / "run.json").write_text(json.dumps(record | {"class_names": names}))
    found: Any = find([str(folder)])
    return compare_runs(found.records, Measure("test/error"), [], [])


def test_confused_classes_are_named_with_their_mean_number(tmp_path: Path) -> None:
    names = tuple("abcdefghij")
    one, other = [index in (1, 3, 13) for index in range(20)], [index == 3 for index in range(20)]
    table = confused_table(answered(tmp_path, one, other, names=names))
    assert table is not None
    assert [tuple(row) for row in table.rows] == [("d \u2192 e", "1.5"), ("b \u2192 c", "0.5")]


def test_without_names_classes_are_numbers_and_without_errors_there_is_no_table(tmp_path: Path) -> None:
    table = confused_table(answered(tmp_path / "wrong", [index == 3 for index in range(20)]))
    assert table is not None
    assert table.rows[0][0] == "3 \u2192 4"
    assert confused_table(answered(tmp_path / "right", [False] * 20)) is None
    assert confused_table(results_of(tmp_path / "earlier", {})) is None


def test_calibration_is_a_row_for_each_range_a_curve_and_json(tmp_path: Path) -> None:
    results = answered(tmp_path, [index % 4 == 0 for index in range(20)])
    table = calibration_table(results)
    assert table is not None
    assert [tuple(row[1:]) for row in table.rows] == [("47 to 53 %", "20", "50.00 %", "75.00 %")]
    chart = calibration_chart(results)
    assert chart is not None
    assert chart.data["series"][0]["mean"] == [0.75]
    assert chart.data["series"][0]["x"] == [0.5]
    assert 'class="same"' in chart.drawn
    assert 'aria-label="Accuracy by confidence' in chart.drawn
    data = as_json(results, judge(results, None, None))
    assert data["class_names"] == []
    (arm,) = data["arms"]
    (only,) = arm["calibration"]
    assert only == pytest.approx({"low": 7 / 15, "high": 8 / 15, "answers": 20, "confidence": 0.5, "accuracy": 0.75})
    assert arm["most_confused"][0] == {"label": 0, "answer": 1, "times": 1}


def test_runs_without_answers_have_no_calibration(tmp_path: Path) -> None:
    results = results_of(tmp_path, {})
    assert (calibration_table(results), calibration_chart(results)) == (None, None)
