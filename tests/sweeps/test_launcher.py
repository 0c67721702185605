"""Sweeps through Hydra: in this process with a script in place of the training, and as a user types them."""

import importlib.util
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from cnnlit.files import write_json
from cnnlit.runs.reading import read
from cnnlit.runs.records import find
from cnnlit.runs.sweep_folder import places, read_jobs

ROOT = Path(__file__).parents[2]

KEEPS_CONFIGURATION = """
import hydra, yaml
from omegaconf import OmegaConf
from cnnlit.config import conf_dir
from cnnlit.config.hydra_internals import DEFAULTS
from cnnlit.sweeps.jobs import NOT_KEPT

with hydra.initialize_config_dir(str(conf_dir()), **DEFAULTS):
    words = [word for word in sys.argv[1:] if not word.startswith("hydra.run.dir")]
    config = OmegaConf.to_container(hydra.compose("train", words), resolve=True)
kept = {key: value for key, value in config.items() if key not in NOT_KEPT}
(folder / "config.yaml").write_text(yaml.safe_dump(kept))
"""


def jobs(folder):
    """The jobs in jobs.json of the only sweep below a folder."""
    (file,) = folder.glob("multirun/*/*/jobs.json")
    return json.loads(file.read_text())["jobs"]


def test_a_sweep_runs_each_job_in_its_folder_and_ends_with_a_table(sweep, tmp_path):
    code, out, err = sweep("model.dropout=0.125,0.25", "recipe.epochs=3", "hydra.launcher.jobs=2")
    assert code == 0
    (folder,) = tmp_path.glob("multirun/*/*")
    assert (folder / "0" / "run.json").is_file()
    assert "sweep of 2 jobs, 2 at once" in err
    header, *rows = out.splitlines()
    assert header.split() == ["job", "state", "val", "error", "test", "error", "seconds", "folder"]
    assert [row.split()[:5] for row in rows] == [
        ["0", "model.dropout=0.125", "finished", "12.50%", "25.00%"],
        ["1", "model.dropout=0.25", "finished", "25.00%", "25.00%"],
    ]
    arguments = json.loads((folder / "1" / "run.json").read_text())["arguments"]
    assert arguments == ["model.dropout=0.25", "recipe.epochs=3", f"hydra.run.dir={folder.relative_to(tmp_path)}/1"]


def test_a_failed_job_is_reported_with_the_command_that_goes_on(sweep, tmp_path):
    code, out, err = sweep("seed=1,13,2")
    assert code == 1
    assert "job 1 failed" in err
    assert [each["state"] for each in jobs(tmp_path)] == ["finished", "failed", "finished"]
    assert "failed: an unlucky number" in out.splitlines()[2]
    (line,) = [each for each in err.splitlines() if "to go on" in each]
    (folder,) = tmp_path.glob("multirun/*/*")
    again = shlex.split(line.partition(": ")[2])
    assert again == ["python", "-m", "cnnlit.train", "-m", "seed=1,13,2",
                     f"hydra.sweep.dir={folder.relative_to(tmp_path)}"]  # fmt: skip
    code, _, _ = sweep("seed=1,13,2", "hydra.launcher.on_error=stop", "hydra.sweep.dir=other")
    assert code == 1
    assert sorted(path.name for path in (tmp_path / "other").glob("[!.]*")) == ["0", "1", "jobs.json", "multirun.yaml"]


def test_an_experiments_file_may_hold_a_sweep_which_the_command_line_changes(sweep, tmp_path):
    code, _, err = sweep("experiment=pooling", "seed=0,1")
    assert code == 0
    assert "sweep of 4 jobs" in err
    assert [each["overrides"] for each in jobs(tmp_path)] == [
        [f"model.pooling={pooling}", f"seed={seed}", "experiment=pooling"]
        for pooling in ("max", "average")
        for seed in (0, 1)
    ]


