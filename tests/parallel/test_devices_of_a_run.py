"""python -m cnnlit.train on several devices, as a user starts it, equals the run on one device."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from cnnlit.runs.metrics_file import read_metrics

ROOT = Path(__file__).parents[2]
TIMEOUT = 240
"""Seconds that a test waits for a command at most."""

DIGITS = ("trainer.accelerator=cpu", "logger=csv", "recipe.epochs=2", "data.passes_per_epoch=1", "num_threads=1")
# The last training batch and the last test batch hold one image, which leaves the second device without any.
RAGGED = ("recipe.batch_size=157", "data.eval_batch_size=359", "recipe.optimizer.lr=0.002")
# Smooth, so that rounding stays rounding.
ALEXNET = (
    "model=alexnet", "model.width=0.125", "model.activation=tanh", "model.pooling=average", "data=synthetic",
    "data.image_size=64", "data.num_classes=10", "data.drawn_images=131", "data.val_split=20", "data.eval_batch_size=8",
    "recipe.batch_size=16", "recipe.epochs=2", "recipe.dropout=0.0", "recipe.initialization=he2015",
    "recipe.augmentation=[]", "recipe.gradient_clip_norm=5.0", "recipe.decay_exempt=[biases]",
    "recipe.normalization=mean_std", "num_threads=1", "trainer.accelerator=cpu", "logger=csv",
)  # fmt: skip


def environment(**extra: str) -> dict[str, str]:
    ours = ("WANDB", "CNNLIT", "HYDRA", "OMP_", "MASTER_", "SLURM_", "TORCHELASTIC")
    return {key: value for key, value in os.environ.items() if not key.startswith(ours)} | {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        **extra,
    }


def run(folder: Path, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """One command, with all processes that it starts; killed together where they take too long."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cnnlit.train", *arguments, f"hydra.run.dir={folder}"],
        cwd=folder.parent, env=environment(**extra), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        pytest.fail(f"not done after {TIMEOUT} s: {out}{err}")
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def finished(folder: Path, *arguments: str) -> Path:
    outcome = run(folder, *arguments)
    assert outcome.returncode == 0, outcome.stderr
    assert "Warning" not in outcome.stderr
    (folder / "terminal").write_text(outcome.stderr)
    return folder


def assert_same_run(folder: Path, one: Path, tolerance: float = 1e-5) -> None:
    """Equal curves, weights and test, to rounding."""
    rows, expected = read_metrics(folder), read_metrics(one)
    assert len(rows) == len(expected) > 0
    for row, other in zip(rows, expected, strict=True):
        for name in row.keys() - {"seconds"}:
            assert float(row[name]) == pytest.approx(float(other[name]), rel=tolerance), name
    weights, others = (torch.load(each / "checkpoints" / "last.ckpt", weights_only=True) for each in (folder, one))
    for name, tensor in others["state_dict"].items():
        torch.testing.assert_close(weights["state_dict"][name], tensor, rtol=tolerance, atol=10 * tolerance)
    assert result_of(folder) == pytest.approx(result_of(one), rel=10 * tolerance)
    answers, right = (
        [line.split(",")[:3] for line in (each / "test_predictions.csv").read_text().splitlines()]
        for each in (folder, one)
    )
    assert answers == right


def result_of(folder: Path) -> Any:
    return json.loads((folder / "test.json").read_text())


def record_of(folder: Path) -> Any:
    return json.loads((folder / "run.json").read_text())


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("one") / "run", *DIGITS, *RAGGED)


@pytest.fixture(scope="module")
def digits_on_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("two") / "run", *DIGITS, *RAGGED, "trainer.devices=2")


@pytest.mark.slow
def test_two_devices_equal_one_even_if_a_batch_leaves_one_of_them_without_images(
    digits: Path, digits_on_two: Path
) -> None:
    assert_same_run(digits_on_two, digits)
    assert result_of(digits_on_two)["test/num_images"] == 360


