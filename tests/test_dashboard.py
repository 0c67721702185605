"""The command `dashboard`: what it sends to W&B, and what it says without an account."""

import json
import os
import re
import subprocess
import sys

import pytest
from dashboard_server import DashboardServer

from cnnlit import dashboard
from cnnlit.callbacks.run_figures import RunFigures
from cnnlit.tracking import dashboards

pytest.importorskip("wandb_workspaces", reason="wandb-workspaces is not installed")

ASKED = {"entity": "me", "project": "cnnlit", "name": None, "by": ["model.pooling"], "group": "pooling", "sweep": None}
PLACE = {"entityName": "me", "projectName": "cnnlit"}
RUNS = [{"group": "pooling", "config": {"seed": 0, "model": {"pooling": pooling}}} for pooling in ("max", "average")]


@pytest.fixture
def server():
    server = DashboardServer(RUNS)
    yield server
    server.close()


def specification(**changes):
    return dashboards.build(**{**ASKED, "x": "epoch", **changes}).specification()


def panels(part):
    """The panels of each section of a workspace's or a report's specification."""
    if "section" in part["spec"]:
        return {each["name"]: each["panels"] for each in part["spec"]["section"]["panelBankConfig"]["sections"]}
    blocks = part["spec"]["blocks"]
    names = [block["children"][0]["text"] for block in blocks if block["type"] == "heading"]
    grids = [block["metadata"] for block in blocks if block["type"] == "panel-grid"]
    return {name: grid["panelBankSectionConfig"]["panels"] for name, grid in zip(names, grids, strict=True)}


def runsets(part):
    if "section" in part["spec"]:
        return part["spec"]["section"]["runSets"]
    grids = [block["metadata"] for block in part["spec"]["blocks"] if block["type"] == "panel-grid"]
    return [runset for grid in grids for runset in grid["runSets"]]


def curves(part, section):
    """x axis and metric of each line plot in a section."""
    configs = [panel["config"] for panel in panels(part)[section]]
    return [(config["xAxis"], config.get("metricRegex") or config["metrics"][0]) for config in configs]


@pytest.mark.parametrize("part", ["workspace", "report"])
def test_each_section_draws_metrics_against_an_x_that_is_logged_in_the_same_row(part):
    part = specification()[part]
    names = ["val/error", "val/loss", "train/error", "train/loss", "val/top5_error", "learning_rate"]
    assert curves(part, "Curves") == [("epoch", name) for name in names]
    # Validation logs no `seconds`.
    assert curves(part, "Error against time") == [("seconds", "train/error"), ("_runtime", "val/error")]
    assert curves(part, "Layers") == [("epoch", "^gradient_norm/"), ("epoch", "^saturation/")]
    assert curves(part, "Waiting for data") == [("epoch", "seconds_waiting"), ("epoch", "seconds")]
    assert [panel["viewType"] for panel in panels(part)["Comparison"]] == [
        "Bar Chart",
        "Parallel Coordinates Plot",
        "Parameter Importance",
        "Run Comparer",
    ]
    assert panels(part)["Comparison"][0]["config"]["metrics"] == ["test/error"]


@pytest.mark.parametrize("part", ["workspace", "report"])
def test_the_gallery_has_every_picture_that_a_tested_run_uploads(part):
    shown = [panel["config"]["mediaKeys"] for panel in panels(specification()[part])["Pictures"]]
    drawn = re.findall(r"(\w+)\.png", RunFigures.__doc__)
    assert sorted(shown) == sorted([f"pictures/{name}"] for name in drawn)


@pytest.mark.parametrize("part", ["workspace", "report"])
def test_runs_are_filtered_by_group_and_sweep_and_grouped_by_the_keys_named(part):
    found = runsets(specification(by=["model.pooling", "seed"], sweep="k3v9x2ab")[part])
    assert found
    for runset in found:
        assert runset["grouping"] == [
            {"section": "config", "name": "model.value.pooling"},
            {"section": "config", "name": "seed.value"},
        ]
        assert [(each["key"], each["op"], each["value"]) for each in runset["filters"]["filters"]] == [
            ({"section": "run", "name": "group"}, "=", "pooling"),
            ({"section": "run", "name": "sweep"}, "=", "k3v9x2ab"),
        ]


@pytest.mark.parametrize("group", ["2026-01-31/12-00-00-0a1b2c3d", "max, average and more", "12", "été"])
def test_the_name_of_a_group_arrives_unchanged(group):
    found = specification(group=group)
    for runset in runsets(found["workspace"]) + runsets(found["report"]):
        assert [each["value"] for each in runset["filters"]["filters"]] == [group]


