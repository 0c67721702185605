"""Several seeds of one configuration as processes: the keys of a stack, run as a sweep."""

import json
from pathlib import Path

import pytest
import yaml
from as_typed import cnnlit
from runs.made_runs import made_config, made_run

from cnnlit.runs.records import find
from cnnlit.sweeps.jobs import Job
from cnnlit.sweeps.resources import most_at_once

ROOT = Path(__file__).parents[2]
WORDS = ("trainer=debug", "logger=none", "replicas=2", "seed=5", "replicas_as=processes")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two seeds of an experiment whose file holds a sweep of its own, which must be ignored."""
    folder = tmp_path_factory.mktemp("replicas")
    outcome = cnnlit(folder, "train", *WORDS, "experiment=pooling", "data=digits", "recipe.epochs=1")
    assert outcome.returncode == 0, outcome.stderr
    return outcome, next(folder.glob("runs/*/*"))


@pytest.mark.slow
def test_replicas_are_runs_of_consecutive_seeds(trained):
    outcome, folder = trained
    assert [line.split()[:3] for line in outcome.stdout.splitlines()[1:]] == [
        ["0", "seed=5", "finished"],
        ["1", "seed=6", "finished"],
    ]
    for number, seed in enumerate((5, 6)):
        settings = yaml.safe_load((folder / str(number) / "config.yaml").read_text())
        assert settings["seed"] == settings["data"]["seed"] == seed
        assert settings["replicas"] == 1
        assert settings["model"]["pooling"] == "max"
    runs = find([str(folder)])
    assert [record.seed for record in runs.records] == [5, 6]
    assert not runs.never_started


@pytest.mark.slow
def test_replicas_are_resumed_by_their_folder(trained):
    _, folder = trained
    (folder / "1" / "test.json").unlink()
    record = json.loads((folder / "1" / "run.json").read_text())
    (folder / "1" / "run.json").write_text(json.dumps({**record, "state": "interrupted"}))
    outcome = cnnlit(folder, "train", f"resume={folder}")
    assert outcome.returncode == 0, outcome.stderr
    assert "job 0 was finished before" in outcome.stderr
    assert "job 1 goes on" in outcome.stderr
    assert (folder / "1" / "test.json").is_file()
    refused = cnnlit(folder, "train", f"resume={folder}", "seed=7")
    assert refused.returncode == 2
    assert "leave out seed=7" in refused.stderr


def made_replicas(folder, *, states):
    """A job of a sweep whose runs ended in these states."""
    for number, state in enumerate(states):
        if state:
            made_run(folder / str(number), seed=4 + number, error=0.01 * (1 + number), state=state, replicas=1,
                     reason="it diverged" if state == "failed" else None)  # fmt: skip
    settings = {**made_config(4), "replicas": len(states), "replicas_as": "auto", "resume": None}
    del settings["run_root"]
    for number in range(len(states)):
        file = folder / str(number) / "config.yaml"
        if file.is_file():
            before = yaml.safe_load(file.read_text())
            file.write_text(yaml.safe_dump({key: value for key, value in before.items() if key != "run_root"}))
    return Job(0, ["replicas=2"], "replicas=2", folder, settings)


def test_the_result_of_a_job_with_replicas_is_their_mean(tmp_path):
    job = made_replicas(tmp_path, states=["finished", "finished"])
    assert job.arguments() is None
    assert job.read()
    assert job.test_error == pytest.approx(0.015)
    assert job.result == "test error 1.50%, means of 2"


@pytest.mark.parametrize("states", [["finished", "interrupted"], ["finished", "failed"], ["finished", None]])
def test_a_job_is_resumed_until_every_replica_is_finished(tmp_path, states):
    job = made_replicas(tmp_path, states=states)
    assert job.arguments() == [f"resume={tmp_path}"]
    assert not job.read()
    assert job.failure() == ("it diverged" if "failed" in states else None)


def test_a_job_with_replicas_of_another_configuration_is_refused(tmp_path):
    job = made_replicas(tmp_path, states=["finished", "finished"])
    job.settings["model"]["pooling"] = "average"
    with pytest.raises(ValueError, match=r"model.pooling=max, where this job has average"):
        job.arguments()


def test_as_many_replicas_run_at_once_as_can_have_a_device_each():
    cores = list(range(8))
    assert most_at_once({"accelerator": "cpu", "devices": 1}, ["0", "1"], cores) == 8
    assert most_at_once({"accelerator": "auto", "devices": 1}, ["0", "1"], cores) == 2
    assert most_at_once({"accelerator": "auto", "devices": 4}, [], cores) == 2
    assert most_at_once({"accelerator": "auto", "devices": 2}, ["0"], cores) == 1


@pytest.mark.slow
def test_arms_times_seeds_are_one_report(tmp_path):
    words = [*WORDS, "model.pooling=max,average", "hydra.sweep.dir=sweep", "recipe.epochs=1"]
    outcome = cnnlit(tmp_path, "train", "-m", *words)
    assert outcome.returncode == 0, outcome.stderr
    runs = find([str(tmp_path / "sweep")])
    assert [record.name for record in runs.records] == ["0/0", "0/1", "1/0", "1/1"]
    jobs = json.loads((tmp_path / "sweep" / "jobs.json").read_text())["jobs"]
    assert [job["state"] for job in jobs] == ["finished", "finished"]
    again = cnnlit(tmp_path, "train", "-m", *words)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("was finished before") == 2
