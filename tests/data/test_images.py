"""Images are split exactly and augmented alike wherever they are, and a run finds its place again."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from data.presented import (
    ALEXNET,
    GOOGLENET,
    SIDE,
    assert_same,
    batches,
    contents,
    drawn,
    everything,
    run,
)
from torch import Tensor

from cnnlit.data import images as module
from cnnlit.data.images import ImageData
from cnnlit.data.transforms.colours import MEAN, STD, PCAColour
from cnnlit.data.transforms.geometry import Flip

pytestmark = pytest.mark.filterwarnings("ignore")


def test_splits_have_exact_counts_and_are_disjoint_and_complete(source: Any) -> None:
    whole, split = source(val_split=0), source(val_split=0.25)
    counts = {name: len(everything(split, name)[1]) for name in ("train", "val", "test")}
    assert split.num_images == counts
    assert counts["val"] == whole.num_images["train"] // 4
    train, val = contents(everything(split, "train")[0]), contents(everything(split, "val")[0])
    assert not train & val
    assert train + val == contents(everything(whole, "train")[0])
    assert torch.equal(everything(split, "test")[0], everything(whole, "test")[0])


def test_without_a_validation_split_there_is_no_loader(source: Any) -> None:
    data = source(val_split=0)
    assert data.num_images["val"] == 0
    assert data.val_dataloader() == []


def test_the_same_seed_gives_the_same_epochs_and_another_others(source: Any) -> None:
    def epoch(number: int, seed: int = 0) -> Tensor:
        return everything(source(augmentation=ALEXNET, seed=seed), epoch=number)[0]

    assert torch.equal(epoch(1), epoch(1))
    assert not contents(epoch(1)) & contents(epoch(2))
    assert not contents(epoch(1)) & contents(epoch(1, seed=1))


def test_the_curvature_sample_is_drawn_anew_each_epoch_from_the_training_images(source: Any) -> None:
    data = source(val_split=0.25)
    sample, labels = data.curvature_sample(10, 2)
    assert sample.shape == (10, 3, SIDE, SIDE)
    assert labels.shape == (10,)
    assert contents(sample) <= contents(everything(data)[0])
    assert torch.equal(data.curvature_sample(10, 2)[0], sample)
    assert contents(data.curvature_sample(10, 3)[0]) != contents(sample)


def test_replicas_partition_each_batch(source: Any) -> None:
    whole = batches(source(augmentation=GOOGLENET))
    shares = []
    for rank in range(2):
        data = source(augmentation=GOOGLENET)
        shared = {"num_replicas": 2, "rank": rank}
        strategy = SimpleNamespace(root_device=torch.device("cpu"), distributed_sampler_kwargs=shared)
        progress = SimpleNamespace(epoch_progress=SimpleNamespace(current=SimpleNamespace(processed=0)))
        data.trainer = SimpleNamespace(
            global_rank=rank, world_size=2, num_devices=2, strategy=strategy, fit_loop=progress
        )
        shares.append(batches(data))
    for (images, _), *parts in zip(whole, *shares, strict=True):
        together = torch.cat([part[0] for part in parts])
        assert len(together) == len(images)
        expected = torch.cat([images[0::2], images[1::2]])
        torch.testing.assert_close(together, expected, atol=1e-4, rtol=0)


def test_the_mean_image_is_that_of_the_training_images_as_tested(source: Any) -> None:
    data = source(val_split=0.25, normalization="mean_image", augmentation=ALEXNET)
    images, _ = everything(source(val_split=0.25, augmentation=data._evaluation.geometry))
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    expected = ((images * std + mean) * 255).mean(dim=0)
    batches(data)
    torch.testing.assert_close(data._normalize.mean_image, expected, atol=1e-3, rtol=0)
    tested, plain = everything(data, "test")[0], everything(source(augmentation=ALEXNET), "test")[0]
    torch.testing.assert_close(tested, (plain * std + mean) * 255 - expected, atol=1e-3, rtol=0)


def test_the_components_are_those_of_the_training_images_colours(source: Any) -> None:
    options: Any = {"val_split": 0.25, "augmentation": [PCAColour(statistics="training")]}
    data = source(**options)
    batches(data, "val")
    (step,) = data._augmentation.colours
    assert step.components is None, "a test needs none"
    batches(data)
    images, _ = everything(source(val_split=0.25))
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    colours = (images * std + mean).movedim(1, 0).flatten(1).double().numpy()
    values, vectors = np.linalg.eigh(np.cov(colours))
    found = step.components.double().numpy() / 255
    np.testing.assert_allclose(np.linalg.norm(found, axis=0), values[::-1], rtol=1e-3)
    np.testing.assert_allclose(np.abs((found / values[::-1] * vectors[:, ::-1]).sum(axis=0)), 1, rtol=1e-3)
    assert (found[np.abs(found).argmax(axis=0), range(3)] > 0).all()


def test_statistics_are_taken_in_one_pass(source: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[Any] = []
    taken = module.pixel_statistics

    def count(*arguments: Any) -> Any:
        passes.append(arguments)
        return taken(*arguments)

    monkeypatch.setattr(module, "pixel_statistics", count)
    data = source(val_split=0.25, augmentation=[PCAColour(statistics="training")], normalization="mean_image")
    for split in ("val", "train", "test"):
        batches(data, split)
    assert len(passes) == 1


def test_training_is_augmented_and_validation_and_test_are_not(source: Any, tmp_path: Path) -> None:
    options: Any = {"val_split": 0.25, "augmentation": ALEXNET}
    recorder = run(source(**options), tmp_path)
    data = source(**options)
    assert_same(recorder.seen["train"], batches(data, "train", 0) + batches(data, "train", 1))
    assert_same(recorder.seen["val"], batches(data, "val") * 2)
    assert_same(recorder.seen["test"], batches(data, "test"))


def test_a_resumed_run_keeps_its_statistics(source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_statistics() -> ImageData[Any]:
        chosen: ImageData[Any] = source(normalization="mean_image", augmentation=[PCAColour(statistics="training")])
        return chosen

    with pytest.raises(SystemExit):
        run(with_statistics(), tmp_path, stop_after=1)
    kept = torch.load(tmp_path / "last.ckpt", weights_only=True)[type(source()).__name__]

    def refuse(*_: Any) -> Tensor:
        raise AssertionError("computed again")

    monkeypatch.setattr(module, "pixel_statistics", refuse)
    data = with_statistics()
    run(data, tmp_path, resume=True)
    assert data._normalize.mean_image is not None
    assert torch.equal(data._normalize.mean_image, kept["mean_image"])
    assert torch.equal(data._augmentation.colours[0].components, kept["colour_components"])


def test_test_images_are_those_of_the_test_in_its_order(source: Any) -> None:
    data = source(augmentation=ALEXNET)
    images, _ = everything(data, "test")
    shown = data.test_images
    assert len(shown) == len(images)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    for index in (0, 5, len(shown) - 1):
        assert shown[index].dtype == torch.uint8
        if source is not drawn:
            torch.testing.assert_close(shown[index].float(), (images[index] * std + mean) * 255, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"batch_size": 61}, "recipe.batch_size=61 is more than the 60 training images"),
        ({"val_split": 4}, "data.val_split=4: hold out 0, or 5 to 55 of the 60 training images"),
        ({"val_split": 0.95}, "data.val_split=0.95: hold out 0, or 5 to 55"),
        ({"augmentation": [PCAColour(), Flip()]}, "data.augmentation: Flip comes after PCAColour"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(options: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refusal:
        drawn(**options)
    assert "\n" not in str(refusal.value)