def test_a_sweep_is_given_more_seeds_and_arms_in_its_folder(sweep, tmp_path):
    script = tmp_path / "stub.py"
    script.write_text(script.read_text() + KEEPS_CONFIGURATION)
    words = ("hydra.sweep.dir=mine", "recipe.epochs=3")
    assert sweep("model.pooling=max,average", "seed=0,1", *words)[0] == 0
    code, out, err = sweep("model.pooling=max,average", "seed=0,1,2", *words)
    assert code == 0, err
    assert [line.split(":")[0] for line in err.splitlines()[1:5]] == [f"job {n} was finished before" for n in range(4)]
    rows = [row.split()[:3] for row in out.splitlines()[1:]]
    assert rows == [[number, f"model.pooling={pooling}", f"seed={seed}"]
                    for pooling, numbers in (("max", "014"), ("average", "235"))
                    for seed, number in enumerate(numbers)]  # fmt: skip
    # Jobs that the command leaves out stay; it adds a third arm, with one seed.
    assert sweep("model.pooling=max,subsample", "seed=2", *words)[0] == 0
    told = read_jobs(tmp_path / "mine")
    assert [job["number"] for job in told] == list(range(7))
    assert {job["state"] for job in told} == {"finished"}
    assert [job["look"] for job in told] == [1, 1, 1, 1, 2, 2, 3], "what a later command adds is for a later look"
    for job in told:
        made = yaml.safe_load((tmp_path / "mine" / job["folder"] / "config.yaml").read_text())
        assert job["overrides"][:2] == [f"model.pooling={made['model']['pooling']}", f"seed={made['seed']}"]
    found = find([str(tmp_path / "mine")])
    assert [record.overrides for record in found.records] == [tuple(job["overrides"]) for job in told]
    assert not found.never_started
    # A job that never began is dropped by a command that does not name it.
    left = [{**told[0], "folder": "9", "number": 9, "state": "not started"}]
    write_json(tmp_path / "mine" / "jobs.json", {"jobs": told + left})
    assert sweep("model.pooling=max,subsample", "seed=2", *words)[0] == 0
    assert read_jobs(tmp_path / "mine") == told
    assert places(tmp_path / "mine")["0"] == (1, 1, None), "that plans were cut short is noted"
    # A sweep that shares no job with the folder is a different one, and must not mix with it.
    code, _, err = sweep("model.pooling=max,average", "seed=0,1", "hydra.sweep.dir=mine", "recipe.epochs=4")
    assert code == 2
    assert "mine/0 holds a run with recipe.epochs=3, where this job has 4" in err
    assert read_jobs(tmp_path / "mine") == told


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["model.poling=max,average"], "did you mean model.pooling?"),
        (["model.pooling=max,maxx"], "model.pooling=maxx: must be one of max, average, subsample"),
        (["model=lenet5,resnet99"], "model=resnet99"),
        (["seed=0,0"], "jobs 0 and 1 are the same run: seed=0"),
        (["seed=range(0,0)"], "nothing to sweep"),
        (["seed=0,1", "hydra.sweep.subdir=mine"], "jobs 0 and 1 would share"),
        (["resume=one,two"], "hydra.sweep.dir"),
        (["seed=0,2", "replicas=3"], "jobs 0 and 1 are the same run: seed=2 replicas=3"),
        (["seed=0,1", "hydra.launcher.jobs=0"], "hydra.launcher.jobs=0: must be greater than or equal to 1"),
        (["seed=0,1", "hydra.launcher.on_error=stopp"], "did you mean stop?"),
        (["seed=0,1", "hydra/launcher=process"], "did you mean processes?"),
    ],
)
def test_a_wrong_sweep_is_one_line_before_any_job(sweep, tmp_path, words, says):
    code, out, err = sweep(*words)
    assert code == 2
    assert says in err
    assert err.startswith("cnnlit: ")
    assert err.count("\n") == 1
    assert not out
    assert not list(tmp_path.glob("multirun/*/*/0"))


HOLDS = """
import sys
from pathlib import Path
from cnnlit.files import Lock

lock = Lock(Path(sys.argv[1]))
print(lock.take(), flush=True)
input()
"""