@pytest.mark.slow
def test_frozen_layers_and_layers_with_rates_of_their_own_train_alike_on_two_devices(
    tmp_path: Path, digits_on_two: Path
) -> None:
    tuned = (
        "recipe.freeze=[c1]",
        "recipe.layer_rates={c3: 0.5, f6: 2}",
        "recipe.averaging_decay=0.9",
        *DIGITS,
        *RAGGED,
    )
    one, two = finished(tmp_path / "one", *tuned), finished(tmp_path / "two", *tuned, "trainer.devices=2")
    assert_same_run(two, one)
    sent, by_all = (record_of(each)["exchanged_bytes_per_step"]["gradients"] for each in (two, digits_on_two))
    assert sent == by_all - 4 * 156, "frozen weights have no gradients to exchange"


def test_only_one_process_writes(digits: Path, digits_on_two: Path) -> None:
    def files(folder: Path) -> list[str]:
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))

    assert files(digits_on_two) == files(digits)
    assert [path.name for path in digits_on_two.parent.iterdir()] == ["run"]
    assert record_of(digits_on_two)["exchanged_bytes_per_step"] == {"gradients": 60_000 * 4}


def test_a_line_says_that_two_devices_are_two_replicas(digits: Path, digits_on_two: Path) -> None:
    lines = (digits_on_two / "terminal").read_text().splitlines()
    assert lines[0] == "2 devices: 2 replicas of the network (ddp), which share each batch"
    # What is trained, its epochs and what comes next are said by one of the two processes alone.
    assert [line.split()[0] for line in lines[1:]] == ["LeNet5,", "epoch", "epoch", "next:", "python", "python"]
    alone = (digits / "terminal").read_text().splitlines()
    assert [line.split()[0] for line in alone] == [line.split()[0] for line in lines[1:]]


BREAKS = """
import os, signal
from cnnlit.models.lenet5 import LeNet5

rank, how = os.environ["BREAKS"].split()
here = os.environ.get("LOCAL_RANK", "0") == rank
if here and how == "refuses":
    raise ValueError("at the beginning")

class Breaks(LeNet5):
    steps = 0

    def forward(self, images):
        self.steps += self.training
        if self.steps == 5 and here and how == "raises":
            raise RuntimeError("the fifth step")
        if self.steps == 5 and here and how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(images)
"""


def broken(folder: Path, how: str) -> tuple[subprocess.CompletedProcess[str], Any]:
    folder.mkdir()
    (folder / "breaks.py").write_text(BREAKS)
    outcome = run(
        folder / "run", *DIGITS, "trainer.devices=2", "model._target_=breaks.Breaks",
        BREAKS=how, PYTHONPATH=f"{ROOT}:{folder}",
    )  # fmt: skip
    return outcome, record_of(folder / "run")


def test_the_error_of_one_process_ends_all_and_is_what_the_run_says(tmp_path: Path) -> None:
    outcome, record = broken(tmp_path / "raises", "1 raises")
    assert outcome.returncode == 1
    assert 'raise RuntimeError("the fifth step")' in outcome.stderr
    assert "gloo" not in outcome.stderr
    assert record["state"] == "failed"
    assert record["error"] == "process 1: RuntimeError: the fifth step"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("1 killed", "process 1 was killed by SIGKILL; without it the run cannot go on"),
        ("1 refuses", "process 1 ended with exit code 2; without it the run cannot go on"),
        ("0 raises", "RuntimeError: the fifth step"),
    ],
)
def test_however_a_process_ends_the_others_end_too(tmp_path: Path, how: str, error: str) -> None:
    outcome, record = broken(tmp_path / "broken", how)
    assert outcome.returncode == 1
    assert record["state"] == "failed"
    assert record["error"] == error
    assert nobody_left(tmp_path)


