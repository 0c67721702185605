"""Whole runs on a pretended device: no tensor of theirs is left on the CPU, and no step waits for the device."""

import sys
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch.utils._pytree import tree_map_only

from cnnlit import train
from cnnlit.data.transforms.distortions import AffineDistortion
from cnnlit.experiment import assembly
from cnnlit.training import losses, metrics, optimizers, protocol, stacked_seeds
from cnnlit.training.module import ImageClassification
from tests.pretended_device import OnDevice, pretended

COLOURS = ("data=synthetic", "data.drawn_images=24", "data.num_classes=3", "data.val_split=4", "recipe.batch_size=4")
DIGITS = ("data=digits", "data.val_split=1373")
"""64 images are left for the training."""

LOOKS = "in finite_loss.py"
"""Once a second the losses of the steps before are looked at."""

TOLD = {"int64 []"}
"""torch's AveragedModel sends the number of its steps along; the CPU does not wait for that."""


class Step(NamedTuple):
    """What one training step asked of the device."""

    waits: Counter[str]
    uploads: Counter[str]


class OwnAccelerator(CPUAccelerator):
    """Lets a strategy have another device than the CPU."""

    def setup_device(self, device: torch.device) -> None:
        pass


Run = Callable[..., list[Step]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Trains and tests on the pretended device; the steps but the first, in which constants travel."""

    def strategy(*_: Any, **__: Any) -> SingleDeviceStrategy:
        return SingleDeviceStrategy(device=torch.device("cuda", 0), accelerator=OwnAccelerator())

    def trained(*words: str) -> list[Step]:
        seen: list[tuple[Counter[str], Counter[str]]] = []
        start = ImageClassification.on_train_batch_start

        def started(module: ImageClassification, batch: Any, batch_idx: int) -> None:
            seen.append((traffic.waits.copy(), traffic.uploads.copy()))
            start(module, batch, batch_idx)

        always = ("recipe.epochs=1", "logger=none", "+trainer.inference_mode=false", f"hydra.run.dir={tmp_path}/run")
        monkeypatch.setattr(sys, "argv", ["train", *words, *always])
        monkeypatch.setattr(assembly, "strategy_for", strategy)
        monkeypatch.setattr(ImageClassification, "on_train_batch_start", started)
        monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
        monkeypatch.chdir(tmp_path)
        with pretended() as traffic:
            train.main()
        assert (tmp_path / "run" / "test.json").is_file() or (tmp_path / "run" / "0" / "test.json").is_file()
        return [Step(waits - before, sent - earlier) for (before, earlier), (waits, sent) in pairwise(seen[1:])]

    return trained


QUICK = {
    "LeNet-5, distorted": (*DIGITS, "recipe.batch_size=16", "data.distortion=elastic2003", "protocol=shifts"),
    "the training of 1998": ("recipe=lecun1998", "data=digits", "data.val_split=1427"),
    "ResNet, clipped": ("model=resnet18", *COLOURS, "data.image_size=32", "recipe.gradient_clip_norm=0.1"),
    "GoogLeNet": ("model=googlenet", *COLOURS, "data.image_size=64"),
}

SLOW = {
    "SDLM and eq. 9": ("experiment=lenet5_1998", "data=digits", "data.val_split=1427", "replicas_as=processes"),
    "AlexNet, ten crops": ("model=alexnet", "model.width=0.05", *COLOURS, "data.image_size=64", "protocol=ten_crop"),
    "ZFNet": ("model=zfnet", "model.width=0.05", *COLOURS, "data.image_size=64"),
    "VGG, dense": ("model=vgg11", "model.width=0.05", *COLOURS, "data.image_size=64", "protocol=dense"),
    "VGG, many scales": ("model=vgg11", "model.width=0.05", *COLOURS, "data.image_size=64", "protocol=multi_scale"),
    "GoogLeNet, 144 crops": ("model=googlenet", *COLOURS, "data.image_size=64", "protocol=multi_crop_144"),
    "ResNet-50": ("model=resnet50", *COLOURS, "data.image_size=32"),
    "ResNet-20": ("model=resnet20", *COLOURS, "data.image_size=32", "recipe=he2015_cifar", "recipe.batch_size=4"),
    "CompactNet": ("model=compact", *DIGITS, "recipe.batch_size=16"),
    "modern": ("model=resnet18", *COLOURS, "data.image_size=32", "recipe=modern_images", "recipe.batch_size=4"),
    "mixup": (
        "model=resnet20",
        *COLOURS,
        "data.image_size=32",
        "recipe/mixing=mixup_cutmix",
        "recipe/loss=cross_entropy",
    ),
    "micro-batches": ("model=resnet20", *COLOURS, "data.image_size=32", "recipe.micro_batch_size=2"),
    "class weights": ("model=resnet20", *COLOURS, "data.image_size=32", "recipe.class_weights=[1.0,2.0,3.0]"),
    "balanced order": ("model=resnet20", *COLOURS, "data.image_size=32", "recipe.order=balanced"),
    "affine distortions, copies": (
        *DIGITS,
        "recipe.batch_size=16",
        "data.distortion=affine1998",
        "data.distortion_copies=2",
    ),
    "max-pooling, softmax": ("model.pooling=max", "model.head=linear", "recipe/loss=smoothed", *DIGITS),
}


def asked(counts: Counter[str]) -> set[str]:
    """What was asked for, without what is told to be allowed."""
    return {each for each in counts if LOOKS not in each and each.partition(" in ")[0] not in TOLD}


@pytest.mark.slow
@pytest.mark.parametrize("words", QUICK.values(), ids=QUICK)
def test_a_run_stays_on_its_device_and_a_step_waits_for_nothing(run: Run, words: tuple[str, ...]) -> None:
    steps = run(*words)
    assert steps
    for step in steps:
        assert not asked(step.waits)
        assert not asked(step.uploads)


@pytest.mark.slow
@pytest.mark.parametrize("words", SLOW.values(), ids=SLOW)
def test_so_does_every_other_network_recipe_and_protocol(run: Run, words: tuple[str, ...]) -> None:
    test_a_run_stays_on_its_device_and_a_step_waits_for_nothing(run, words)


@pytest.mark.slow
def test_seeds_in_lock_step_stay_on_their_device(run: Run) -> None:
    run(*DIGITS, "recipe.batch_size=16", "replicas=2", "replicas_as=stack")


def with_cpu(value: Any) -> Any:
    """A number on the CPU added to each tensor that is on the device."""
    return tree_map_only(OnDevice, lambda each: each + torch.zeros(1, dtype=each.dtype), value)


def returns(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: with_cpu(function(*args, **kwargs))


def takes(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda its, *args, **kwargs: function(its, *with_cpu(args), **kwargs)


SDLM_WORDS = ("recipe=lecun1998", "data.val_split=1427", "recipe.batch_size=1")
PLANTED: dict[str, tuple[Any, str, Any, tuple[str, ...]]] = {
    "loss": (losses.MaximumAPosteriori, "forward", returns, ()),
    "metric": (metrics.RunningTotals, "update", takes, ()),
    "distortion": (AffineDistortion, "__call__", returns, ("data.distortion=affine1998",)),
    "protocol": (protocol.EvaluationProtocol, "answer", returns, ("protocol=shifts",)),
    "stack": (stacked_seeds.StackedSeeds, "_lockstep", returns, ("replicas=2", "replicas_as=stack")),
    "SDLM": (optimizers, "diagonal_curvature", returns, SDLM_WORDS),
}


@pytest.mark.slow
@pytest.mark.parametrize("planted", PLANTED)
def test_a_tensor_that_is_left_on_the_cpu_is_found(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], planted: str
) -> None:
    owner, name, spoilt, words = PLANTED[planted]
    monkeypatch.setattr(owner, name, spoilt(getattr(owner, name)))
    with pytest.raises(SystemExit):  # as an error in somebody's own code, which a test is
        run(*DIGITS, "recipe.batch_size=16", *words)
    assert "on the CPU, the others on the device" in capsys.readouterr().err