def test_two_processes_do_not_run_one_sweep(sweep, tmp_path):
    (tmp_path / "taken").mkdir()
    line = [sys.executable, "-c", HOLDS, str(tmp_path / "taken")]
    other = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"True\n"
    code, _, err = sweep("seed=0,1", "hydra.sweep.dir=taken")
    other.communicate(b"\n", timeout=10)
    assert code == 2
    assert "another process runs this sweep" in err


def test_hyphens_before_an_override_are_dropped(sweep, tmp_path):
    code, _, _ = sweep("--seed=1,2", "--model.dropout=0.5")
    assert code == 0
    assert [each["overrides"] for each in jobs(tmp_path)] == [["seed=1", "model.dropout=0.5"],
                                                              ["seed=2", "model.dropout=0.5"]]  # fmt: skip


@pytest.mark.slow
def test_a_search_comes_close_and_repeats_the_same_trials_when_it_goes_on(sweep, tmp_path):
    """The script's validation error is the dropout rate; two trials run at once."""
    pytest.importorskip("optuna")
    words = ("hydra/sweeper=optuna", "hydra.sweeper.trials=10", "hydra.launcher.jobs=2", "recipe.epochs=2",
             "model.dropout=interval(0.1,0.9)", "model.pooling=max,average", "hydra.sweep.dir=mine")  # fmt: skip
    code, out, _ = sweep(*words)
    assert code == 0
    made = json.loads((tmp_path / "mine/jobs.json").read_text())["jobs"]
    assert len(made) == 10
    best = min(made, key=lambda job: job["val_error"])
    assert best["val_error"] < 0.25
    assert f"best: job {best['number']}" in out
    assert all("recipe.epochs=2" in job["overrides"] for job in made)
    assert {job["overrides"][1] for job in made} == {"model.pooling=max", "model.pooling=average"}
    assert sweep(*words)[0] == 0  # the script writes no config.yaml, so every trial runs again
    assert [job["overrides"] for job in json.loads((tmp_path / "mine/jobs.json").read_text())["jobs"]] == [
        job["overrides"] for job in made
    ]


def test_a_search_of_nothing_or_of_an_unknown_key_is_one_line(sweep):
    pytest.importorskip("optuna")
    for word, says in (("seed=1", "nothing to search"), ("model.poling=max,average", "did you mean model.pooling?")):
        code, _, err = sweep("hydra/sweeper=optuna", word)
        assert code == 2
        assert says in err
        assert err.count("\n") == 1


# As a user types them.

SHORT = ("recipe.epochs=1", "data.passes_per_epoch=1", "logger=csv", "trainer.accelerator=cpu")

BREAKS = """
from cnnlit.models.lenet5 import LeNet5

class Breaks(LeNet5):
    steps = 0

    def forward(self, images):
        self.steps += self.training
        if self.steps == 5:
            raise RuntimeError("the fifth step")
        return super().forward(images)
"""


def typed(*words, module="cnnlit.train"):
    return [sys.executable, "-m", module, *words]


def environment(folder):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "CNNLIT", "HYDRA"))}
    return {**clean, "PYTHONPATH": f"{ROOT}:{folder}", "OMP_NUM_THREADS": "1"}


def run(folder, *words, timeout=900):
    return subprocess.run(
        typed(*words), cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=timeout
    )