def nobody_left(folder: Path) -> bool:
    """Whether all processes that work in a folder are gone, or go within seconds."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if not subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True).stdout:
            return True
        time.sleep(0.5)
    return False


@pytest.fixture(scope="module")
def alexnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("alexnet") / "run", *ALEXNET)


@pytest.mark.slow
@pytest.mark.parametrize(
    "devices",
    [
        ("trainer=two_towers",),
        ("trainer=two_towers", "trainer.devices=4"),
        ("trainer=fsdp",),
        ("trainer=ddp", "trainer.devices=3"),
    ],
    ids=["two_towers", "two_by_two", "fsdp", "three_replicas"],
)
def test_alexnet_on_any_layout_of_devices_equals_one_device(
    alexnet: Path, tmp_path: Path, devices: tuple[str, ...]
) -> None:
    assert_same_run(finished(tmp_path / "run", *ALEXNET, *devices), alexnet)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after"), [("auto", "two_towers"), ("two_towers", "auto"), ("fsdp", "two_towers"), ("auto", "fsdp")]
)
def test_a_checkpoint_resumes_on_any_layout_of_devices(alexnet: Path, tmp_path: Path, before: str, after: str) -> None:
    folder = finished(tmp_path / "run", *ALEXNET, f"trainer={before}", "trainer.accelerator=cpu", "recipe.epochs=1")
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    settings["recipe"]["epochs"] = 2
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    (folder / "run.json").write_text(json.dumps({**record_of(folder), "state": "interrupted"}))
    outcome = subprocess.run(
        [sys.executable, "-m", "cnnlit.train", f"resume={folder}", f"trainer.strategy={after}",
         f"trainer.devices={1 if after == 'auto' else 2}"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=TIMEOUT,
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stderr
    assert "epoch 1/2" not in outcome.stderr
    assert_same_run(folder, alexnet)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", "slurm"])
def test_processes_started_by_torchrun_or_slurm_are_one_run(tmp_path: Path, digits: Path, launcher: str) -> None:
    command = ["-m", "cnnlit.train", *DIGITS, *RAGGED, "trainer.devices=2"]
    if launcher == "torchrun":
        started = [
            subprocess.Popen(
                [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *command],
                cwd=tmp_path,
                env=environment(),
            )
        ]
    else:
        job = {"SLURM_JOB_ID": str(10_000 + os.getpid() % 10_000), "SLURM_JOB_NAME": "train", "SLURM_NODEID": "0"}
        job |= {
            "SLURM_NTASKS": "2",
            "SLURM_NTASKS_PER_NODE": "2",
            "SLURM_NNODES": "1",
            "SLURM_NODELIST": "localhost",
            "SLURM_STEP_ID": "0",
        }
        started = [
            subprocess.Popen(
                [sys.executable, *command],
                cwd=tmp_path,
                env=environment(**job, SLURM_PROCID=str(rank), SLURM_LOCALID=str(rank)),
            )
            for rank in range(2)
        ]
    assert [process.wait(timeout=TIMEOUT) for process in started] == [0] * len(started)
    (made,) = tmp_path.glob("runs/*/*")
    assert_same_run(made, digits)


@pytest.mark.slow
def test_micro_batches_the_best_network_and_early_stopping_are_those_of_one_device(tmp_path: Path) -> None:
    words = (
        *DIGITS, "recipe.batch_size=400", "recipe.micro_batch_size=90", "recipe.checkpoint=best", "recipe.epochs=5",
        "recipe.early_stopping_patience=1", "recipe.optimizer.lr=0.002",
    )  # fmt: skip
    one = finished(tmp_path / "one", *words)
    two = finished(tmp_path / "two", *words, "trainer.devices=2")
    assert_same_run(two, one, tolerance=1e-4)
    assert record_of(two)["tested"] == record_of(one)["tested"]
    assert record_of(two).get("ended") == record_of(one).get("ended")


@pytest.mark.slow
@pytest.mark.parametrize("more", [("recipe.order=balanced",), ("recipe/mixing=mixup_cutmix",)], ids=["order", "mixing"])
def test_weights_of_classes_a_balanced_order_and_mixed_images_are_those_of_one_device(
    tmp_path: Path, more: tuple[str, ...]
) -> None:
    words = (
        *DIGITS, *RAGGED, *more, "recipe/loss=cross_entropy", "recipe.micro_batch_size=50",
        "recipe.class_weights=[9, 1, 1, 1, 1, 1, 1, 1, 1, 0.1]", "recipe/optimizer=sgd",
    )  # fmt: skip
    assert_same_run(finished(tmp_path / "two", *words, "trainer.devices=2"), finished(tmp_path / "one", *words))
