"""A replica that is trained in lock-step with others is the run of its seed alone."""

from functools import partial
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer, seed_everything
from torch import nn
from torch.optim import LBFGS, SGD, AdamW

from cnnlit.callbacks.averaging import PolyakAveraging
from cnnlit.data.small_images import SmallImages
from cnnlit.models.lenet5 import LeNet5
from cnnlit.runs.metrics_file import MetricsFile, ReplicaMetrics
from cnnlit.runs.reading import read_metrics
from cnnlit.training.losses import MaximumAPosteriori, MeanSquaredDistance
from cnnlit.training.module import ImageClassification
from cnnlit.training.optimizers import StochasticDiagonalLM
from cnnlit.training.recipe import Recipe
from cnnlit.training.schedules import Constant, Plateau, WarmupCosine
from cnnlit.training.stacked_seeds import StackedSeeds, of_one, stacked, unstacked, why_not_stacked

pytestmark = pytest.mark.filterwarnings("ignore")

SEEDS = (4, 5, 6)
EPOCHS = 2
MODERN: dict[str, Any] = {"activation": "relu", "pooling": "max", "head": "linear", "initialization": "he2015"}
PAPER: dict[str, Any] = {"initialization": "lecun1998_sqrt"}


def recipe(loss: nn.Module, optimizer: Any, schedule: Any = WarmupCosine, **more: Any) -> Recipe:
    return Recipe(
        batch_size=200, epochs=EPOCHS, order="fresh", loss=loss, optimizer=optimizer, schedule=schedule, **more
    )


NESTEROV = partial(SGD, lr=0.02, momentum=0.9, nesterov=True, weight_decay=5e-4)
RECIPES = {
    "1998's loss, AdamW": (PAPER, recipe(MaximumAPosteriori(10.0), partial(AdamW, lr=0.005, weight_decay=0.1)), {}),
    "mean squared, clipped": (PAPER, recipe(MeanSquaredDistance(), NESTEROV, gradient_clip_norm=0.5), {}),
    "cross-entropy, exempt from decay": (
        MODERN,
        recipe(nn.CrossEntropyLoss(), NESTEROV, decay_exempt=["biases"], gradient_clip_norm=1.0),
        {"distortion_copies": 2},
    ),
    "averaged, limited": (
        MODERN,
        recipe(nn.CrossEntropyLoss(), partial(SGD, lr=0.05), averaging_decay=0.9, max_filter_rms=0.05),
        {"order": "constant", "precision": "32-true"},  # Lightning's averages are not made for double precision
    ),
    "1998's method": (
        PAPER,
        recipe(MeanSquaredDistance(), partial(StochasticDiagonalLM, lr=5e-4, mu=0.5, num_samples=50), Constant),
        {"distortion_copies": 1, "batch_size": 20},
    ),
}  # fmt: skip


def network(seed: int, model: dict[str, Any]) -> LeNet5:
    seed_everything(seed, verbose=False)
    return LeNet5(**model)


class Kept(Callback):
    """Keeps the state at the end."""

    def on_train_end(self, trainer: Trainer, *_: Any) -> None:
        self.state = trainer._checkpoint_connector.dump_checkpoint()


def fit(task: Any, training: Recipe, logger: Any, *callbacks: Callback, replicas: int = 1, **more: Any) -> Any:
    """Both epochs on distorted digits; the state at their end."""
    checkpoint = more.pop("ckpt_path", None)
    precision = more.pop("precision", "64-true")
    digits = SmallImages(**{"val_split": 180, "batch_size": 200, "distortion": "affine1998", "seed": SEEDS[0],
                                  "order": training.order, **more})  # fmt: skip
    digits.replicas = replicas
    digits.setup()
    averaging = [PolyakAveraging(training.averaging_decay)] if training.averaging_decay else []
    kept = Kept()
    loop = Trainer(
        accelerator="cpu",
        precision=precision,
        max_epochs=EPOCHS,
        gradient_clip_val=training.gradient_clip_norm,
        callbacks=[*averaging, *callbacks, kept],
        logger=logger,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    loop.fit(task, datamodule=digits, ckpt_path=checkpoint, weights_only=True)
    return kept.state


def fit_replicas(model: dict[str, Any], training: Recipe, folder: Any, *callbacks: Callback, **more: Any) -> Any:
    networks = [network(seed, model) for seed in SEEDS]
    task = StackedSeeds(networks, recipe=training, num_classes=10, seeds=SEEDS)
    logger = ReplicaMetrics([folder / str(number) for number in range(len(SEEDS))])
    return fit(task, training, logger, *callbacks, replicas=len(SEEDS), **more)


def differences(one: Any, other: Any) -> list[float]:
    """The largest differences of all tensors below two containers of the same keys and shapes."""
    if isinstance(one, torch.Tensor):
        assert one.shape == other.shape
        return [float((one.double() - other.double()).abs().max())]
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        return [each for key in one for each in differences(one[key], other[key])]
    if isinstance(one, list | tuple):
        assert len(one) == len(other)
        return [each for pair in zip(one, other, strict=True) for each in differences(*pair)]
    return []


@pytest.mark.parametrize("name", RECIPES)
def test_each_replica_is_its_seed_alone(tmp_path, name):
    """In double precision, where rounding hides no difference: weights, optimizer, averages, curves."""
    model, training, data = RECIPES[name]
    bound = 1e-4 if data.get("precision") == "32-true" else 1e-9
    together = fit_replicas(model, training, tmp_path, **data)
    number, seed = 1, SEEDS[1]
    task = ImageClassification(network(seed, model), recipe=training, num_classes=10, seed=seed)
    alone = fit(task, training, MetricsFile(tmp_path / "alone"), **{**data, "seed": seed})
    mine = of_one(together, number)
    assert set(mine) == set(alone)
    kept = ("state_dict", "optimizer_states", "lr_schedulers", "current_model_state", "averaging_state")
    for part in [part for part in kept if part in alone]:
        assert max(differences(mine[part], alone[part]), default=0.0) < bound, part
    rows = [read_metrics(tmp_path / folder) for folder in (str(number), "alone")]
    assert len(rows[0]) == len(rows[1]) == EPOCHS
    for one, other in zip(*rows, strict=True):
        assert one.keys() == other.keys()
        own = {key: float(value) for key, value in one.items() if key != "seconds"}
        assert own == pytest.approx({key: float(other[key]) for key in own}, rel=1e-4)


def test_replicas_see_what_their_seeds_see_alone():
    def batches(replicas: int, seed: int, **options: Any) -> list[Any]:
        digits = SmallImages(**{"batch_size": 400, "distortion": "affine1998", "seed": seed, **options})
        digits.replicas = replicas
        digits.setup()
        loader = digits.train_dataloader()
        loader.sampler.set_epoch(3)
        loader.sampler.skip(1)
        return list(loader)

    for options in ({"distortion": "elastic2003"}, {"passes_per_epoch": 2}, {"distortion_copies": 1}):
        each = [batches(1, seed, **options) for seed in (7, 8)]
        together = batches(2, 7, **options)
        assert len(together) == len(each[0])
        for step, (images, labels) in enumerate(together):
            torch.testing.assert_close(images, torch.cat([alone[step][0] for alone in each]), rtol=0, atol=1e-5)
            assert torch.equal(labels, torch.cat([alone[step][1] for alone in each]))


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 20])
def test_a_compiled_step_of_replicas_is_the_step(batch_size):
    _, training, _ = RECIPES["1998's method"]
    images, labels = torch.rand(3, batch_size, 1, 32, 32), torch.arange(3 * batch_size).view(3, -1) % 10
    results = []
    for compiled in (False, True):
        task = StackedSeeds([network(seed, PAPER) for seed in SEEDS], recipe=training, num_classes=10, seeds=[7] * 3)
        if compiled:
            task.compile()
        losses, logits = task._answer(dict(task.model.named_parameters()), images, labels)
        losses.sum().backward()
        results.append([losses, logits, *(parameter.grad for parameter in task.model.parameters())])
    for plain, fused in zip(*results, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-3, atol=1e-4)


