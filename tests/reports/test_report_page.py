"""The page: complete in itself, small, and true to the runs."""

import json
import re
from html import unescape
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from reports.made_reports import made_experiment, page_of, photograph
from runs.made_runs import made_run

from cnnlit.analysis.measures import Measure, read_target
from cnnlit.reports.charts.dots import NUM_COLORS
from cnnlit.reports.html import TEMPLATES
from cnnlit.runs.records import find

VOID = {"img", "meta", "br", "input"}
"""Elements without an end tag."""


@pytest.fixture
def experiment(tmp_path):
    return made_experiment(tmp_path)


class Elements(HTMLParser):
    """All elements of a page; an element that is not closed is an error."""

    def __init__(self, page):
        super().__init__()
        self.open, self.found = [], []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, name, attributes):
        self.found.append((name, dict(attributes)))
        if name not in VOID:
            self.open.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def all(self, element, **wanted):
        return [given for name, given in self.found if name == element and wanted.items() <= given.items()]


def test_the_page_is_whole_and_asks_nobody_for_anything(experiment):
    page = page_of(experiment)
    elements = Elements(page)
    sources = [given[key] for _, given in elements.found for key in ("src", "href", "srcset", "action") if key in given]
    assert sources
    assert all(
        source.startswith("data:image/webp;base64,") or re.fullmatch(r"\d\d/pictures/errors.png", source)
        for source in sources
    )
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|https?://", page)
    assert elements.all("meta", name="viewport")
    (policy,) = elements.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none'; img-src data:;")


def test_names_and_reasons_are_words_and_never_markup(experiment):
    page = page_of(experiment)
    assert "a&lt;b&gt;&amp;" in page
    assert "a<b>" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "RuntimeError: &lt;b&gt;" in page


def test_charts_are_pictures_with_a_name_and_every_run_is_a_dot(experiment):
    page = page_of(experiment)
    charts = [ElementTree.fromstring(chart) for chart in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]
    assert all(
        chart.get("role") == "img" and chart.get("aria-label") and chart.find("title") is not None for chart in charts
    )
    arms, differences = [chart for chart in charts if chart.get("class") == "strips"]
    tips = [dot.find("title").text for dot in arms.iter("circle")]
    assert len(tips) == 11
    assert sum(tip.startswith("max, seed") for tip in tips) == 4
    assert len(list(differences.iter("circle"))) == 4 + 3 + 3
    assert len(Elements(page).all("div", **{"class": "plot"})) == 3 * 2  # curves, each plain and logarithmic
    assert len(Elements(page).all("img")) == 3
    assert all(given["alt"] for given in Elements(page).all("img"))


def colors_in(page):
    """Who is drawn in which colour, in the order of the page: (where, arm, number of the colour)."""
    groups = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    found = [("dots", *each[::-1]) for each in re.findall(r'<g class="arm-(\d)"><text[^>]*>([^<]*)</text>', groups)]
    found += [("table", *each[::-1]) for each in re.findall(r'<th[^>]*><i class="mark arm-(\d)"></i>([^<]*)<', groups)]
    found += [("legend", *each[::-1]) for each in re.findall(r'<i class="mark arm-(\d)"></i>([^<]*)</button>', groups)]
    found += [("line", *each[::-1]) for each in re.findall(r'<g class="series arm-(\d)" data-arm="([^"]*)"', groups)]
    return [(where, unescape(arm), int(color)) for where, arm, color in found]


def test_an_arm_has_the_same_colour_everywhere_and_no_two_have_one(tmp_path):
    arms = [f"pooling{number}" for number in range(8)]
    for place, pooling in enumerate(arms):
        for seed in range(2):
            path = made_run(tmp_path / f"{place}{seed}", seed=seed, error=0.01 + place / 100, model__pooling=pooling)
            head, *rows = (path / "metrics.csv").read_text().splitlines()
            lines = [f"{head},saturation/c1,gradient_norm/c1", *(f"{row},0.5,0.1" for row in rows)]
            (path / "metrics.csv").write_text("\n".join(lines) + "\n")
    found = colors_in(page_of(tmp_path))
    assert {where: sum(each[0] == where for each in found) for where in ("dots", "table", "legend", "line")} == {
        "dots": 8, "table": 8, "legend": 2 * 8, "line": (3 * 2 + 2 * 2) * 8,
    }  # fmt: skip
    assert {(arm, color) for _, arm, color in found} == {(arm, place) for place, arm in enumerate(arms)}


