"""replicas= as a user types it, forced to be one process: the folders are those of the seeds alone."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from cnnlit.runs.reading import read, read_metrics
from cnnlit.runs.records import find

ROOT = Path(__file__).parents[1]
WORDS = ("recipe.epochs=2", "data.passes_per_epoch=1", "recipe.optimizer.lr=0.002", "logger=none")
STACK = ("replicas=2", "replicas_as=stack", "seed=3")


def start(folder, *words):
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("WANDB", "CNNLIT", "HYDRA"))}
    return subprocess.Popen(
        [sys.executable, "-m", "cnnlit.train", *words],
        cwd=folder,
        env={**clean, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def train(folder, *words):
    process = start(folder, *words)
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stack")
    code, out, err = train(folder, *WORDS, *STACK, "hydra.run.dir=stack")
    assert code == 0, err
    return folder / "stack", out


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_replica_leaves_what_its_seed_alone_leaves(trained, tmp_path):
    stack, out = trained
    assert [row.split()[:3] for row in out.splitlines()[1:]] == [
        ["0", "seed=3", "finished"],
        ["1", "seed=4", "finished"],
    ]
    code, _, err = train(tmp_path, *WORDS, "seed=4", "hydra.run.dir=alone")
    assert code == 0, err
    mine, alone = stack / "1", tmp_path / "alone"
    assert files(mine) | {"checkpoints/previous.ckpt"} == files(alone)
    settings = [yaml.safe_load((folder / "config.yaml").read_text()) for folder in (mine, alone)]
    assert settings[0] == settings[1]
    records = [read(folder) for folder in (mine, alone)]
    assert records[0]["seed"] == records[1]["seed"] == 4
    assert records[0]["val/error"] == pytest.approx(records[1]["val/error"], abs=0.012)  # two images
    curves = [[float(row["train/loss"]) for row in read_metrics(folder)] for folder in (mine, alone)]
    assert curves[0] == pytest.approx(curves[1], rel=1e-3)
    states = [torch.load(folder / "checkpoints/last.ckpt", weights_only=True) for folder in (mine, alone)]
    assert states[0].keys() == states[1].keys()
    assert states[0]["config"] == settings[1]
    for name, weight in states[1]["state_dict"].items():
        torch.testing.assert_close(states[0]["state_dict"][name], weight, rtol=1e-2, atol=1e-3)


@pytest.mark.slow
def test_replicas_are_a_reports_runs_and_leave_no_state_of_their_own(trained):
    stack, _ = trained
    records = find([str(stack)]).records
    assert [record.seed for record in records] == [3, 4]
    assert records[1].seconds == pytest.approx(read(stack / "1")["seconds"] / 2)
    assert not (stack / "checkpoints").exists()
    tests = [json.loads((stack / name / "test.json").read_text()) for name in "01"]
    assert [test["test/num_images"] for test in tests] == [360, 360]


@pytest.mark.slow
def test_replicas_in_the_place_of_others_and_finished_ones_are_refused(trained):
    stack, _ = trained
    code, _, err = train(stack.parent, *WORDS, *STACK, "hydra.run.dir=stack")
    assert code == 2
    assert "holds replicas already" in err
    code, _, err = train(stack.parent, "resume=stack")
    assert code == 2
    assert "these runs are finished" in err


@pytest.mark.slow
def test_what_is_forced_and_cannot_be_stacked_is_one_line(tmp_path):
    code, _, err = train(tmp_path, *WORDS, *STACK, "model.dropout=0.5")
    assert code == 2
    assert err == "cnnlit: replicas_as=stack: dropout would not draw what it draws for each seed alone; " \
                  "use replicas_as=processes\n"  # fmt: skip
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_replicas_that_were_told_to_stop_go_on_to_the_same_bits(tmp_path):
    words = (*WORDS, *STACK, "recipe.epochs=8", "data.passes_per_epoch=2")
    code, _, err = train(tmp_path, *words, "hydra.run.dir=whole")
    assert code == 0, err
    process = start(tmp_path, *words, "hydra.run.dir=cut")
    while process.poll() is None and len(read_metrics(tmp_path / "cut" / "0")) < 3:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert [read(tmp_path / "cut" / name)["state"] for name in "01"] == ["interrupted", "interrupted"]
    code, _, err = train(tmp_path, "resume=cut")
    assert code == 0, err
    for name in "01":
        whole, cut = (
            torch.load(tmp_path / folder / name / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
            for folder in ("whole", "cut")
        )
        assert all(torch.equal(whole[key], cut[key]) for key in whole)
        assert len(read_metrics(tmp_path / "cut" / name)) == 8


@pytest.mark.slow
def test_where_a_gpu_is_replicas_that_cannot_be_stacked_are_processes_and_a_line_says_why(tmp_path, monkeypatch):
    """A GPU that is only named: the decision is taken before one is looked for."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    words = (*WORDS, "replicas=2", "recipe.epochs=1", "+trainer.limit_train_batches=2")
    code, out, err = train(tmp_path, *words, "model.dropout=0.5", "hydra.run.dir=apart")
    assert code == 0, err
    assert "replicas as processes: dropout would not draw" in err
    assert "sweep of 2 jobs" in err
    assert [row.split()[2] for row in out.splitlines()[1:]] == ["finished", "finished"]
    code, _, err = train(tmp_path, *words, "hydra.run.dir=stack")
    assert code == 0, err
    assert "sweep" not in err
    assert read(tmp_path / "stack" / "0")["replicas"] == 2