def test_a_refused_sweep_leaves_nothing_behind_and_loads_nothing_heavy(tmp_path):
    script = (
        "import sys, atexit; atexit.register(lambda: print('heavy:', 'torch' in sys.modules));"
        "sys.argv = ['train.py', '-m', 'model.poling=max,average']; from cnnlit.train import main; main()"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True
    )
    assert outcome.returncode == 2
    assert outcome.stdout == "heavy: False\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_jobs_may_differ_in_their_number_of_devices_and_one_may_fail(tmp_path):
    """The experiments' files are the user's own, found through --config-dir."""
    (tmp_path / "breaks.py").write_text(BREAKS)
    own = tmp_path / "own" / "experiment"
    own.mkdir(parents=True)
    for name, content in (
        ("one", "trainer: {devices: 1}"),
        ("broken", "trainer: {devices: 2}\nmodel: {_target_: breaks.Breaks}"),
        ("two", "trainer: {devices: 2}"),
    ):
        (own / f"{name}.yaml").write_text(f"# @package _global_\n{content}\n")
    words = ("-m", "--config-dir", "own", "experiment=one,broken,two", "trainer.strategy=ddp", *SHORT)
    outcome = run(tmp_path, *words)
    assert outcome.returncode == 1, outcome.stderr
    (folder,) = tmp_path.glob("multirun/*/*")
    states = [each["state"] for each in jobs(tmp_path)]
    assert states == ["finished", "failed", "finished"]
    assert [read(folder / str(number))["state"] for number in (0, 2)] == ["finished", "finished"]
    assert read(folder / "1")["state"] in ("failed", "interrupted")
    assert "the fifth step" in jobs(tmp_path)[1]["reason"]
    devices = [yaml.safe_load((folder / str(n) / "config.yaml").read_text())["trainer"]["devices"] for n in range(3)]
    assert devices == [1, 2, 2]
    assert not list(tmp_path.glob("runs")), "no job ran outside its folder"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_sweep_that_was_cut_off_goes_on_to_the_same_end(tmp_path, number):
    words = ("-m", "seed=0,1", "recipe.epochs=8", "logger=csv", "hydra.sweep.dir=mine", "hydra.launcher.jobs=2")
    process = subprocess.Popen(
        typed(*words), cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while not all("epoch 2/8" in (path.read_text() if path.exists() else "")
                  for path in (tmp_path / "mine/0/log.txt", tmp_path / "mine/1/log.txt")):  # fmt: skip
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(number)
    assert process.wait(timeout=90) == (143 if number == signal.SIGTERM else -9)
    while any(read(tmp_path / "mine" / job)["state"] == "running" for job in "01"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert {read(tmp_path / "mine" / job)["state"] for job in "01"} == {"interrupted"}
    again = run(tmp_path, *words)
    assert again.returncode == 0, again.stderr
    assert "job 0 goes on" in again.stderr
    third = run(tmp_path, *words)
    assert third.returncode == 0
    assert "job 1 was finished before" in third.stderr
    whole = run(tmp_path, "seed=1", "recipe.epochs=8", "logger=csv", "hydra.run.dir=whole")
    assert whole.returncode == 0
    assert (tmp_path / "whole/test.json").read_text() == (tmp_path / "mine/1/test.json").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("joblib", ["hydra.launcher.n_jobs=2"]),
        ("submitit_local", ["hydra.launcher.timeout_min=10"]),
        ("ray", ["+hydra.launcher.ray.init.num_cpus=2", "+hydra.launcher.ray.init.include_dashboard=false"]),
        ("basic", []),
    ],
)
def test_other_launchers_start_each_job_in_a_process_tree_of_its_own(tmp_path, monkeypatch, name, options):
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "180")  # on a machine that is busy
    plugin = f"hydra_{name.partition('_')[0]}_launcher"
    if name != "basic" and importlib.util.find_spec(f"hydra_plugins.{plugin}") is None:
        pytest.skip(f"{plugin} is not installed")
    words = ("-m", f"hydra/launcher={name}", *options, "trainer.devices=1,2", "trainer.strategy=ddp", *SHORT)
    outcome = run(tmp_path, *words, "hydra.sweep.dir=mine")
    assert outcome.returncode == 0, outcome.stderr
    for job in "01":
        assert read(tmp_path / "mine" / job)["state"] == "finished"
        assert "epoch 1/1" in (tmp_path / "mine" / job / "log.txt").read_text()
    assert not list(tmp_path.glob("runs"))
    told = [(job["folder"], job["overrides"][0], job["state"]) for job in read_jobs(tmp_path / "mine")]
    assert told == [("0", "trainer.devices=1", "finished"), ("1", "trainer.devices=2", "finished")]