def test_arms_are_drawn_as_mean_and_standard_error_and_single_runs_as_they_are():
    def drawn(by):
        config = panels(specification(by=by)["workspace"])["Curves"][0]["config"]
        return config.get("groupAgg"), config.get("groupArea")

    assert drawn(["model.pooling"]) == ("mean", "stderr")
    assert drawn([]) == (None, None)


def test_the_x_axis_can_be_the_step():
    found = specification(x="trainer/global_step")["workspace"]
    assert {x for x, _ in curves(found, "Curves") + curves(found, "Layers")} == {"trainer/global_step"}
    assert curves(found, "Error against time")[0][0] == "seconds"


def test_without_a_group_or_a_sweep_there_is_no_report():
    assert specification(group=None).keys() == {"workspace"}


def test_panels_of_a_report_do_not_overlap():
    for shown in panels(specification()["report"]).values():
        boxes = [tuple(panel["layout"][key] for key in "xywh") for panel in shown]
        assert all(x + w <= 24 for x, _, w, _ in boxes)
        assert len({(x, y) for x, y, _, _ in boxes}) == len(boxes)
        assert {(w, h) for _, _, w, h in boxes} == {(12, 8)}


def command(*words, **variables):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    line = [sys.executable, "-m", "cnnlit.dashboard", *words]
    return subprocess.run(line, env=clean | variables, capture_output=True, text=True, timeout=300)


def test_the_same_arguments_print_the_same_specification_without_an_account(tmp_path):
    words = ("project=me/cnnlit", "group=pooling", "by=model.pooling", "format=json")
    done = command(*words, HOME=str(tmp_path), https_proxy="http://127.0.0.1:9", WANDB_BASE_URL="http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    assert done.stdout == json.dumps(specification(), indent=2) + "\n"


def test_a_dashboard_is_saved_and_saved_again_in_its_own_place(server, tmp_path):
    home = {"HOME": str(tmp_path), "WANDB_BASE_URL": server.url, "WANDB_API_KEY": "a" * 40}
    for name in ("mine", "another"):  # which fill W&B's first page
        server._upsert({"type": "project-view", "name": name, "displayName": name, "spec": "{}"} | PLACE)
    words = ("project=me/cnnlit", "group=pooling", "by=model.pooling")
    first = command(*words, **home)
    assert first.returncode == 0, first.stderr
    second = command(*words, "x=trainer/global_step", **home)
    assert [line.split(": ")[0] for line in first.stdout.splitlines()] == ["workspace", "report"]
    assert second.stdout == first.stdout.replace(": http", ", replaced: http")
    assert first.stdout.count(f"{server.url}/me/cnnlit") == 2

    *_, workspace = server.of("project-view")
    (report,) = server.of("runs")
    assert len(server.of("project-view")) == 3
    expected = specification(x="trainer/global_step")
    for kept, part in ((workspace, expected["workspace"]), (report, expected["report"])):
        assert kept["displayName"] == "cnnlit: pooling by model.pooling"
        assert kept["spec"] == part["spec"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["project=me/cnnlit", "by=model.pollin"], "by=model.pollin: no run has it; did you mean model.pooling?"),
        (["project=me/other"], "project=me/other: W&B knows no such project"),
    ],
    ids=["key", "project"],
)
def test_a_missing_project_or_key_is_one_line_and_nothing_is_saved(server, tmp_path, words, says):
    done = command(*words, HOME=str(tmp_path), WANDB_BASE_URL=server.url, WANDB_API_KEY="a" * 40)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not done.stdout
    assert not server.views


def test_without_an_account_one_line_offers_the_dashboard_as_a_page(tmp_path):
    done = command("project=me/cnnlit", HOME=str(tmp_path))
    assert done.returncode == 2
    assert "no W&B account" in done.stderr
    assert "python -m cnnlit.report runs=FOLDER format=html" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["project=me/cnnlit/pooling"], "project=me/cnnlit/pooling: must be entity/project"),
        (["by=model..pooling"], "by=model..pooling: must be a key"),
        (["group='a = b'"], "group=a = b: must be without quotation marks"),
        ([f"name={'n' * 129}"], "128 characters at most"),
        (["x=epochs"], "did you mean epoch?"),
    ],
    ids=str,
)
def test_a_wrong_word_is_one_line(monkeypatch, capfd, words, says):
    monkeypatch.setattr(sys, "argv", ["dashboard.py", "format=json", *words])
    with pytest.raises(SystemExit) as stop:
        dashboard.main()
    out, err = capfd.readouterr()
    assert stop.value.code == 2
    assert says in err
    assert err.count("\n") == 1
    assert not out


def test_without_the_package_one_line_names_what_to_install(monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    monkeypatch.setattr(sys, "argv", ["dashboard.py", "format=json"])
    with pytest.raises(SystemExit):
        dashboard.main()
    assert 'pip install "cnnlit[dashboard]"' in capfd.readouterr().err
