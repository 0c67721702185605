"""What a report shows of the inside of networks."""

import csv

import numpy as np
import pytest
from runs.made_runs import made_run
from scipy import stats

from cnnlit.analysis.comparison import compare_runs
from cnnlit.analysis.measures import Measure
from cnnlit.reports.charts.layer_curves import Moment, layers_chart, moments
from cnnlit.reports.charts.lines import mean_of
from cnnlit.runs.records import find

DEPTHS = {"A": 3, "none": 5}


@pytest.fixture
def results(tmp_path):
    """Two arms of three seeds, one with deeper networks, whose gradients are a power of ten for each layer."""
    for arm, depth in DEPTHS.items():
        for seed in range(3):
            path = made_run(tmp_path / f"{arm}{seed}", seed=seed, model__shortcut=arm) / "metrics.csv"
            rows = list(csv.DictReader(path.open()))
            for epoch, row in enumerate(rows):
                for layer in range(depth):
                    row[f"gradient_norm/c{layer}"] = 10.0 ** (-layer - epoch) * (1 + seed)
                    row[f"saturation/c{layer}"] = layer / 10
            with path.open("w", newline="") as file:
                table = csv.DictWriter(file, list(rows[0]))
                table.writeheader()
                table.writerows(rows)
    return compare_runs(find([str(tmp_path)]).records, Measure("test/error"))


def test_gradients_are_drawn_by_layer_as_geometric_means(results):
    assert [moment.name for moment in moments(results)] == [
        "gradient, first epoch", "gradient, last epoch", "saturation, first epoch", "saturation, last epoch",
    ]  # fmt: skip
    for last, factor in ((False, 1.0), (True, 0.01)):
        chart = layers_chart(results, Moment("gradient_norm", last))
        assert chart.scale == "log"
        data = {series["arm"]: series for series in chart.data["series"]}
        for arm, depth in DEPTHS.items():
            assert data[arm]["names"] == [f"c{layer}" for layer in range(depth)]
            assert (data[arm]["x"][0], data[arm]["x"][-1]) == (0, 1), "networks of any depth are equally long"
            expected = [factor * 10.0**-layer * 6 ** (1 / 3) for layer in range(depth)]
            assert data[arm]["mean"] == pytest.approx(expected, rel=1e-3)


def test_saturation_is_drawn_from_none_to_all(results):
    chart = layers_chart(results, Moment("saturation", last=True))
    assert chart.scale == "linear"
    series = chart.data["series"][0]
    assert series["mean"] == pytest.approx([0.1 * layer for layer in range(len(series["mean"]))])


def test_layers_have_their_names_below_where_all_networks_have_the_same(results):
    def feet(chart):
        return [tick.label for tick in chart.xs]

    assert feet(layers_chart(results, Moment("saturation", last=False))) == ["first", "last"]
    results.measured.pop()
    names = layers_chart(results, Moment("saturation", last=False)).data["series"][0]["names"]
    assert feet(layers_chart(results, Moment("saturation", last=False))) == names


def test_runs_without_statistics_have_no_charts_of_layers(tmp_path):
    made_run(tmp_path / "0")
    assert moments(compare_runs(find([str(tmp_path)]).records, Measure("test/error"))) == []


def test_the_interval_of_a_geometric_mean_is_that_of_the_logarithms():
    values = np.exp(np.random.default_rng(0).normal(size=(7, 2)))
    mean, low, high = mean_of(values, logarithmic=True)
    assert mean == pytest.approx(stats.gmean(values))
    logs = np.log(values)
    expected = stats.t.interval(0.95, 6, loc=logs.mean(axis=0), scale=stats.sem(logs))
    assert np.log([low, high]) == pytest.approx(np.array(expected))