@pytest.mark.slow
def test_arms_that_are_stacks_are_one_report_and_go_on(tmp_path):
    words = ("-m", *WORDS, *STACK, "recipe.epochs=1", "+trainer.limit_train_batches=2", "model.pooling=max,average",
             "hydra.sweep.dir=sweep")  # fmt: skip
    code, _, err = train(tmp_path, *words)
    assert code == 0, err
    assert [record.name for record in find([str(tmp_path / "sweep")]).records] == ["0/0", "0/1", "1/0", "1/1"]
    code, _, err = train(tmp_path, *words)
    assert code == 0, err
    assert err.count("was finished before") == 2


@pytest.mark.slow
def test_a_diverged_replica_is_a_failed_run(tmp_path):
    words = (*WORDS, *STACK, "trainer=debug", "trainer.detect_anomaly=false", "recipe.optimizer.lr=1e30")
    code, out, _ = train(tmp_path, *words, "hydra.run.dir=stack")
    assert code == 1
    assert out.count("failed: epoch 1: the loss is not finite; seed=") == 2
    assert [read(tmp_path / "stack" / name)["state"] for name in "01"] == ["failed", "failed"]


@pytest.mark.slow
def test_ten_seeds_of_lenet_5_on_files_in_fashion_mnists_form_are_stacked(tmp_path):
    random = np.random.default_rng(0)
    for split, count in (("train", 200), ("t10k", 40)):
        for part, array in (
            ("images-idx3", random.integers(0, 256, (count, 28, 28), dtype=np.uint8)),
            ("labels-idx1", (np.arange(count) % 10).astype(np.uint8)),
        ):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            path = tmp_path / "data" / "FashionMNIST" / "raw" / f"{split}-{part}-ubyte.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(gzip.compress(header + array.tobytes()))
    words = ("data=fashion_mnist", "data.val_split=20", "recipe.epochs=1", "logger=none", "hydra.run.dir=stack")
    code, out, err = train(tmp_path, *words, "replicas=10", "replicas_as=stack")
    assert code == 0, err
    assert [row.split()[2] for row in out.splitlines()[1:11]] == ["finished"] * 10
    for seed in (0, 9):
        record = read(tmp_path / "stack" / str(seed))
        assert "200 training and 40 test images, where Fashion-MNIST has 60,000 and 10,000" in record["data_remarks"][0]
    assert err.count("not the published set") == 1
