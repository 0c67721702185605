"""Parts of a recipe that make up for unequal classes or mix images, as they are typed to python -m cnnlit.train."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from as_typed import cnnlit

from cnnlit.runs.reading import read_metrics

COUNTS = (90, 30, 10)
WORDS = (
    "data=npz", "data.root=rare.npz", "data.num_classes=3", "data.val_split=0", "data.test_split=10", "model=compact",
    "recipe/loss=cross_entropy", "recipe.epochs=1", "recipe.batch_size=40", "logger=none", "hydra.run.dir=run",
)  # fmt: skip


@pytest.fixture
def rare(tmp_path: Path) -> Path:
    """A folder with grey images of three classes, one of which is rare."""
    labels = np.repeat(np.arange(3), COUNTS)
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 28, 28), np.uint8)
    np.savez(tmp_path / "rare.npz", x_train=pixels, y_train=labels)
    return tmp_path


def trained(folder: Path, *words: str) -> Any:
    outcome = cnnlit(folder, "train", *WORDS, *words)
    assert outcome.returncode == 0, outcome.stderr
    assert "protocol=" not in outcome.stderr, "what comes next: shifts are for characters alone"
    return torch.load(folder / "run" / "checkpoints" / "last.ckpt", weights_only=True)


def refused(folder: Path, *words: str) -> str:
    outcome = cnnlit(folder, "train", *WORDS, *words)
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert not (folder / "run").exists()
    (line,) = outcome.stderr.splitlines()
    return line


@pytest.mark.slow
def test_balanced_weights_are_those_of_the_training_images_and_a_test_has_them_too(rare: Path) -> None:
    weights = trained(rare, "recipe.class_weights=balanced")["class_weights"].double()
    held_out = torch.tensor([7, 2, 1])  # 10 of 130, in proportion
    counts = torch.tensor(COUNTS) - held_out
    assert weights.tolist() == pytest.approx((120 / (3 * counts)).tolist())
    outcome = cnnlit(rare, "evaluate", "run=run", "output=again")
    assert outcome.returncode == 0, outcome.stderr
    (again,) = (json.loads(path.read_text()) for path in (rare / "again").glob("*.json"))
    test = json.loads((rare / "run" / "test.json").read_text())
    assert again["test/loss"] == pytest.approx(test["test/loss"])


@pytest.mark.slow
def test_weights_and_an_order_that_cannot_be_are_refused_in_one_line(rare: Path) -> None:
    line = refused(rare, "recipe/loss=map", "recipe.class_weights=balanced")
    assert line == "cnnlit: recipe.class_weights: MaximumAPosteriori takes none; add recipe/loss=cross_entropy"
    line = refused(rare, "recipe.class_weights=[1, 2]")
    assert line == "cnnlit: recipe.class_weights=[1, 2]: 2 weights for data.num_classes=3"
    line = refused(rare, "recipe.order=balanced", "data.order=fresh")
    assert line.startswith("cnnlit: recipe.order=balanced: the data have order=fresh; data.order has to be")


@pytest.mark.slow
def test_a_balanced_order_shows_a_rare_class_as_often_as_the_others(rare: Path) -> None:
    (rare / "watch.py").write_text(
        "from lightning.pytorch import Callback\n\n\n"
        "class Watch(Callback):\n"
        "    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):\n"
        "        pl_module.log_dict({f'shown_{n}': float((batch[1] == n).sum()) for n in range(3)},\n"
        "                           on_step=False, on_epoch=True, reduce_fx='sum')\n"
    )
    outcome = cnnlit(
        rare, "train", *WORDS, "recipe.order=balanced", "+callbacks.watch._target_=watch.Watch",
        PYTHONPATH=f"{Path(__file__).parents[1]}:{rare}",
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stderr
    (row,) = read_metrics(rare / "run")
    assert [float(row[f"shown_{number}"]) for number in range(3)] == [40, 40, 40]