def test_the_curvatures_of_replicas_are_those_of_their_own_images_and_networks():
    def digits(replicas, seed):
        data = SmallImages(distortion="affine1998", distortion_copies=1, seed=seed)
        data.replicas = replicas
        data.setup()
        return data

    for number, seed in enumerate((7, 8)):
        images, labels = digits(2, 7).curvature_sample(50, 3, number)
        alone, its_labels = digits(1, seed).curvature_sample(50, 3)
        torch.testing.assert_close(images, alone, rtol=0, atol=1e-6)
        assert torch.equal(labels, its_labels)
    together = stacked([network(seed, PAPER) for seed in SEEDS])
    for number, seed in enumerate(SEEDS):
        assert all(
            torch.equal(own, mine)
            for own, mine in zip(
                network(seed, PAPER).parameters(), unstacked(together, number).parameters(), strict=True
            )
        )


class CutOff(Callback):
    """Ends the training before the last epoch, and keeps the state that it had then."""

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.current_epoch == EPOCHS - 1:
            trainer.fit_loop.epoch_loop.reset()
            trainer.save_checkpoint(trainer.default_root_dir + "/cut.ckpt")


def test_interrupted_replicas_resume_to_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, training, _ = RECIPES["1998's loss, AdamW"]
    whole = fit_replicas(model, training, tmp_path / "whole", CutOff(), precision="32-true")
    resumed = fit_replicas(model, training, tmp_path / "resumed", ckpt_path="cut.ckpt", precision="32-true")
    for part in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert max(differences(whole[part], resumed[part]), default=0.0) == 0.0


def test_a_replica_that_diverges_spoils_no_other(tmp_path):
    model, training, _ = RECIPES["1998's loss, AdamW"]
    sound = fit_replicas(model, training, tmp_path / "sound")

    class Spoiler(Callback):
        def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
            with torch.no_grad():
                pl_module.model.f6.weight[1].fill_(float("inf"))

    spoilt = fit_replicas(model, training, tmp_path / "spoilt", Spoiler())
    assert spoilt["diverged"] == [0, 1, 0]
    for number in (0, 2):
        one, other = (of_one(each, number)["state_dict"] for each in (sound, spoilt))
        assert max(differences(one, other)) < 1e-9
    assert not of_one(spoilt, 1)["state_dict"]["model.f6.weight"].isfinite().all()


def test_stacked_networks_have_the_names_and_values_of_each():
    networks = [network(seed, PAPER) for seed in SEEDS]
    together = dict(stacked(networks).named_parameters())
    for name, parameter in networks[2].named_parameters():
        assert torch.equal(together[name][2], parameter)


@pytest.mark.parametrize(
    ("model", "changes", "reason"),
    [
        ({}, {}, None),
        ({"dropout": 0.5}, {}, "dropout"),
        ({"normalization": "batch"}, {}, "statistics"),
        ({}, {"optimizer": LBFGS}, "LBFGS"),
        ({}, {"schedule": Plateau}, "validation error"),
    ],
)
def test_what_cannot_be_stacked_says_why(model, changes, reason):
    training = recipe(**{"loss": nn.CrossEntropyLoss(), "optimizer": AdamW, "schedule": Constant, **changes})
    said = why_not_stacked(LeNet5(**model), training)
    assert said is None if reason is None else reason in said
