"""Jobs that choose come first; of the others, those run that have what was chosen."""

import json
from pathlib import Path

import pytest
from runs.made_runs import made_run

from cnnlit.analysis.comparison import compare_runs
from cnnlit.analysis.measures import Measure
from cnnlit.analysis.verdicts import judge
from cnnlit.config.schema import check
from cnnlit.reports.report_tables import report_page
from cnnlit.reports.tables import as_text
from cnnlit.runs.records import find
from cnnlit.sweeps.jobs import Job
from cnnlit.sweeps.launcher import ProcessLauncher
from cnnlit.sweeps.selection_jobs import Select, chooses, in_two_parts

SELECT = Select("recipe.optimizer.lr", [100, 101], "train/error<=0.15")
EPOCHS = {("relu", "0.01"): 3, ("relu", "0.03"): 1, ("relu", "0.1"): 2,
          ("tanh", "0.01"): 4, ("tanh", "0.03"): 3, ("tanh", "0.1"): 2}  # fmt: skip


def grid(seeds, folder=Path("sweep")):
    jobs = []
    for activation in ("relu", "tanh"):
        for lr in ("0.01", "0.03", "0.1"):
            for seed in seeds:
                words = [f"model.activation={activation}", f"recipe.optimizer.lr={lr}", f"seed={seed}", "experiment=x"]
                jobs.append(Job(len(jobs), words, "", folder / str(len(jobs)), {"seed": seed}))
    return jobs


def trained(jobs, folder):
    """What running these jobs leaves."""
    entries = []
    for job in jobs:
        activation, lr, seed = (word.partition("=")[2] for word in job.overrides[:3])
        epochs = EPOCHS[activation, lr]
        curve = [0.5] * (epochs - 1) + [0.1] * (5 - epochs)
        made_run(folder / str(job.number), seed=int(seed), train=curve, model__activation=activation,
                 error=0.01 * epochs + 1e-4 * int(seed), recipe__optimizer__lr=float(lr))  # fmt: skip
        entry = {"number": job.number, "folder": str(job.number), "overrides": job.overrides, "state": "finished"}
        entries.append(entry | chooses(job, SELECT))
    told = folder / "jobs.json"
    before = json.loads(told.read_text())["jobs"] if told.is_file() else []
    told.write_text(json.dumps({"jobs": before + entries}))


def test_other_seeds_compare_what_some_seeds_have_chosen(tmp_path, capsys):
    parts = in_two_parts(grid([0, 1, 2, 100, 101], tmp_path), SELECT, tmp_path)
    first = next(parts)
    assert {job.settings["seed"] for job in first} == {100, 101}
    assert len(first) == 12
    trained(first, tmp_path)
    rest = next(parts)
    assert [job.overrides[:3] for job in rest] == [
        [f"model.activation={activation}", f"recipe.optimizer.lr={lr}", f"seed={seed}"]
        for activation, lr in (("relu", "0.03"), ("tanh", "0.1"))
        for seed in range(3)
    ]
    assert "chosen for model.activation=relu experiment=x: recipe.optimizer.lr=0.03" in capsys.readouterr().err
    trained(rest, tmp_path)
    results = compare_runs(find([str(tmp_path)]).records, Measure("test/error"))
    assert [each.name for each in results.measured] == ["relu", "tanh"]
    assert {block for each in results.measured for block in each.readings} == {"seed 0", "seed 1", "seed 2"}
    assert results.chosen == (
        "model.activation=relu: lr=0.03 of 0.01, 0.03, 0.1",
        "model.activation=tanh: lr=0.1 of 0.01, 0.03, 0.1, the largest tried",
    )
    verdict = judge(results, "relu < tanh", None)
    assert verdict.sentence.endswith(
        "; not bracketed: model.activation=tanh: lr=0.1 of 0.01, 0.03, 0.1, the largest tried"
    )
    assert "Chosen on seeds of their own, which are not compared: model.activation=relu" in as_text(
        report_page(results, verdict)
    )


@pytest.mark.parametrize(
    ("select", "says"),
    [
        (Select("recipe.optimizer.lr", [7], "train/error<=0.15"), "must be some of the sweep's seeds, not all"),
        (Select("recipe.optimizer.lr", [0, 100], "train/error"), "must be some of the sweep's seeds, not all"),
        (Select("recipe.epochs", [100], "train/error<=0.15"), "the sweep does not go over it"),
        (Select("recipe.optimizer.lr", [100], "test/error"), "the test set decides nothing"),
    ],
)
def test_a_selection_that_cannot_be_made_is_refused_before_any_job(tmp_path, select, says):
    with pytest.raises(ValueError, match=says):
        next(in_two_parts(grid([0, 100], tmp_path), select, tmp_path))


def test_the_node_of_a_selection_is_checked_like_any_other():
    good = {"key": "recipe.optimizer.lr", "seeds": [100], "by": "val/error"}
    check({"select": good}, ProcessLauncher, "hydra.launcher")
    for bad in ({"key": "x", "seeds": [100]}, good | {"sed": 1}, good | {"seeds": "100"}):
        with pytest.raises(ValueError, match=r"hydra\.launcher\.select"):
            check({"select": bad}, ProcessLauncher, "hydra.launcher")


def test_a_grid_whose_best_number_lies_at_its_end_is_not_bracketed(tmp_path):
    for number, (lr, error) in enumerate(((0.01, 0.03), (0.03, 0.02), (0.1, 0.01))):
        for seed in range(3):
            made_run(tmp_path / f"{number}{seed}", seed=seed, error=error + 1e-4 * seed, recipe__optimizer__lr=lr)
    results = compare_runs(find([str(tmp_path)]).records, Measure("test/error"))
    assert results.not_bracketed == ("lr=0.1 (the largest tried)",)
    assert judge(results, None, None).sentence.endswith("; not bracketed: lr=0.1 (the largest tried)")
