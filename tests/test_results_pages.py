"""docs/results.py: the pages of results, from sweeps that nobody trained."""

import importlib.util
import itertools
import json
import lzma
import re
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from runs.made_runs import made_run

ROOT = Path(__file__).parents[1]
EXPERIMENTS = sorted(path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml"))
REPORTED = [name for name in EXPERIMENTS if "# Report:" in (ROOT / "conf" / "experiment" / f"{name}.yaml").read_text()]


def script(name):
    """A script of docs/ as a module."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages():
    return script("results")


@pytest.fixture
def docs(tmp_path, pages, monkeypatch):
    """A docs/ folder of its own for the script to write to."""
    folder = tmp_path / "docs"
    (folder / "results").mkdir(parents=True)
    (folder / "claims.md").write_text((ROOT / "docs" / "claims.md").read_text())
    (folder / "results" / "by_hand.md").write_text("# Kept by hand\n")
    monkeypatch.setattr(pages, "DOCS", folder)
    monkeypatch.setattr(pages, "KEPT", folder / "results" / "kept")
    return folder


def made_sweep(folder, arms, *, words=(), failed=()):
    """A sweep as Hydra leaves it; a key of `arms` is an arm's changes of the configuration."""
    number = 0
    for changes, errors in arms:
        for seed, error in enumerate(errors):
            made_run(
                folder / str(number),
                seed=seed,
                error=error,
                state="failed" if number in failed else "finished",
                reason=f"No space left in {folder}" if number in failed else None,
                **changes,
            )
            number += 1
    task = [f"experiment={folder.name}", *words]
    sweep = {"sweeper": {"_target_": "x.BasicSweeper", "params": {}}, "overrides": {"task": task}}
    (folder / "multirun.yaml").write_text(yaml.safe_dump({"hydra": sweep}))


POOLING = [
    ({"model__pooling": "max"}, (0.0100, 0.0101, 0.0103, 0.0104, 0.0099)),
    ({"model__pooling": "average"}, (0.0120, 0.0118, 0.0125, 0.0121, 0.0123)),
]


def written(pages, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["results.py", *map(str, arguments)])
    return pages.main()


def test_a_sweep_becomes_a_page_that_says_all_and_a_row_of_the_overview(pages, docs, tmp_path, monkeypatch):
    made_sweep(tmp_path / "sweeps" / "pooling", POOLING, words=["data.root=/home/me/mnist", "seed=range(0,5)"])
    assert written(pages, monkeypatch, tmp_path / "sweeps") == 0
    page = (docs / "results" / "pooling.md").read_text()
    for part in (
        "Question: does max-pooling work better than average-pooling?",
        "python -m cnnlit.train -m experiment=pooling 'data.root=<folder>' 'seed=range(0,5)'",  # as a shell takes it
        "max < average holds: 1.01 % against 1.21 %",
        "| max | 5 | 1.01 % | [0.99, 1.04] % |",
        "| max \N{MINUS SIGN} average | 5 | \N{MINUS SIGN}0.20 pp |",
        "10 of 10 runs counted, 100 s in all. Hardware: cpu: made up. Commit: cccccccccccc. Versions: torch 2.15.0.",
    ):
        assert part in page
    row = (docs / "results.md").read_text().split("| 5 | does max-pooling", 1)[1].splitlines()[0]
    assert (
        "`max < average` | max: 1.01 % [0.99, 1.04] %<br>average: 1.21 % [1.18, 1.25] % | 5 | **holds** | 100 s |"
        in row
    )


def test_no_place_of_this_machine_is_told(pages, docs, tmp_path, monkeypatch):
    made_sweep(tmp_path / "sweeps" / "pooling", POOLING, words=[f"data.root={tmp_path}"], failed=[3])
    written(pages, monkeypatch, tmp_path / "sweeps")
    for path in docs.rglob("*"):
        if path.is_file():
            content = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
            assert str(tmp_path).encode() not in content, path


def test_failures_are_shown_and_change_the_counts(pages, docs, tmp_path, monkeypatch):
    made_sweep(tmp_path / "sweeps" / "pooling", POOLING, failed=[3])
    written(pages, monkeypatch, tmp_path / "sweeps")
    assert (
        "| max | 3 | failed | No space left in pooling | pooling/3 |" in (docs / "results" / "pooling.md").read_text()
    )
    overview = (docs / "results.md").read_text()
    assert "**holds**; not counted: 1 |" in overview
    assert "| 4, 5 |" in overview


def test_jobs_that_never_ran_are_told(pages, docs, tmp_path, monkeypatch):
    made_sweep(tmp_path / "sweeps" / "pooling", [POOLING[0], ({"model__pooling": "average"}, POOLING[1][1][:4])])
    written(pages, monkeypatch, tmp_path / "sweeps")
    assert "Missing: average: no run with seed 4." in (docs / "results" / "pooling.md").read_text()
    assert "**holds**; some runs are missing |" in (docs / "results.md").read_text()


@pytest.mark.parametrize(
    ("errors", "outcome"),
    [((0.0050, 0.0051, 0.0049, 0.0052, 0.0050), "holds"), ((0.0060, 0.0061, 0.0059), "does not hold")],
)
def test_an_experiment_of_one_arm_is_held_against_its_bound(pages, docs, tmp_path, monkeypatch, errors, outcome):
    made_sweep(tmp_path / "sweeps" / "lenet5_modern", [({}, errors)], words=["seed=0,1,2"])
    assert written(pages, monkeypatch, tmp_path / "sweeps") == 0
    assert f"`LeNet5 < 0.55%` | LeNet5: 0.{errors[0] * 1e4:.0f} %" in (docs / "results.md").read_text()
    assert f"LeNet5 < 0.55% {outcome}: " in (docs / "results" / "lenet5_modern.md").read_text()


def test_several_reports_on_a_sweep_are_several_rows(pages, docs, tmp_path, monkeypatch):
    arms = [
        ({"model__head": head, "model__c3": c3, "model__pooling": pooling}, (0.01, 0.011))
        for head in ("rbf", "linear")
        for c3 in ("table", "full")
        for pooling in ("subsample", "max")
    ]
    made_sweep(tmp_path / "sweeps" / "lenet5_choices", arms)
    assert written(pages, monkeypatch, tmp_path / "sweeps") == 0
    overview = (docs / "results.md").read_text()
    for claim in ("rbf < linear", "table < full", "subsample < max"):
        assert overview.count(f"`{claim}`") == 1
    assert overview.count("which of LeNet-5's choices matter") == 1


def test_results_of_another_time_stay_in_the_overview(pages, docs, tmp_path, monkeypatch):
    made_sweep(tmp_path / "one" / "pooling", POOLING)
    made_sweep(tmp_path / "two" / "lenet5", [({}, (0.009, 0.0091))])
    written(pages, monkeypatch, tmp_path / "one")
    written(pages, monkeypatch, tmp_path / "two")
    overview = (docs / "results.md").read_text()
    assert overview.index("(results/lenet5.md)") < overview.index("(results/pooling.md)"), "as in claims.md"
    assert "- [Kept by hand](results/by_hand.md)" in overview
    written(pages, monkeypatch)
    assert (docs / "results.md").read_text() == overview


def test_a_sweep_that_cannot_be_told_is_named_and_the_others_are_told(pages, docs, tmp_path, monkeypatch, capsys):
    made_sweep(tmp_path / "sweeps" / "poling", POOLING)
    made_sweep(tmp_path / "sweeps" / "lenet5", [({}, (0.009, 0.0091))], failed=[0, 1])
    made_sweep(tmp_path / "sweeps" / "pooling", POOLING)
    assert written(pages, monkeypatch, tmp_path / "sweeps") == 2
    assert sorted(path.name for path in (docs / "results").glob("*.json")) == ["pooling.json"]
    said = capsys.readouterr().err
    assert "there is no experiment poling" in said
    assert "none of 2 is finished: failed" in said


@pytest.mark.parametrize("name", REPORTED)
def test_the_head_of_an_experiment_can_be_read(pages, name):
    head = pages.read_head(name)
    assert head.question.endswith(("?", "."))
    assert len(head.source) > 10
    for line in head.reports:
        assert set(pages.options_of(line)) <= {"metric", "target", "by", "claim", "smallest_difference", "forms_tried"}


def test_the_overview_is_that_of_the_results_that_are_there(pages):
    assert (ROOT / "docs" / "results.md").read_text() == pages.overview(ROOT / "docs"), "python docs/results.py"
    for path in (ROOT / "docs" / "results").glob("*.json"):
        assert json.loads(path.read_text())["experiment"] == path.stem
        assert not re.search(r'"/\w', path.read_text()), "a place of some machine"


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_planned_seeds_of_an_experiment_are_those_that_it_sweeps_over(name):
    """What is planned is judged at 5 %: the head says how many, and the sweep trains as many."""
    text = (ROOT / "conf" / "experiment" / f"{name}.yaml").read_text()
    node = yaml.safe_load(text)
    seeds = node.get("hydra", {}).get("sweeper", {}).get("params", {}).get("seed")
    told = re.search(r"^# Seeds: (\d+) of each arm are planned", text, re.MULTILINE)
    if seeds is None and "replicas" not in node:
        assert told is None
        return
    span = re.fullmatch(r"range\((\d+),(\d+)\)", str(seeds))
    number = int(span[2]) - int(span[1]) if span else len(str(seeds).split(",")) if seeds else node["replicas"]
    assert told
    assert int(told[1]) == number


KEPT = sorted((ROOT / "docs" / "results" / "kept").glob("*.tar.xz"))


def test_every_result_is_computed_again_from_what_is_kept_to_the_same_digits(pages, docs, monkeypatch):
    monkeypatch.setattr(pages, "KEPT", ROOT / "docs" / "results" / "kept")
    assert written(pages, monkeypatch) == 0
    there = {path.name.removesuffix(".tar.xz") for path in KEPT}
    assert there == {path.stem for path in (ROOT / "docs" / "results").glob("*.json")}
    for name in there:
        for page in (f"{name}.md", f"{name}.json"):
            made = (docs / "results" / page).read_text()
            assert made == (ROOT / "docs" / "results" / page).read_text(), f"{page}: python docs/results.py"


def test_what_is_kept_is_small_and_names_no_place_of_a_machine():
    assert sum(path.stat().st_size for path in KEPT) < 8e6
    for archive in KEPT:
        with tarfile.open(archive) as tar:
            for member in tar:
                text = tar.extractfile(member).read().decode()
                assert not re.search(r"(?<![\w.])/(root|home|tmp|work|mnt)/", text), f"{archive.name}: {member.name}"
                assert '"host"' not in text


def test_a_kept_sweep_says_what_the_sweep_says(pages, docs, tmp_path, monkeypatch):
    """Answers of every run are kept, and the same sweep is the same file."""
    wrong = np.random.default_rng(0).random((2, 3, 400)) < 0.1
    sweep = tmp_path / "sweeps" / "pooling"
    for number, (pooling, seed) in enumerate(itertools.product(("max", "average"), range(3))):
        row = wrong[number // 3, seed]
        made_run(sweep / str(number), seed=seed, error=row.mean(), num_images=400, wrong=row, model__pooling=pooling,
                 data__root=str(tmp_path))  # fmt: skip
    note = {"sweeper": {"_target_": "x.BasicSweeper", "params": {}}, "overrides": {"task": []}}
    (sweep / "multirun.yaml").write_text(yaml.safe_dump({"hydra": note}))
    assert written(pages, monkeypatch, tmp_path / "sweeps") == 0
    page = (docs / "results" / "pooling.json").read_text()
    assert '"num_images": 400' in page
    archive = docs / "results" / "kept" / "pooling.tar.xz"
    first = archive.read_bytes()
    pages.keep(sweep, archive)
    assert archive.read_bytes() == first
    assert written(pages, monkeypatch) == 0
    assert (docs / "results" / "pooling.json").read_text() == page


def test_the_table_of_claims_says_what_the_results_say(pages):
    """The status of a claim is written by hand, for it says more than a word; the word is that of the report."""
    rows = [line for line in (ROOT / "docs" / "claims.md").read_text().splitlines() if line.startswith("| ")]
    answered = 0
    for row in rows:
        *_, small_form, _, _, status = (cell.strip() for cell in row.strip("| ").split(" | "))
        for name in re.findall(r"experiment=(\w+)", small_form):
            path = ROOT / "docs" / "results" / f"{name}.json"
            if path.is_file():
                outcome = json.loads(path.read_text())["reports"][0]["verdict"]["outcome"]
                assert "not measured" not in status, row
                assert outcome in status or outcome in pages.OUTCOMES, row
                answered += 1
    assert answered > 5


def test_the_page_of_counts_is_what_the_commands_say():
    counts = script("counts")
    asked = counts.read_counts((ROOT / "docs" / "claims.md").read_text())
    assert [each.number for each in asked] == ["1", "8", "9", "13", "14", "15", "17"]
    assert (ROOT / "docs" / "counts.md").read_text() == counts.page(asked), "python docs/counts.py"
