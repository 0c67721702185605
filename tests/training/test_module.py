"""Networks learn, what is logged is right, and the same seed gives the same bits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer, seed_everything
from torch import Tensor, nn
from torch.optim import SGD, AdamW
from torch.utils.data import DataLoader

from cnnlit.data.loading.batch_sampler import BatchSampler
from cnnlit.data.small_images import SmallImages
from cnnlit.models.lenet5 import LeNet5
from cnnlit.training.losses import MaximumAPosteriori
from cnnlit.training.module import ImageClassification
from cnnlit.training.recipe import Recipe
from cnnlit.training.schedules import Constant

pytestmark = pytest.mark.filterwarnings("ignore")

PAPER: Any = {"initialization": "lecun1998_sqrt"}
TODAY: Any = {"activation": "relu", "pooling": "max", "head": "linear", "initialization": "he2015"}


def recipe_of(optimizer: Callable[..., Any], *, loss: nn.Module | None = None, epochs: int = 1) -> Recipe:
    loss = loss or MaximumAPosteriori(10.0)
    return Recipe(batch_size=64, epochs=epochs, order="fresh", loss=loss, optimizer=optimizer, schedule=Constant)


def task_of(model: nn.Module, recipe: Recipe, *, seed: int = 0, num_classes: int = 10) -> ImageClassification:
    return ImageClassification(model, recipe=recipe, num_classes=num_classes, seed=seed)


def trainer(folder: Path, **options: Any) -> Trainer:
    quiet: Any = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    options = {"enable_checkpointing": False, "max_epochs": 1} | options
    return Trainer(
        accelerator="cpu",
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=folder,
        **quiet,
        **options,
    )


@pytest.fixture(scope="module")
def digits() -> SmallImages:
    data = SmallImages(val_split=180, batch_size=100, eval_batch_size=70)
    data.setup()
    return data


@pytest.mark.parametrize(
    ("knobs", "loss"), [(PAPER, MaximumAPosteriori(10.0)), (TODAY, nn.CrossEntropyLoss())], ids=["paper", "today"]
)
def test_eight_digits_overfit(tmp_path: Path, digits: SmallImages, knobs: Any, loss: nn.Module) -> None:
    torch.manual_seed(0)
    eight = digits._augmented("train", digits._evaluation)
    eight.images = eight.images.subset(torch.arange(8))
    batches = BatchSampler(8, 8, order="fresh", versions=100, passes_per_epoch=100)
    model = LeNet5(**knobs)
    task = task_of(model, recipe_of(lambda parameters: AdamW(parameters, lr=0.001), loss=loss))
    seen = DataLoader(eight, batch_size=None, sampler=batches)
    trainer(tmp_path).fit(task, seen)
    everything, labels = eight[0, torch.arange(8)]
    assert torch.equal(model(everything).argmax(dim=1), labels)
    assert loss(model(everything), labels) < 0.05


def directly(model: nn.Module, loss: nn.Module, data: SmallImages, split: str) -> tuple[float, float]:
    """Loss and error over a whole split in one batch."""
    everything, labels = data._augmented(split, data._evaluation)[0, torch.arange(data.num_images[split])]
    with torch.no_grad():
        logits = model(everything)
    return loss(logits, labels).item(), (logits.argmax(dim=1) != labels).double().mean().item()


def test_an_epochs_loss_and_error_are_means_over_images(tmp_path: Path, digits: SmallImages) -> None:
    # Batches of 100 of 1,257, of 70 of 180 and of 360: each last one is smaller.
    torch.manual_seed(0)
    model, loss = LeNet5(**PAPER), MaximumAPosteriori(10.0)
    task = task_of(model, recipe_of(lambda parameters: SGD(parameters, lr=0.0), loss=loss))
    loop = trainer(tmp_path)
    loop.fit(task, datamodule=digits)
    logged = {name: value.item() for name, value in loop.callback_metrics.items()}
    for split in ("train", "val"):
        expected = directly(model, loss, digits, split)
        assert (logged[f"{split}/loss"], logged[f"{split}/error"]) == pytest.approx(expected, rel=1e-5)
    assert logged["learning_rate"] == 0


def test_a_test_is_exact_and_in_order(tmp_path: Path, digits: SmallImages) -> None:
    torch.manual_seed(0)
    model, loss = LeNet5(**PAPER), MaximumAPosteriori(10.0)
    task = task_of(model, recipe_of(SGD))
    trainer(tmp_path).test(task, datamodule=digits, verbose=False)
    result = task.test_result()
    expected_loss, expected_error = directly(model, loss, digits, "test")
    assert result["test/loss"] == pytest.approx(expected_loss, rel=1e-5)
    assert result["test/error"] == expected_error
    assert result["test/num_images"] == 360
    assert result["test/num_errors"] == round(360 * expected_error)
    assert torch.equal(task.test_predictions.labels, digits._splits["test"].labels)
    wrong = task.test_predictions.predicted != task.test_predictions.labels
    assert wrong.sum() == result["test/num_errors"]
    assert (task.test_predictions.confidence >= 0.1 - 1e-6).all()


def test_many_classes_have_a_top5_error(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = LeNet5(num_classes=20, head="linear", initialization="he2015")
    images, labels = torch.randn(50, 1, 32, 32), torch.randint(0, 20, (50,))
    task = task_of(model, recipe_of(SGD, loss=nn.CrossEntropyLoss()), num_classes=20)
    best = model(images).topk(5, dim=1).indices
    batches = DataLoader(list(zip(images, labels, strict=True)), batch_size=15)
    loop = trainer(tmp_path)
    loop.validate(task, batches, verbose=False)
    expected = 1 - sum(label in guesses for guesses, label in zip(best, labels, strict=True)) / 50
    assert loop.callback_metrics["val/top5_error"].item() == pytest.approx(expected)


def trained(folder: Path, seed: int) -> list[Tensor]:
    """The parameters after two epochs with distortion and dropout."""
    seed_everything(seed, verbose=False)
    model = LeNet5(dropout=0.3, **PAPER)
    data = SmallImages(val_split=180, batch_size=100, distortion="affine1998", seed=seed)
    task = task_of(model, recipe_of(lambda parameters: AdamW(parameters, lr=0.005), epochs=2), seed=seed)
    trainer(folder, max_epochs=2).fit(task, datamodule=data)
    return [parameter.detach() for parameter in model.parameters()]


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tmp_path: Path) -> None:
    first, again, other = (trained(tmp_path, seed) for seed in (1, 1, 2))
    assert all(map(torch.equal, first, again))
    assert not any(map(torch.equal, first, other))
