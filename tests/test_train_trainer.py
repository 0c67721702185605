"""What Lightning users give to the Trainer, as they type it to python -m cnnlit.train."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from as_typed import cnnlit

from cnnlit.runs.reading import read_metrics

ROOT = Path(__file__).parents[1]
SHORT = (
    *("recipe.epochs=2", "data.passes_per_epoch=1", "recipe.optimizer.lr=0.002", "logger=none"),
    "data.distortion=none",
)

OWN = '''
import json
from pathlib import Path

from lightning.pytorch import Callback


class Counts(Callback):
    """Counts steps over all of a run, interrupted or not, and writes what it knows at the end."""

    def __init__(self, *, file: str, stop_after: int | None = None) -> None:
        self.steps = 0
        self.file = file
        self.stop_after = stop_after

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state):
        self.steps = state["steps"]

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.steps += 1
        if self.steps == self.stop_after and trainer.is_global_zero:
            import os, signal
            os.kill(os.getpid(), signal.SIGTERM)

    def on_train_end(self, trainer, pl_module):
        if trainer.is_global_zero:
            Path(self.file).write_text(json.dumps(self.steps))


class NoCallback:
    pass
'''


def train(folder, *words):
    return cnnlit(folder, "train", *SHORT, *words, PYTHONPATH=f"{ROOT}{os.pathsep}{folder}")


def made(folder, *words):
    outcome = train(folder, *words, f"hydra.run.dir={folder / 'run'}")
    assert outcome.returncode == 0, outcome.stderr
    return folder / "run"


def record(run):
    return json.loads((run / "run.json").read_text())


@pytest.fixture
def own(tmp_path):
    (tmp_path / "mine.py").write_text(OWN)
    return tmp_path


@pytest.mark.parametrize(
    ("word", "instead"),
    [
        ("+trainer.max_epochs=1", "recipe.epochs"),
        ("+trainer.callbacks=[{_target_: lightning.pytorch.callbacks.EarlyStopping, monitor: val/error}]", "group"),
    ],
)
def test_what_a_key_of_ours_does_is_refused_with_it_and_nothing_is_written(tmp_path, word, instead):
    outcome = train(tmp_path, word)
    assert outcome.returncode == 2
    (line,) = outcome.stderr.splitlines()
    assert line.startswith("cnnlit: trainer.")
    assert instead in line
    assert not list(tmp_path.glob("*"))


@pytest.mark.slow
def test_an_own_callback_runs_beside_ours_and_its_state_is_kept_when_the_run_is_resumed(own):
    words = ("+callbacks.counts._target_=mine.Counts", f"+callbacks.counts.file={own / 'counts.json'}")
    outcome = train(own, *words, "+callbacks.counts.stop_after=25", f"hydra.run.dir={own / 'run'}")
    assert outcome.returncode == 128 + 15, outcome.stderr
    resumed = subprocess.run(
        [sys.executable, "-m", "cnnlit.train", f"resume={own / 'run'}"],
        cwd=own, env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{own}"}, capture_output=True, text=True,
    )  # fmt: skip
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads((own / "counts.json").read_text()) == 2 * 20
    assert record(own / "run")["state"] == "finished"
    assert yaml.safe_load((own / "run" / "config.yaml").read_text())["callbacks"]["counts"]["stop_after"] == 25


@pytest.mark.slow
def test_own_callbacks_run_in_every_process(own):
    run = made(
        own, "+callbacks.counts._target_=mine.Counts", f"+callbacks.counts.file={own / 'counts.json'}",
        "trainer=ddp", "trainer.accelerator=cpu",
    )  # fmt: skip
    assert json.loads((own / "counts.json").read_text()) == 2 * 20
    assert record(run)["state"] == "finished"


@pytest.mark.slow
def test_lightnings_early_stopping_ends_the_run_and_its_record_says_so(tmp_path):
    words = ("monitor=train/loss", "patience=0", "mode=max", "check_on_train_epoch_end=true")
    run = made(
        tmp_path, "recipe.epochs=9", "+callbacks.stop._target_=lightning.pytorch.callbacks.EarlyStopping",
        *(f"+callbacks.stop.{word}" for word in words),
    )  # fmt: skip
    assert record(run)["ended"] == "in epoch 2 of 9, step 40"
    assert len(read_metrics(run)) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["+callbacks.mine.patience=3"], "must be keys with a _target_"),
        (["+callbacks.mine._target_=mine.NoCallback"], "must be a lightning.pytorch.Callback"),
        (
            ["+callbacks.e._target_=lightning.pytorch.callbacks.EarlyStopping", "+callbacks.e.patients=3"],
            "callbacks.e.patients: no such option; did you mean patience?",
        ),
        (["callbacks=nothing"], "no such choice"),
    ],
)
def test_what_is_no_callback_is_refused(own, words, said):
    outcome = train(own, *words)
    assert outcome.returncode == 2
    assert said in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1


@pytest.mark.slow
def test_one_batch_can_be_learnt_by_heart(tmp_path):
    run = made(
        tmp_path, "trainer=overfit", "recipe.epochs=60", "recipe/schedule=constant", "model=compact",
        "recipe/loss=cross_entropy", "recipe.optimizer.lr=0.005",
    )  # fmt: skip
    last = read_metrics(run)[-1]
    assert float(last["train/error"]) == 0
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 60


@pytest.mark.slow
def test_a_fast_development_run_goes_through_everything_and_says_that_it_was_one(tmp_path):
    run = made(tmp_path, "+trainer.fast_dev_run=true", "recipe/schedule=exponential", "data.eval_batch_size=100")
    assert record(run)["ended"] == "in epoch 1 of 2, step 1"
    assert json.loads((run / "test.json").read_text())["test/num_images"] == 100
    assert len(read_metrics(run)) == 1


@pytest.mark.slow
def test_a_run_that_ends_before_its_first_validation_is_validated(tmp_path):
    run = made(tmp_path, "+trainer.max_steps=3")
    assert 0 < float(record(run)["val/error"]) <= 1
    assert record(run)["ended"] == "in epoch 1 of 2, step 3"


@pytest.mark.slow
def test_a_profile_and_the_learning_rate_of_each_step_are_written(tmp_path):
    words = ("+trainer.profiler=simple", "callbacks=learning_rate", "+trainer.log_every_n_steps=1")
    run = made(tmp_path, *words, "+trainer.num_sanity_val_steps=1")
    (profile,) = run.glob("fit-profile*.txt")
    assert "run_training_batch" in profile.read_text()
    rows = read_metrics(run)
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert float(rows[0]["lr-AdamW"]) > 0
