"""A step in micro-batches is the step of the whole batch, to rounding."""

import signal
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer, seed_everything
from torch import Tensor, nn
from torch.optim import SGD, AdamW
from torchvision.transforms import v2

from cnnlit.callbacks.checkpoints import Checkpoints
from cnnlit.callbacks.finite_loss import FiniteLoss
from cnnlit.data.small_images import SmallImages
from cnnlit.models.lenet5 import LeNet5
from cnnlit.parallel.signals import StopSignals
from cnnlit.runs.folder import Run
from cnnlit.training.losses import MaximumAPosteriori
from cnnlit.training.module import ImageClassification
from cnnlit.training.recipe import Recipe
from cnnlit.training.schedules import WarmupCosine

pytestmark = pytest.mark.filterwarnings("ignore")

IMAGES = 1000


def recipe_of(optimizer: Any, micro: int | None, *, batch: int = 400, epochs: int = 3, **options: Any) -> Recipe:
    return Recipe(
        batch_size=batch, micro_batch_size=micro, epochs=epochs, order="fresh", optimizer=optimizer,
        schedule=WarmupCosine, gradient_clip_norm=1.0, **{"loss": MaximumAPosteriori(10.0), **options},
    )  # fmt: skip


class Draws(Callback):
    """Remembers the sizes of what the network was shown, the masks that its dropout drew, and the losses of steps."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.masks: list[Tensor] = []
        self.losses: list[Tensor] = []

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        dropout = next(layer for layer in pl_module.model.modules() if isinstance(layer, nn.Dropout))
        pl_module.model.register_forward_hook(lambda layer, inputs, _: self.sizes.append(len(inputs[0])))
        dropout.register_forward_hook(lambda layer, inputs, output: self.masks.append(output.detach() == 0))

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, *_: Any) -> None:
        self.losses.append(outputs["loss"])


class Stopped(Callback):
    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == 4:
            signal.raise_signal(signal.SIGTERM)


def fit(folder: Path, recipe: Recipe, *callbacks: Callback, dropout: float = 0.0, resume: bool = False, **options: Any):
    seed_everything(1, workers=True, verbose=False)
    data = SmallImages(val_split=437, eval_batch_size=437, batch_size=recipe.batch_size, order=recipe.order)
    data.setup()
    assert data.num_images["train"] == IMAGES
    task = ImageClassification(LeNet5(dropout=dropout), recipe=recipe, num_classes=10, seed=1)
    run, signals = Run(folder), StopSignals()
    loop = Trainer(
        accelerator="cpu", max_epochs=recipe.epochs, gradient_clip_val=recipe.gradient_clip_norm, logger=False,
        callbacks=[*callbacks, FiniteLoss(run), Checkpoints(run, signals)], enable_checkpointing=False,
        enable_model_summary=False, enable_progress_bar=False, num_sanity_val_steps=0, use_distributed_sampler=False,
        default_root_dir=folder, **options,
    )  # fmt: skip
    with signals:
        loop.fit(task, datamodule=data, ckpt_path=run.checkpoint if resume else None, weights_only=True)
    return task, loop


def flat(task: ImageClassification) -> Tensor:
    return torch.cat([parameter.detach().double().flatten() for parameter in task.parameters()])


OPTIMIZERS = [partial(SGD, lr=0.05, momentum=0.9, weight_decay=1e-3), partial(AdamW, lr=0.002)]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=["sgd", "adamw"])
@pytest.mark.parametrize("micro", [100, 150])
def test_micro_batches_are_the_large_batch_to_rounding_with_the_remainder(
    tmp_path: Path, optimizer: Any, micro: int
) -> None:
    one, whole = fit(tmp_path / "whole", recipe_of(optimizer, None))
    other, parts = fit(tmp_path / "parts", recipe_of(optimizer, micro))
    assert parts.global_step == whole.global_step == 9
    assert (flat(other) - flat(one)).norm() / flat(one).norm() < 1e-5
    assert parts.callback_metrics["train/loss"] == pytest.approx(float(whole.callback_metrics["train/loss"]), rel=1e-5)
    assert parts.callback_metrics["learning_rate"] == whole.callback_metrics["learning_rate"]


@pytest.mark.parametrize("mixing", [v2.MixUp(alpha=1.0, num_classes=10), v2.CutMix(num_classes=10)])
def test_mixed_and_weighted_micro_batches_are_the_large_batch(tmp_path: Path, mixing: Any) -> None:
    more: Any = {"mixing": mixing, "loss": nn.CrossEntropyLoss(), "class_weights": [5.0, *[1.0] * 9], "epochs": 1}
    one, whole = fit(tmp_path / "whole", recipe_of(OPTIMIZERS[0], None, **more))
    other, parts = fit(tmp_path / "parts", recipe_of(OPTIMIZERS[0], 150, **more))
    assert (flat(other) - flat(one)).norm() / flat(one).norm() < 1e-5
    assert parts.callback_metrics["train/loss"] == pytest.approx(float(whole.callback_metrics["train/loss"]), rel=1e-5)
    assert parts.callback_metrics["train/error"] == whole.callback_metrics["train/error"]


def test_each_micro_batch_draws_a_mask_of_its_own_and_the_loss_is_the_steps(tmp_path: Path) -> None:
    draws, whole = Draws(), Draws()
    fit(tmp_path / "parts", recipe_of(OPTIMIZERS[0], 100, epochs=1), draws, dropout=0.5)
    assert draws.sizes[:10] == [100] * 10
    assert all(not torch.equal(one, other) for one, other in combinations(draws.masks[:10], 2))
    fit(tmp_path / "whole", recipe_of(OPTIMIZERS[0], None, epochs=1), whole, dropout=0.5)
    torch.testing.assert_close(draws.losses[0], whole.losses[0], rtol=0.05, atol=0)


def test_parts_are_as_even_as_they_can_be(tmp_path: Path) -> None:
    draws = Draws()
    fit(tmp_path, recipe_of(OPTIMIZERS[0], 64, batch=300, epochs=1), draws, dropout=0.5)
    assert draws.sizes[:17] == [60] * 15 + [50] * 2


def test_a_run_in_micro_batches_resumes_to_the_bit(tmp_path: Path) -> None:
    recipe = recipe_of(OPTIMIZERS[1], 100)
    whole, _ = fit(tmp_path / "whole", recipe, dropout=0.5)
    with pytest.raises(SystemExit):
        fit(tmp_path / "cut", recipe, Stopped(), dropout=0.5)
    resumed, _ = fit(tmp_path / "cut", recipe, dropout=0.5, resume=True)
    assert torch.equal(flat(resumed), flat(whole))


def test_micro_batches_in_bfloat16_learn(tmp_path: Path) -> None:
    one, _ = fit(tmp_path / "whole", recipe_of(OPTIMIZERS[0], None, epochs=1), precision="bf16-mixed")
    other, _ = fit(tmp_path / "parts", recipe_of(OPTIMIZERS[0], 100, epochs=1), precision="bf16-mixed")
    assert (flat(other) - flat(one)).norm() / flat(one).norm() < 1e-3
