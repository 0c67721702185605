"""Runs of a W&B project are read like those in folders; a fake API answers."""

from types import SimpleNamespace

import pytest
from runs.made_runs import made_config

from cnnlit.analysis.comparison import compare_runs
from cnnlit.analysis.measures import Measure
from cnnlit.tracking import wandb_runs


def wandb_run(number, pooling, seed, error, state="finished"):
    history = [
        {"_step": 0, "epoch": 0, "train/error": 0.5, "val/error": None, "trainer/global_step": 9},
        {"_step": 1, "epoch": 0, "val/error": 0.4, "pictures": {"_type": "image-file"}},
        {"_step": 2, "epoch": 1, "train/error": 0.2, "seconds": 2.0},
    ]
    return SimpleNamespace(
        url=f"https://wandb.example/me/cnnlit/runs/{number}",
        state=state,
        config=made_config(seed, model__pooling=pooling),
        summary={"test/error": error, "test/note": "none", "_runtime": 12.5, "val/error": 0.4},
        metadata={
            "gpu": "NVIDIA H100",
            "git": {"commit": "abc"},
            "program": "-m cnnlit.train",
            "args": [f"seed={seed}"],
        },
        created_at="2026-01-01T00:00:00Z",
        scan_history=lambda: iter(history),
    )


class Api:
    def __init__(self, *runs, fails=None):
        self.made, self.fails = runs, fails

    def runs(self, path):
        if self.fails:
            raise self.fails
        assert path == "me/cnnlit"
        return self.made


def test_a_projects_runs_are_compared_like_folders():
    runs = [wandb_run(f"{pooling}{seed}", pooling, seed, error + seed / 1000)
            for pooling, error in (("max", 0.01), ("average", 0.02)) for seed in range(3)]  # fmt: skip
    runs.append(wandb_run("x", "max", 3, 0.5, state="crashed"))
    runs.append(wandb_run("y", "max", 4, 0.5, state="killed"))
    records = wandb_runs.find("me/cnnlit", Api(*runs))
    first = records[0]
    assert (first.state, first.seed, first.seconds, first.device, first.commit) == (
        "finished",
        0,
        12.5,
        "NVIDIA H100",
        "abc",
    )
    assert first.test == {"test/error": 0.01}
    assert first.command == "python -m cnnlit.train seed=0"
    assert first.curves == [
        {"epoch": 0, "train/error": 0.5, "val/error": 0.4, "trainer/global_step": 9},
        {"epoch": 1, "train/error": 0.2, "seconds": 2},
    ]
    results = compare_runs(records, Measure("test/error"))
    assert [(each.name, each.summary.n) for each in results.measured] == [("max", 3), ("average", 3)]
    assert [(each.run.state, each.reason) for each in results.uncounted] == [
        ("failed", "crashed at W&B"),
        ("interrupted", "killed at W&B"),
    ]


@pytest.mark.parametrize(
    ("api", "says"),
    [
        (Api(), "there is no run in this project"),
        (
            Api(fails=ValueError("Could not find project\ncnnlit")),
            "W&B does not answer (Could not find project cnnlit); wandb login",
        ),
        (Api(fails=ConnectionError()), "W&B does not answer (ConnectionError)"),
    ],
)
def test_every_refusal_is_one_line(api, says):
    with pytest.raises(ValueError, match="runs=wandb:me/cnnlit: ") as error:
        wandb_runs.find("me/cnnlit", api)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_the_configuration_of_a_run_of_0_1_0_is_brought_up_to_date():
    run = wandb_run("max0", "max", 0, 0.01)
    run.config["protocol"] = {"_target_": "cnnlit.training.views.EvaluationProtocol"}
    (record,) = wandb_runs.find("me/cnnlit", Api(run))
    assert record.config["protocol"]["_target_"] == "cnnlit.training.protocol.EvaluationProtocol"
