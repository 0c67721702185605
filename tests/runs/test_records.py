"""Runs are found wherever they are, and none is dropped because something is wrong with it."""

import json
import math

import pytest
import yaml
from runs.made_runs import made_run

from cnnlit.runs.records import find


def sweep(folder, *overrides):
    """The jobs.json of a sweep, with a job for each list of overrides."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [{"folder": str(number), "overrides": each} for number, each in enumerate(overrides)]
    (folder / "jobs.json").write_text(json.dumps({"jobs": jobs}))


def test_runs_are_found_at_any_depth(tmp_path):
    for place in ("a/0", "a/1", "b/c/d/0", "b/run"):
        made_run(tmp_path / place)
    (tmp_path / "a" / "0" / "checkpoints" / "x").mkdir(parents=True)
    (tmp_path / "a" / "0" / "checkpoints" / "x" / "run.json").write_text("{}")
    found = find([str(tmp_path)])
    assert [record.place.removeprefix(f"{tmp_path}/") for record in found.records] == ["a/0", "a/1", "b/c/d/0", "b/run"]
    assert found.folder == tmp_path
    both = find([str(tmp_path / "a"), str(tmp_path / "*" / "r*")])
    assert len(both.records) == 3
    assert len(find([str(tmp_path / "a"), str(tmp_path / "a" / "0")]).records) == 2
    assert find([str(tmp_path / "a" / "0")]).folder == tmp_path / "a"


def test_a_run_is_read_back_completely(tmp_path):
    made_run(tmp_path / "0", seed=7, error=0.25, train=(0.5, 0.25), picture=b"png")
    (record,) = find([str(tmp_path)]).records
    assert (record.state, record.seed, record.reason, record.seconds) == ("finished", 7, "", 10.0)
    assert record.test["test/error"] == 0.25
    assert record.config["model"]["pooling"] == "max"
    assert record.curves[0] == {"epoch": 0, "step": 99, "seconds": 1, "train/error": 0.5, "train/loss": 5}
    assert record.curves[1]["val/error"] == 0.125
    assert record.picture("errors").read_bytes() == b"png"
    assert record.picture("filters") is None


def test_a_run_that_did_not_finish_says_how_and_why(tmp_path):
    made_run(tmp_path / "0", state="failed", reason="RuntimeError: out of luck")
    made_run(tmp_path / "1", state="interrupted")
    made_run(tmp_path / "2", state="running")
    made_run(tmp_path / "3")
    (tmp_path / "3" / "test.json").unlink()
    (tmp_path / "4").mkdir()
    (tmp_path / "4" / "run.json").touch()  # killed while it claimed its folder
    made_run(tmp_path / "5")
    (tmp_path / "5" / "config.yaml").write_text("a: [")
    states = [(record.state, record.reason) for record in find([str(tmp_path)]).records]
    assert states[0] == ("failed", "RuntimeError: out of luck")
    assert states[1:3] == [("interrupted", ""), ("running", "")]
    assert states[3] == ("finished", "test.json cannot be read (FileNotFoundError)")
    assert states[4] == ("failed", "cut off before it was written down")
    assert states[5][0] == "failed"
    assert "expected" in states[5][1]
    assert len(states) == 6


def test_jobs_of_a_sweep_know_what_was_chosen_for_them_and_those_that_never_started_are_named(tmp_path):
    sweep(tmp_path / "s", ["model.pooling=max", "seed=0"], ["model.pooling=average", "seed=0"], ["+a.b=1", "seed=1"])
    made_run(tmp_path / "s" / "0", command="python -m cnnlit.train seed=7")
    made_run(tmp_path / "s" / "1")
    found = find([str(tmp_path)])
    assert found.records[0].overrides == ("model.pooling=max", "seed=0")
    assert found.records[1].overrides == ("model.pooling=average", "seed=0")
    assert found.never_started == ["job 2 of s: a.b=1 seed=1"]


def test_jobs_of_a_sweep_without_jobs_json_know_their_own_commands(tmp_path):
    """As 0.1.0 left them under other launchers."""
    (tmp_path / "multirun.yaml").write_text(yaml.safe_dump({"hydra": {"overrides": {"task": ["seed=0,1"]}}}))
    for seed in (0, 1):
        command = f"python -m cnnlit.train model=resnet18 'model.blocks=[1,2]' seed={seed} hydra.run.dir=s/{seed}"
        made_run(tmp_path / str(seed), command=command)
    found = find([str(tmp_path)])
    assert found.records[1].overrides == ("model=resnet18", "model.blocks=[1,2]", "seed=1")
    assert not found.never_started


def test_a_single_run_knows_its_command(tmp_path):
    made_run(tmp_path / "0", command="python -m cnnlit.train model=vgg11 'a.b=x y' hydra.run.dir=here")
    assert find([str(tmp_path)]).records[0].overrides == ("model=vgg11", "a.b=x y")


def test_a_place_without_runs_is_refused(tmp_path):
    with pytest.raises(ValueError, match="runs=nowhere: there is no such folder"):
        find(["nowhere"])
    with pytest.raises(ValueError, match=r"there is no run.json in it or below"):
        find([str(tmp_path)])


def test_a_diverged_run_has_its_nan(tmp_path):
    made_run(tmp_path / "1")
    (tmp_path / "1" / "test.json").write_text(json.dumps({"test/error": float("nan")}))
    assert math.isnan(find([str(tmp_path)]).records[0].test["test/error"])
