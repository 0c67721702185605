"""Images are decoded to the same pixels whoever decodes them, and what cannot be read is left out or stops the run."""

import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from data.presented import (
    ALEXNET,
    GOOGLENET,
    assert_same,
    batches,
    by_presentation,
    everything,
    photographed,
    run,
)

from cnnlit.data import decoded_images
from cnnlit.data.images_in_memory import SyntheticImages
from cnnlit.data.sources.layouts import find_images
from cnnlit.data.stores.store_writer import Preparation
from cnnlit.data.transforms.colours import MEAN, STD, PCAColour
from cnnlit.data.workers import watched

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("steps", [ALEXNET, GOOGLENET], ids=["alexnet", "googlenet"])
def test_pixels_are_the_same_for_any_number_of_workers_and_batch_size(photographs: Path, steps: Any) -> None:
    reference = by_presentation(photographed(photographs, augmentation=steps), 2)
    for options in ({"num_workers": 2}, {"batch_size": 7}, {"num_workers": 1, "batch_size": 24}):
        other = by_presentation(photographed(photographs, augmentation=steps, **options), 2)
        assert other.keys() == reference.keys()
        for presentation, image in reference.items():
            torch.testing.assert_close(other[presentation], image, atol=1e-5, rtol=0)


def test_workers_whose_first_batches_do_not_fit_are_refused_before_they_start(
    photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = SimpleNamespace(total=100_000, free=0)
    monkeypatch.setattr(watched.shutil, "disk_usage", lambda _: small)
    monkeypatch.setattr(watched, "SHARED_MEMORY", str(photographs))
    data = photographed(photographs, augmentation=ALEXNET, num_workers=200, batch_size=8)
    with pytest.raises(
        watched.WorkerError, match=r"has 0\.1 MB, 0\.0 MB of them free; a batch needs 0\.\d MB.* 200 workers"
    ):
        data.train_dataloader()


def test_photographs_can_be_handed_to_workers_that_are_not_forked(photographs: Path) -> None:
    data = photographed(photographs, augmentation=(*GOOGLENET, PCAColour()), normalization="mean_image")
    batches(data)
    dataset = data._augmented("train", data._augmentation)
    copy = pickle.loads(pickle.dumps(dataset))
    for ours, theirs in zip(dataset[1, torch.arange(5)][:3], copy[1, torch.arange(5)][:3], strict=True):
        assert torch.equal(ours, theirs)


def test_of_many_photographs_the_mean_is_estimated_on_some(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoded_images, "STATISTICS_SAMPLE", 9)
    data = photographed(photographs, normalization="mean_rgb")
    images, _ = everything(photographed(photographs, order="constant"))
    batches(data)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    whole = ((images * std + mean) * 255).mean(dim=0)
    estimate = data._normalize.mean_image
    assert estimate is not None
    assert not torch.equal(estimate, whole)
    assert (estimate - whole).abs().mean() < 40


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("stop_after", [1, 4, 6])
def test_a_run_cut_off_goes_on_with_the_batch_that_is_next(
    photographs: Path, tmp_path: Path, stop_after: int, num_workers: int
) -> None:
    options: Any = {"augmentation": ALEXNET, "normalization": "mean_image", "num_workers": num_workers}
    whole = run(photographed(photographs, **options), tmp_path)  # 24 images in batches of 5, twice
    with pytest.raises(SystemExit):
        run(photographed(photographs, **options), tmp_path, stop_after=stop_after)
    resumed = run(photographed(photographs, **options), tmp_path, resume=True)
    assert_same(resumed.seen["train"], whole.seen["train"][stop_after:])
    assert_same(resumed.seen["test"], whole.seen["test"])


@pytest.mark.parametrize("encoding", ["jpeg", "raw"])
def test_a_run_on_a_store_goes_on_with_the_batch_that_is_next(photographs: Path, tmp_path: Path, encoding: Any) -> None:
    store = Preparation(to=str(tmp_path / "store"), encoding=encoding, side=32).run(find_images(photographs))
    options: Any = {"augmentation": ALEXNET, "normalization": "mean_image", "num_workers": 1, "block_images": 4}
    whole = run(photographed(store.folder, **options), tmp_path)
    with pytest.raises(SystemExit):
        run(photographed(store.folder, **options), tmp_path, stop_after=6)
    resumed = run(photographed(store.folder, **options), tmp_path, resume=True)
    assert_same(resumed.seen["train"], whole.seen["train"][6:])
    assert_same(resumed.seen["test"], whole.seen["test"])


def test_an_unreadable_image_is_named(photographs: Path, tmp_path: Path) -> None:
    shutil.copytree(photographs, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "val" / "n00000002" / "n00000002_1.JPEG"
    for content in (b"", b"no image", path.read_bytes()[:500]):
        path.write_bytes(content)
        for num_workers in (0, 2):
            with pytest.raises(ValueError, match="cannot be read as an image") as refusal:
                batches(photographed(tmp_path, num_workers=num_workers), "test")
            assert str(path) in str(refusal.value)
            assert "\n" not in str(refusal.value)


@pytest.fixture
def damaged(photographs: Path, tmp_path: Path) -> tuple[Path, list[str]]:
    """The photographs, and those of them that cannot be read: two for training, one for the test."""
    root = tmp_path / "damaged"
    shutil.copytree(photographs, root)
    paths = [root / "train/n00000001/n00000001_3.JPEG", root / "train/n00000003/n00000003_0.JPEG"]
    paths.append(root / "val/n00000002/n00000002_1.JPEG")
    paths[0].write_bytes(b"no image")
    for path in paths[1:]:
        path.write_bytes(path.read_bytes()[:-200])
    return root, [str(path) for path in paths]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_what_cannot_be_read_is_left_out_and_listed_and_the_others_are_as_ever(
    photographs: Path, damaged: tuple[Path, list[str]], num_workers: int
) -> None:
    root, paths = damaged
    options: Any = {"augmentation": (*ALEXNET, PCAColour())}
    data = photographed(root, on_unreadable="skip", num_workers=num_workers, **options)
    whole = photographed(photographs, **options)
    for split, without in (("train", paths[:2]), ("test", paths[2:])):
        files = whole._splits[split]
        missing = [
            index
            for index in range(len(files))
            if str(root / Path(files.path(index)).relative_to(photographs)) in without
        ]
        loaders: Any = {"train": whole.train_dataloader, "test": whole.test_dataloader}
        order = loaders[split]().sampler.presentations(0)
        kept = torch.tensor([index not in missing for index in order.tolist()])
        images, labels = everything(data, split)
        expected_images, expected_labels = everything(whole, split)
        assert len(images) == len(files) - len(without)
        assert torch.equal(images, expected_images[kept])
        assert torch.equal(labels, expected_labels[kept])
    assert data.unreadable == sorted(paths)


def test_the_sequence_of_the_test_has_what_was_answered(photographs: Path, damaged: tuple[Path, list[str]]) -> None:
    data = photographed(damaged[0], on_unreadable="skip")
    everything(data, "test")
    whole = photographed(photographs).test_images
    assert len(data.test_images) == 11
    expected = [whole[index] for index in range(12) if index != 5]
    assert all(torch.equal(shown, other) for shown, other in zip(data.test_images, expected, strict=True))


def test_the_mean_image_is_that_of_what_can_be_read(damaged: tuple[Path, list[str]]) -> None:
    options: Any = {"on_unreadable": "skip", "normalization": "mean_image"}
    data = photographed(damaged[0], **options)
    shown, _ = everything(data)
    mean = data._normalize.mean_image
    assert mean is not None
    assert len(shown) == 22
    torch.testing.assert_close(shown.mean(dim=0), torch.zeros_like(mean), atol=1e-3, rtol=0)
    with pytest.raises(ValueError, match=r"n00000001_3\.JPEG cannot be read"):
        everything(photographed(damaged[0], normalization="mean_image"))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_batch_of_which_nothing_remains_is_no_step(
    damaged: tuple[Path, list[str]], tmp_path: Path, num_workers: int
) -> None:
    data = photographed(damaged[0], on_unreadable="skip", num_workers=num_workers, batch_size=1, eval_batch_size=1)
    recorder = run(data, tmp_path)
    assert [len(labels) for _, labels in recorder.seen["train"]] == [1] * 44
    assert sum(len(labels) for _, labels in recorder.seen["test"]) == 11
    assert data.unreadable == sorted(damaged[1])


def test_what_can_wait_for_data_says_what_to_turn(photographs: Path) -> None:
    decoded = photographed(photographs, num_workers=0)
    decoded.setup()
    assert "data.num_workers=0" in (decoded.when_waiting() or "")
    drawn = SyntheticImages(image_size=16)
    drawn.setup()
    assert drawn.when_waiting() is None
