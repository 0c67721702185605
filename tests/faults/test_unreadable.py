"""A photograph that is whole in the first epoch of a run and cut short in the second."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from training import ROOT, TWO, assert_same_end, run

from cnnlit.data.image_folders import ImageFolder
from cnnlit.runs.metrics_file import read_metrics
from cnnlit.runs.reading import read

pytestmark = pytest.mark.slow

BATCH = 8
PHOTOGRAPHS = (
    "model=resnet_cifar", "model.depth=8", "model._target_=spoils.Spoils", "data=folder", "data.num_classes=2",
    "data.image_size=24", "data.num_workers=1", "data.val_split=8", "recipe=modern_images",
    "recipe/schedule=warmup_cosine", f"recipe.batch_size={BATCH}", "recipe.epochs=3", "logger=csv", "num_threads=1",
)  # fmt: skip
SPOILS = """
import os
from cnnlit.models.resnet import CifarResNet

class Spoils(CifarResNet):
    trained = False

    def forward(self, images):
        path = os.environ.get("SPOILS")
        # The first validation: all processes have read all of the first epoch, and nothing of the second.
        if path and self.trained and not self.training and os.environ.get("LOCAL_RANK", "0") == "0":
            os.truncate(path, os.stat(path).st_size // 2)
            del os.environ["SPOILS"]
        self.trained = self.trained or self.training
        return super().forward(images)
"""


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of 28 training and 6 test pictures."""
    root = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    for split, count in (("train", 28), ("val", 6)):
        for name in ("dark", "light"):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 200, (30, 34, 3), dtype=np.uint8) + np.uint8(55 * (name == "light"))
                Image.fromarray(pixels).save(root / split / name / f"{number}.jpg")
    return root


def of_the_second_process_in_the_second_epoch(root: Path) -> Path:
    """A photograph of the second batch's share that the second of two processes has."""
    data = ImageFolder(root=str(root), num_classes=2, image_size=24, val_split=8, batch_size=BATCH)
    data.setup()
    loader: Any = data.train_dataloader()
    presented = loader.sampler.presentations(1)[BATCH:][1]
    return Path(loader.dataset.files.path(int(presented)))


def train(folder: Path, *arguments: str, **extra: str) -> Any:
    (folder / "spoils.py").write_text(SPOILS)
    return run(folder, *arguments, PYTHONPATH=f"{ROOT}{os.pathsep}{folder}", **extra)


@pytest.fixture(scope="module", params=[(), TWO], ids=["one_process", "two_processes"])
def uninterrupted(
    request: pytest.FixtureRequest, photographs: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, tuple[str, ...]]:
    """A run that nothing happened to, and how it was made."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    made_by = (*PHOTOGRAPHS, *request.param, f"data.root={photographs}")
    outcome = train(folder, *made_by, f"hydra.run.dir={folder}/run")
    assert outcome.returncode == 0, outcome.stderr
    return folder / "run", made_by


def test_it_stops_the_run_which_goes_on_when_the_file_is_whole_again(
    tmp_path: Path, photographs: Path, uninterrupted: tuple[Path, tuple[str, ...]]
) -> None:
    whole, made_by = uninterrupted
    folder, path = tmp_path / "run", of_the_second_process_in_the_second_epoch(photographs)
    content = path.read_bytes()
    try:
        outcome = train(tmp_path, *made_by, f"hydra.run.dir={folder}", SPOILS=str(path))
    finally:
        path.write_bytes(content)
    assert outcome.returncode == 1, outcome.stderr
    assert "Traceback" not in outcome.stderr
    said = f"{path} cannot be read as an image: data are missing"
    why, command = outcome.stderr.splitlines()[-2:]
    assert why.startswith("cnnlit: ")
    assert said in why
    assert command == f"cnnlit: failed; this goes on with the run: python -m cnnlit.train resume={folder.name}"
    record = read(folder)
    assert record["state"] == "failed"
    assert said in record["error"]
    assert len(read_metrics(folder)) == 1
    assert torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 1
    outcome = train(tmp_path, f"resume={folder}")
    assert outcome.returncode == 0, outcome.stderr
    assert "epoch 1/3" not in outcome.stderr
    assert_same_end(folder, whole)


def test_it_is_left_out_and_listed_whichever_process_met_it(
    tmp_path: Path, photographs: Path, uninterrupted: tuple[Path, tuple[str, ...]]
) -> None:
    _, made_by = uninterrupted
    folder, path = tmp_path / "run", of_the_second_process_in_the_second_epoch(photographs)
    content = path.read_bytes()
    words = (*made_by, "data.on_unreadable=skip", "recipe.epochs=2", f"hydra.run.dir={folder}")
    try:
        outcome = train(tmp_path, *words, SPOILS=str(path))
    finally:
        path.write_bytes(content)
    assert outcome.returncode == 0, outcome.stderr
    record = read(folder)
    assert record["state"] == "finished"
    assert record["unreadable"] == [str(path)]
    assert len(read_metrics(folder)) == 2
    assert (folder / "test_predictions.csv").is_file()