def test_the_style_sheet_has_eight_colours_by_day_by_night_and_in_print():
    styles = (TEMPLATES / "report.css").read_text()
    assert re.findall(r"\.arm-(\d) \{ --arm: var\(--c(\d)\)", styles) == [(str(n), str(n)) for n in range(NUM_COLORS)]
    for number in range(NUM_COLORS):
        assert len(re.findall(rf"--c{number}: #", styles)) == 3
    for palette in re.findall(r"--c0: #[^}]*", styles):
        assert len(set(re.findall(r"--c\d: (#\w+)", palette))) == NUM_COLORS


def test_equal_runs_do_not_hide_one_another(tmp_path):
    for seed in range(10):
        made_run(tmp_path / f"a{seed}", seed=seed, error=0.01)
        made_run(tmp_path / f"b{seed}", seed=seed, error=0.03 if seed % 2 else 0.02, model__pooling="average")
    chart = ElementTree.fromstring(re.search(r"<svg.*?</svg>", page_of(tmp_path), re.DOTALL)[0])
    for group in chart.iter("g"):
        dots = [(dot.get("cx"), float(dot.get("cy"))) for dot in group.iter("circle")]
        assert len(set(dots)) == len(dots) == 10
        line = float(next(group.iter("line")).get("y1"))
        assert all(abs(y - line) <= 10 for _, y in dots)
        assert np.mean([y for _, y in dots]) == pytest.approx(line)


def test_the_mean_is_drawn_where_it_is(experiment):
    """Positions are linear in the numbers, so the mean of the dots' positions is that of the mean."""
    page = page_of(experiment)
    chart = ElementTree.fromstring(re.search(r"<svg.*?</svg>", page, re.DOTALL)[0])
    for group in chart.iter("g"):
        places = [float(dot.get("cx").rstrip("%")) for dot in group.iter("circle")]
        mean = next(line for line in group.iter("line") if line.get("class") == "mean")
        assert float(mean.get("x1").rstrip("%")) == pytest.approx(np.mean(places), abs=0.02)


def test_curves_are_the_means_of_the_runs(experiment):
    page = page_of(experiment)
    data = [json.loads(each) for each in re.findall(r'<script type="application/json">(.*?)</script>', page)]
    names = [given["data-curve"] for given in Elements(page).all("div", **{"class": "plot"})]
    found = next(each for each, name in zip(data, names, strict=True) if name == "train/error")
    series = next(each for each in found["series"] if each["arm"] == "max")
    rows = [find([str(experiment / f"0{seed}")]).records[0].curves for seed in range(4)]
    expected = np.mean([[row["train/error"] for row in curve] for curve in rows], axis=0)
    assert series["mean"] == pytest.approx(expected.tolist(), rel=1e-3)
    assert series["names"] == list(range(1, 13))


def test_a_page_without_curves_pictures_or_differences_is_still_one(tmp_path):
    made_run(tmp_path / "0", train=())
    elements = Elements(page_of(tmp_path, pictures=("errors", "filters")))
    assert len(elements.all("section")) == 4  # verdict, arms, methods, runs


def test_runs_that_never_got_there_are_open_dots(tmp_path):
    for seed in range(3):
        made_run(tmp_path / f"a{seed}", seed=seed, train=(0.5, 0.04))
        made_run(tmp_path / f"b{seed}", seed=seed, train=(0.5, 0.4), model__pooling="average")
    page = page_of(tmp_path, measure=Measure("epochs", read_target("train/error<=0.05")))
    assert page.count('class="dot open"') == 3
    Elements(page)


def test_pictures_keep_to_their_budget(tmp_path, monkeypatch):
    for seed, pooling in enumerate(("max", "average", "subsample")):
        made_run(tmp_path / pooling, seed=0, error=0.01 + seed / 100, picture=photograph(), model__pooling=pooling)
    whole = Elements(page_of(tmp_path)).all("img")
    assert len(whole) == 3
    monkeypatch.setattr("cnnlit.reports.gallery.MOST_BYTES", int(2.5 * len(whole[0]["src"])))
    page = page_of(tmp_path)
    assert len(Elements(page).all("img")) == 2
    assert "1 more have no room on this page" in page


def test_a_page_of_200_runs_is_below_5_megabytes(tmp_path):
    picture = photograph()
    for number in range(200):
        arm, seed = divmod(number, 10)
        curve = 0.5 / (1 + np.arange(60) + np.random.default_rng(number).random(60))
        made_run(
            tmp_path / str(number), seed=seed, error=0.01 + arm / 1000 + seed / 1e4, train=curve.tolist(),
            picture=picture, model__pooling=f"pooling{arm}",
        )  # fmt: skip
    page = page_of(tmp_path)
    Elements(page)
    assert page.count("<circle") >= 200 + 19 * 10
    assert 10**5 < len(page.encode()) < 5 * 10**6
