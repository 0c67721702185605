"""The page is alive in a real browser, on a phone and in print."""

import json
import re
import shutil
import subprocess

import pytest
from PIL import Image
from reports.made_reports import made_experiment, page_of
from runs.made_runs import made_run

from cnnlit.reports.html import render
from cnnlit.reports.tables import Column, Table

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --enable-logging=stderr --virtual-time-budget=3000"
)


@pytest.fixture
def experiment(tmp_path):
    return made_experiment(tmp_path)


def browse(page, *options):
    """Open a page from the disk: what the browser prints, and what it complains about."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)}")
    profile = page.with_name("profile")
    command = [
        browser,
        *QUIET.split(),
        f"--user-data-dir={profile}",
        "--window-size=1100,2600",
        *options,
        page.as_uri(),
    ]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    return outcome.stdout, [line for line in outcome.stderr.splitlines() if "CONSOLE" in line]


POINTER = """
<script>
const over = (mark, kind, dx) => {
  const box = mark.getBoundingClientRect();
  const [x, y] = [box.left + box.width * dx, box.top + box.height / 2];
  mark.dispatchEvent(new PointerEvent(kind, {bubbles: true, clientX: x, clientY: y}));
};
const said = [];
const tip = () => document.getElementById("tip");
over(document.querySelector(".strips .dot"), "pointermove", 0.5);
said.push(tip().hidden ? "hidden" : tip().textContent);
over(document.querySelector(".plot:not([hidden]) .area"), "pointermove", 1);
said.push(tip().textContent);
document.querySelector("input[value='train/loss']").click();
document.getElementById("log").click();
const visible = [...document.querySelectorAll(".plot")].filter((plot) => plot.getBoundingClientRect().height > 0);
said.push(visible.map((plot) => plot.dataset.curve + " " + plot.dataset.scale).join());
document.querySelector(".legend button").click();
said.push(String(document.querySelectorAll(".series.off").length));
document.body.style.width = "390px";  // of a telephone; Chromium's own windows are never so narrow
said.push(String(document.documentElement.scrollWidth <= innerWidth), String(document.body.scrollWidth));
const asked = performance.getEntriesByType("resource").map((entry) => entry.name.slice(0, 5));
said.push([...new Set(asked)].join() || "data:");
document.documentElement.dataset.said = JSON.stringify(said);
</script>
"""


def test_a_browser_draws_the_charts_and_answers_the_pointer(experiment):
    page = experiment / "report.html"
    page.write_text(page_of(experiment).replace("</body>", f"{POINTER}</body>"))
    dom, complaints = browse(page, "--dump-dom")
    assert complaints == []
    assert 'data-ready="yes"' in dom
    assert dom.count('class="strips"') == 2
    assert dom.count("<polyline") == 3 * 2 * 3
    said = json.loads(re.search(r'data-said="([^"]*)"', dom)[1].replace("&quot;", '"').replace("&amp;", "&"))
    dot, curve, chosen, num_hidden, fits, narrowest, asked_for = said
    assert re.fullmatch(r"max, seed \d: \d.\d\d %", dot)
    assert curve.startswith("epoch 12")
    assert re.search(r"max: \d\.\d\d % \u00b1 \d\.\d\d %", curve)
    assert chosen == "train/loss log"
    assert num_hidden == "6"  # one arm's line in each of six plots
    assert (fits, narrowest) == ("true", "390"), "nothing is wider than the page"
    assert asked_for == "data:", "nothing is loaded but what is in the page"


def test_a_browser_shows_and_prints_the_page(experiment):
    page = experiment / "report.html"
    page.write_text(page_of(experiment))
    picture, printed = experiment / "page.png", experiment / "page.pdf"
    _, complaints = browse(page, f"--screenshot={picture}")
    assert complaints == []
    with Image.open(picture) as seen:
        assert seen.size == (1100, 2600)
        assert len(seen.convert("RGB").getcolors(2**24)) > 100
    browse(page, f"--print-to-pdf={printed}")
    assert printed.read_bytes().startswith(b"%PDF")


LAST_EPOCH = """
<script>
const area = document.querySelector(".plot:not([hidden]) .area"), box = area.getBoundingClientRect();
area.dispatchEvent(new PointerEvent("pointermove", {bubbles: true, clientX: box.right, clientY: box.top}));
document.documentElement.dataset.said = document.getElementById("tip").textContent;
</script>
"""


def test_the_tooltip_says_of_how_many_runs_a_mean_is_where_some_have_ended(tmp_path):
    for seed, train in enumerate(([0.5, 0.4], [0.5, 0.4, 0.2], [0.5, 0.4, 0.3])):
        made_run(tmp_path / f"a{seed}", seed=seed, train=train)
        made_run(tmp_path / f"b{seed}", seed=seed, train=[0.5, 0.4, 0.4], model__pooling="average")
    page = tmp_path / "report.html"
    page.write_text(page_of(tmp_path).replace("</body>", f"{LAST_EPOCH}</body>"))
    dom, complaints = browse(page, "--dump-dom")
    assert complaints == []
    said = re.search(r'data-said="([^"]*)"', dom)[1]
    assert re.fullmatch(r"epoch 3max: 12\.50 % ± [\d.]+ %, 2 of 3 runsaverage: 20\.00 % ± 0\.00 %", said), said


def test_a_description_is_alive_in_a_browser_too(tmp_path):
    page = tmp_path / "description.html"
    page.write_text(
        render("description.html", title="LeNet-5", page=["a note", Table("c1", [Column("layer", ["c1"])])])
    )
    dom, complaints = browse(page, "--dump-dom")
    assert complaints == []
    assert 'data-ready="yes"' in dom
