"""The command `report`, as a user types it."""

import csv
import json
import os
import re
import shlex
import subprocess
import sys

import as_typed
import pytest
from runs.made_runs import made_run

from cnnlit import report

MAX, AVERAGE = (0.0100, 0.0101, 0.0103, 0.0104, 0.0099), (0.0120, 0.0118, 0.0125, 0.0121, 0.0123)


@pytest.fixture
def runs(tmp_path):
    """Two arms of five seeds in a folder whose name Hydra would not read without quotation marks."""
    for pooling, errors in (("max", MAX), ("average", AVERAGE)):
        for seed, error in enumerate(errors):
            folder = tmp_path / "multirun" / f"model.pooling={pooling},seed={seed}"
            made_run(folder, seed=seed, error=error, train=(0.5, 0.04 + error), model__pooling=pooling)
    return tmp_path / "multirun"


@pytest.fixture
def printed(monkeypatch, capsys):
    """Calls the command and returns what it prints."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["report.py", *map(str, arguments)])
        report.main()
        return capsys.readouterr().out

    return call


def test_a_folder_of_runs_is_enough(runs, printed, monkeypatch):
    monkeypatch.chdir(runs.parent)
    text = printed()
    assert text.startswith("max has the lowest test/error, 1.01 %; the next, average, 1.21 %: a clear difference")
    assert text == printed(f"runs={runs}")
    assert sorted(path.name for path in runs.parent.iterdir()) == ["multirun"]


def test_runs_that_nobody_named_are_named_beside_the_data(runs, monkeypatch, capsys):
    monkeypatch.chdir(runs.parent)
    for words, says in ((), "10 runs below multirun; runs=... names others\n"), (("runs=multirun",), ""):
        monkeypatch.setattr(sys, "argv", ["report.py", *words, "format=json"])
        report.main()
        printed = capsys.readouterr()
        assert json.loads(printed.out)["metric"] == "test/error"
        assert printed.err == says


def test_a_claim_is_judged_in_every_format(runs, printed):
    arguments = (f"runs={runs}", "claim=max < average")
    assert printed(*arguments).startswith("max < average holds: ")
    assert printed(*arguments, "format=markdown").startswith("max < average holds: ")
    told = json.loads(printed(*arguments, "format=json"))
    assert told["verdict"]["outcome"] == "holds"
    assert [arm["arm"] for arm in told["arms"]] == ["max", "average"]
    assert told["arms"][0]["mean"] == pytest.approx(sum(MAX) / 5)
    rows = list(csv.DictReader(printed(*arguments, "format=csv").splitlines()))
    assert len(rows) == 10
    assert {(row["arm"], row["seed"]): float(row["test/error"]) for row in rows}["average", "2"] == AVERAGE[2]


@pytest.mark.parametrize("columns", [80, 200])
def test_a_terminal_of_any_width_shows_whole_numbers_and_no_colours_where_they_are_unwanted(runs, columns):
    shown = as_typed.on_terminal(runs.parent, "cnnlit.report", columns=columns, NO_COLOR="1")
    styles = {style for each in re.findall(r"\x1b\[([\d;]*)m", shown) for style in each.split(";")}
    assert styles <= {"", "0", "1", "2", "3", "4", "22", "24"}, "bold and the like, no colours"
    lines = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", shown).splitlines()
    assert max(map(len, lines)) <= columns
    words = " ".join(lines)
    for number in (f"{100 * sum(errors) / len(errors):.2f}" for errors in (MAX, AVERAGE)):
        assert re.search(rf"(?<![\d.]){re.escape(number)}(?![\d.])", words)


def test_a_terminal_that_knows_links_opens_the_page_and_a_pipe_has_its_path_alone(runs):
    words = ("cnnlit.report", f"runs={runs}", "format=html")
    link = (runs / "report.html").as_uri()
    shown = as_typed.on_terminal(runs.parent, *words, columns=80)
    assert re.search(rf"\x1b\]8;[^;]*;{re.escape(link)}\x1b\\", shown)
    assert "\x1b" not in as_typed.on_terminal(runs.parent, *words, columns=80, TERM="dumb")
    assert as_typed.python(runs.parent, *words).stdout == f"{runs / 'report.html'}\n"


def test_the_page_lies_beside_the_runs_or_where_it_is_wanted(runs, printed):
    assert printed(f"runs={runs}", "format=html") == f"{runs}/report.html\n"
    assert "holds" in (runs / "report.html").read_text()
    elsewhere = runs.parent / "pages" / "a=b.html"
    printed(f"runs={runs}", "format=html", f"to={elsewhere}")
    assert '<a href="../multirun' not in elsewhere.read_text()
    printed(f"runs={runs}", "format=json", f"to={runs.parent / 'x.json'}")
    assert json.loads((runs.parent / "x.json").read_text())["metric"] == "test/error"


def test_folders_are_separated_by_commas_or_found_by_a_pattern(runs, printed):
    made_run(runs.parent / "more" / "a", seed=9, error=0.01)
    both = json.loads(printed(f"runs={runs.parent}/more, {runs.parent}/more/a", "format=json"))
    assert both["arms"][0]["n"] == 1
    found = json.loads(printed(f"runs={runs.parent}/m*", "format=json"))
    assert sum(arm["n"] for arm in found["arms"]) == 11
    listed = json.loads(printed(f"runs=[{runs.parent}/more]", "format=json"))
    assert listed["arms"][0]["n"] == 1


def test_seeds_that_are_missing_come_with_the_command_that_trains_them(tmp_path, printed, monkeypatch):
    monkeypatch.chdir(tmp_path)
    errors = {"max": (0.0100, 0.0121, 0.0103), "average": (0.0110, 0.0113, 0.0109)}
    for number, (pooling, error) in enumerate((arm, error) for arm, given in errors.items() for error in given):
        made_run(tmp_path / "a sweep" / str(number), seed=number % 3, error=error, model__pooling=pooling)
    told = {"task": ["experiment=pooling", "seed=0,1,2", "data.root=a b"], "hydra": ["hydra.launcher.jobs=2"]}
    told["hydra"] += ["hydra.mode=MULTIRUN", "hydra.sweep.dir=elsewhere"]
    note = {
        "hydra": {
            "overrides": told,
            "sweeper": {"_target_": "x.BasicSweeper"},
            "launcher": {"_target_": "x.ProcessLauncher"},
        }
    }
    (tmp_path / "a sweep" / "multirun.yaml").write_text(json.dumps(note))
    arguments = ("runs=a sweep", "claim=max < average")
    verdict = json.loads(printed(*arguments, "format=json"))["verdict"]
    words = shlex.split(verdict["command"])
    assert words[:6] == ["python", "-m", "cnnlit.train", "-m", "experiment=pooling", "data.root=a b"]
    assert words[6:] == [
        "hydra.launcher.jobs=2", f"seed=range(0,{3 + verdict['more_seeds']})", 'hydra.sweep.dir="a sweep"'
    ]  # fmt: skip
    assert f"\n    {verdict['command']}\n" in printed(*arguments)
    assert f"\n    {verdict['command']}\n" in printed(*arguments, "format=markdown")
    printed(*arguments, "format=html")
    assert "seed=range(0," in (tmp_path / "a sweep" / "report.html").read_text()
    # A search would search the seeds, and another launcher would number the jobs anew.
    for ours, other in (("Basic", "Optuna"), ("Process", "Joblib")):
        (tmp_path / "a sweep" / "multirun.yaml").write_text(json.dumps(note).replace(ours, other))
        assert json.loads(printed(*arguments, "format=json"))["verdict"]["command"] == ""
    (tmp_path / "a sweep" / "multirun.yaml").write_text(json.dumps(note))
    # There is no such command for two sweeps together.
    made_run(tmp_path / "other" / "0", seed=7, error=0.0101)
    both = json.loads(printed("runs=a sweep,other", "claim=max < average", "format=json"))["verdict"]
    assert both["more_seeds"]
    assert both["command"] == ""


def test_seeds_are_counted_also_where_an_arm_has_several_runs_of_each(tmp_path, printed):
    """Two seeds of four combinations, by one of the two keys: an arm has two runs of each seed, which count once."""
    sweep = tmp_path / "sweep"
    cells = [(pooling, head, seed) for pooling in ("max", "average") for head in ("rbf", "linear") for seed in (0, 1)]
    errors = (0.0100, 0.0121, 0.0103, 0.0111, 0.0110, 0.0113, 0.0109, 0.0112)
    for number, ((pooling, head, seed), error) in enumerate(zip(cells, errors, strict=True)):
        made_run(sweep / str(number), seed=seed, error=error, model__pooling=pooling, model__head=head)
    told = {"task": ["experiment=lenet5_choices"], "hydra": []}
    note = {
        "hydra": {
            "overrides": told,
            "sweeper": {"_target_": "x.BasicSweeper"},
            "launcher": {"_target_": "x.ProcessLauncher"},
        }
    }
    (sweep / "multirun.yaml").write_text(json.dumps(note))
    verdict = json.loads(printed(f"runs={sweep}", "by=model.pooling", "claim=max < average", "format=json"))["verdict"]
    assert f"seed=range(0,{2 + verdict['more_seeds']})" in verdict["command"]


def test_a_target_is_reached_after_some_epochs(runs, printed):
    told = json.loads(printed(f"runs={runs}", "target=train/error<=0.055", "format=json"))
    assert (told["metric"], told["target"]) == ("epochs", "train/error <= 5.50 %")
    assert told["arms"][0]["num_reached"] == 5
    seconds = json.loads(printed(f"runs={runs}", "target=train/error<=50%", "metric=seconds", "format=json"))
    assert seconds["arms"][0]["mean"] == 1.0


def test_by_names_the_keys_that_arms_are_made_of(runs, printed):
    told = json.loads(printed(f"runs={runs}", "by=model.pooling", "format=json"))
    assert list(told["factors"]) == ["model.pooling"]


def test_the_winners_of_ilsvrc_need_no_run(tmp_path, printed, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "2012  SuperVision" in printed("ilsvrc=true")
    assert "| 2015 | MSRA | 3.57 % |" in printed("ilsvrc=true", "format=markdown")
    assert printed("ilsvrc=true", "format=html") == "ilsvrc.html\n"
    assert printed("ilsvrc=true", "format=csv").count("\n") == 11
    assert len(json.loads(printed("ilsvrc=true", "format=json"))["entries"]) == 10


def test_runs_on_imagenet_stand_among_the_winners_of_ilsvrc(tmp_path, printed):
    data = {"data___target_": "cnnlit.data.image_folders.ImageNet", "data__num_classes": 1000}
    made_run(tmp_path / "runs" / "a", test={"test/top5_error": 0.182}, **data)
    assert "LeNet5, 18.20 %, would have won until 2011." in printed("ilsvrc=true", f"runs={tmp_path}/runs")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["runs=nowhere"], "runs=nowhere: there is no such folder"),
        (["runs="], "runs=: must name a folder"),
        (["format=pdf"], "format=pdf: must be one of text, html, markdown, csv, json"),
        (["metric=test/eror"], "metric=test/eror: no finished run has it; there is test/error"),
        (["target=train/error"], "target=train/error: must be a curve and a bound"),
        (["target=train/error<=0.1", "metric=test/error"], "metric=test/error: with target="),
        (["claim=max < maximum"], "claim=max < maximum: there is no arm maximum; there is max; average"),
        (["claim=max"], "claim=max: must be two arms"),
        (["by=model.dropout"], "by=model.dropout: the runs do not differ in it; they differ in model.pooling"),
        (["smallest_difference=0"], "smallest_difference=0: must be greater than 0"),
        (["rums=x"], "rums: no such option; did you mean runs?"),
        (["ilsvrc=true", "claim=max < average"], "claim=max < average: not with ilsvrc=true"),
        (["ilsvrc=true", "runs=multirun"], "ilsvrc=true: none of 10 runs was tested on the 1,000 classes"),
        (["to=multirun"], "to=multirun: is a folder; name a file"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_is_wrong_is_one_line_that_names_it(runs, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(runs.parent)
    monkeypatch.setattr(sys, "argv", ["report.py", *arguments])
    with pytest.raises(SystemExit) as stop:
        report.main()
    captured = capsys.readouterr()
    assert stop.value.code == 2
    assert captured.out == ""
    assert captured.err.startswith("cnnlit: ")
    assert captured.err.count("\n") == 1
    assert says in captured.err
    assert sorted(path.name for path in runs.parent.iterdir()) == ["multirun"]


def test_nothing_heavy_is_touched(runs):
    """As a user types it, in another folder."""
    program = (
        "import sys\n"
        "from cnnlit import report\n"
        f"sys.argv = ['report.py', 'runs={runs}', 'format=html', 'to=page.html']\n"
        "report.main()\n"
        "heavy = {'torch', 'lightning', 'torchvision', 'torchmetrics', 'wandb', 'matplotlib.pyplot'}\n"
        "print(*sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    folder = runs.parent / "empty"
    folder.mkdir()
    outcome = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(os.path.abspath(report.__file__)))},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (outcome.stdout, outcome.stderr) == ("page.html\n", "\n")
    assert [path.name for path in folder.iterdir()] == ["page.html"]
