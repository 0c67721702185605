"""Sweeps of other launchers keep jobs.json too: here of Hydra's own, one job after the other in this process."""

import multiprocessing
from functools import partial

from cnnlit.files import write_json
from cnnlit.runs.records import find
from cnnlit.runs.sweep_folder import read_jobs
from cnnlit.sweeps.jobs import Job
from cnnlit.sweeps.other_launchers import keep_jobs

BASIC = ("hydra/launcher=basic", "hydra.sweep.dir=mine")


def test_jobs_that_never_start_are_named_in_hydras_order(sweep, tmp_path):
    """Also where the sweep is in an experiment's file: the command line takes its place, key by key."""
    code, _, err = sweep(*BASIC, "experiment=pooling", "seed=choice(0,17)", "+trainer.x=[1,2]")
    assert code == 130, err
    expected = [
        [f"model.pooling={pooling}", f"seed={seed}", "experiment=pooling", "+trainer.x=[1,2]"]
        for pooling in ("max", "average")
        for seed in (0, 17)
    ]
    jobs = read_jobs(tmp_path / "mine")
    assert [job["overrides"] for job in jobs] == expected
    assert [job["folder"] for job in jobs] == ["0", "1", "2", "3"]
    assert [job["state"] for job in jobs] == ["finished", "interrupted", "not started", "not started"]
    assert jobs[0]["test_error"] == 0.25
    found = find([str(tmp_path / "mine")])
    assert found.records[0].overrides == (*expected[0][:3], "trainer.x=[1,2]")
    assert found.never_started[-1] == "job 3 of mine: model.pooling=average seed=17 experiment=pooling trainer.x=[1,2]"


def test_a_failed_job_is_reported_and_the_others_run(sweep, tmp_path):
    code, _, err = sweep(*BASIC, "seed=1,13,2")
    assert code == 1
    assert "job 1 failed: an unlucky number; seed=13; log: " in err
    assert [(job["state"], job["reason"]) for job in read_jobs(tmp_path / "mine")] == [
        ("finished", ""),
        ("failed", "an unlucky number"),
        ("finished", ""),
    ]


def test_jobs_that_cannot_be_known_beforehand_are_named_once_they_begin(sweep, tmp_path):
    assert sweep(*BASIC, "seed=shuffle(1,2)")[0] == 0
    jobs = read_jobs(tmp_path / "mine")
    assert sorted(job["overrides"] for job in jobs) == [["seed=1"], ["seed=2"]]
    assert sweep(*BASIC, "seed=3,4", "hydra.sweep.subdir=seed_${seed}")[0] == 0
    assert [job["folder"] for job in read_jobs(tmp_path / "mine")] == ["0", "seed_3", "1", "seed_4"]


def test_a_later_command_names_its_own_jobs_and_keeps_those_that_began(sweep, tmp_path):
    began = {"folder": "0", "number": 0, "overrides": ["seed=5"], "state": "finished"}
    never = {"folder": "9", "number": 9, "overrides": ["seed=9"], "state": "not started"}
    (tmp_path / "mine").mkdir()
    write_json(tmp_path / "mine" / "jobs.json", {"jobs": [began, never]})
    assert sweep(*BASIC, "seed=17,0,1")[0] == 130
    assert [(job["overrides"], job["state"]) for job in read_jobs(tmp_path / "mine")] == [
        (["seed=17"], "interrupted"),
        (["seed=0"], "not started"),
        (["seed=1"], "not started"),
    ]


def _keep(sweep, own, total):
    """What the process of one job does again and again: all other jobs have not started, as far as it knows."""
    for number in own:
        states = ["finished" if each == number else "not started" for each in range(total)]
        keep_jobs(sweep, [Job(each, [], "", sweep / str(each), {}, state) for each, state in enumerate(states)])


def test_jobs_that_end_at_the_same_moment_are_all_kept(tmp_path):
    workers, each = 8, 6
    total = workers * each
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        pool.map(partial(_keep, tmp_path, total=total), [range(first, total, workers) for first in range(workers)], 1)
    assert [(job["number"], job["state"]) for job in read_jobs(tmp_path)] == [(n, "finished") for n in range(total)]
