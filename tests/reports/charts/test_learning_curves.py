"""Learning curves are means of what there is, however long each run was."""

import re

import numpy as np
import pytest
from runs.made_runs import made_run
from scipy import stats

from cnnlit.analysis.comparison import compare_runs
from cnnlit.analysis.measures import Measure
from cnnlit.analysis.verdicts import judge
from cnnlit.reports.charts import learning_curves
from cnnlit.reports.charts.learning_curves import curves_chart
from cnnlit.reports.report_page import html_page
from cnnlit.runs.records import find

LENGTHS = {"max": ([0.50, 0.30], [0.54, 0.28, 0.20], [0.49, 0.33, 0.26, 0.11, 0.08]), "average": ([0.6, 0.5],) * 2}


def results_of(folder, lengths):
    for arm, runs in lengths.items():
        for seed, errors in enumerate(runs):
            made_run(folder / f"{arm}{seed}", seed=seed, train=errors, model__pooling=arm)
    return compare_runs(find([str(folder)]).records, Measure("test/error"))


def series_of(results, arm, name="train/error"):
    chart = curves_chart(results, name, logarithmic=False)
    return next(series for series in chart.data["series"] if series["arm"] == arm)


def test_the_mean_at_an_epoch_is_over_the_runs_that_reached_it(tmp_path):
    series = series_of(results_of(tmp_path, LENGTHS), "max")
    there = [[run[epoch] for run in LENGTHS["max"] if epoch < len(run)] for epoch in range(5)]
    assert series["names"] == [1, 2, 3, 4, 5]
    assert series["n"] == [len(values) for values in there] == [3, 3, 2, 1, 1]
    assert series["mean"] == pytest.approx([np.mean(values) for values in there], rel=1e-3)


def test_its_band_is_over_the_same_runs_and_there_is_none_of_one(tmp_path):
    half = series_of(results_of(tmp_path, LENGTHS), "max")["half"]
    there = [[run[epoch] for run in LENGTHS["max"] if epoch < len(run)] for epoch in range(3)]
    expected = [stats.t.ppf(0.975, len(values) - 1) * stats.sem(values) for values in there]
    assert half[:3] == pytest.approx(expected, rel=1e-3)
    assert half[3:] == [None, None]


def test_a_run_that_diverged_leaves_a_gap_and_does_not_drop_out_of_the_mean(tmp_path):
    series = series_of(results_of(tmp_path, LENGTHS | {"max": ([0.5, 0.4, 0.3], [0.5, float("nan"), 0.1])}), "max")
    assert series["mean"] == [0.5, None, 0.2]
    assert "n" not in series


def test_the_line_is_paler_from_where_runs_are_missing_and_the_page_says_why(tmp_path):
    results = results_of(tmp_path, LENGTHS)
    chart = curves_chart(results, "train/error", logarithmic=False)
    groups = dict(re.findall(r'<g class="series arm-\d" data-arm="(\w+)">(.*?)</g>', chart.drawn))
    pale, full = (
        re.search(rf'points="([^"]*)" class="{kind}"', groups["max"])[1].split() for kind in ("line few", "line")
    )
    assert (len(full), len(pale)) == (2, 4)
    assert pale[0] == full[-1], "the line does not break off"
    assert "line few" not in groups["average"]
    assert "paler" in html_page(results, judge(results, None, None), folder=tmp_path)


def test_of_runs_of_equal_length_the_page_says_nothing_of_it(tmp_path):
    results = results_of(tmp_path, {"max": ([0.5, 0.3],) * 2})
    assert "paler" not in html_page(results, judge(results, None, None), folder=tmp_path)


def test_a_long_curve_keeps_its_first_and_last_epoch():
    epochs = [float(epoch) for epoch in range(1, 1001)]
    thinned = learning_curves._thinned(epochs)
    assert (thinned[0], thinned[-1]) == (1.0, 1000.0)
    assert len(thinned) <= learning_curves.MOST_POINTS + 1
