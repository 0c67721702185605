"""Images come split exactly, augmented alike wherever they are decoded, and a run finds its place again."""

import pickle
import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning import LightningModule, Trainer
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import functional as torchvision

from cnnlit.data import images as module
from cnnlit.data.images import Images
from cnnlit.data.loading.datasets import ImageBatch
from cnnlit.data.sources.layouts import find_images
from cnnlit.data.sources.store_writer import Preparation
from cnnlit.data.transforms.colours import MEAN, STD, PCAColour
from cnnlit.data.transforms.geometry import CenterCrop, Flip, RandomCrop, RandomResizedCrop, ShorterSide
from cnnlit.runs.checkpoint_io import WholeCheckpoints

pytestmark = pytest.mark.filterwarnings("ignore")

SIDE = 24
ALEXNET = (ShorterSide(pixels=256), CenterCrop(pixels=256), RandomCrop(pixels=224), Flip(), PCAColour())
GOOGLENET = (RandomResizedCrop(pixels=224), Flip())


def drawn(**options: Any) -> Images:
    """Twelve images of each of five classes for training, and 12 for the test."""
    chosen: Any = {"image_size": SIDE, "num_classes": 5, "drawn_images": 60, "batch_size": 16, **options}
    data = Images(source="synthetic", **chosen)
    data.setup()
    return data


def photographed(root: Path, **options: Any) -> Images:
    chosen: Any = {"image_size": SIDE, "num_classes": 3, "batch_size": 5, "num_workers": 0, **options}
    data = Images(**{"source": "imagenet", "root": str(root), **chosen})
    data.setup()
    return data


def batches(data: Images, split: str = "train", epoch: int = 0) -> list[tuple[Tensor, Tensor]]:
    """What a network is given, without Lightning."""
    loaders: Any = {"train": data.train_dataloader, "val": data.val_dataloader, "test": data.test_dataloader}
    loader = loaders[split]()
    (loader,) = loader if isinstance(loader, list) else [loader]
    loader.sampler.set_epoch(epoch)
    augmentation = data._augmentation if split == "train" else data._evaluation
    finished = []
    for batch in loader:
        images, labels = batch[:2]
        finished.append((augmentation.finish(images, batch.draws) if isinstance(batch, ImageBatch) else images, labels))
    return finished


def everything(data: Images, split: str = "train", epoch: int = 0) -> tuple[Tensor, Tensor]:
    images, labels = (torch.cat(parts) for parts in zip(*batches(data, split, epoch), strict=True))
    return images, labels


def contents(images: Tensor) -> Counter[bytes]:
    return Counter(image.numpy().tobytes() for image in images)


@pytest.fixture(params=["drawn", "photographed"])
def source(request: pytest.FixtureRequest, photographs: Path) -> Any:
    """Both ways in which images come."""
    return drawn if request.param == "drawn" else lambda **options: photographed(photographs, **options)


# Splits


def test_splits_have_exact_counts_and_are_disjoint_and_complete(source: Any) -> None:
    whole, split = source(val_split=0), source(val_split=0.25)
    counts = {name: len(everything(split, name)[1]) for name in ("train", "val", "test")}
    assert split.num_images == counts
    assert counts["val"] == whole.num_images["train"] // 4
    train, val = contents(everything(split, "train")[0]), contents(everything(split, "val")[0])
    assert not train & val
    assert train + val == contents(everything(whole, "train")[0])
    assert torch.equal(everything(split, "test")[0], everything(whole, "test")[0])


def test_a_split_is_stratified_and_depends_on_split_seed_alone(photographs: Path) -> None:
    def held_out(**options: Any) -> Counter[bytes]:
        images, labels = everything(photographed(photographs, val_split=6, **options), "val")
        assert labels.bincount().tolist() == [2, 2, 2]
        return contents(images)

    assert held_out(seed=0) == held_out(seed=5, batch_size=3, order="constant")
    assert held_out() != held_out(split_seed=1)


def test_a_split_may_be_a_number_or_a_fraction(photographs: Path) -> None:
    assert photographed(photographs, val_split=0.25).num_images == photographed(photographs, val_split=6).num_images


def test_a_set_without_a_validation_set_is_split_in_three(photographs: Path) -> None:
    whole = photographed(photographs / "train", test_split=6, val_split=0.5, source="folder")
    assert whole.num_images == {"train": 9, "val": 9, "test": 6}
    assert everything(whole, "test")[1].bincount().tolist() == [2, 2, 2]
    parts = [contents(everything(whole, split)[0]) for split in ("train", "val", "test")]
    assert sum(parts, Counter()) == contents(everything(photographed(photographs))[0])
    again = photographed(photographs / "train", test_split=0.25, val_split=0, source="folder", seed=7, batch_size=3)
    assert contents(everything(again, "test")[0]) == parts[2]
    other = photographed(photographs / "train", test_split=6, source="folder", split_seed=1)
    assert contents(everything(other, "test")[0]) != parts[2]


def test_a_class_of_one_image_is_split_at_random(photographs: Path, tmp_path: Path) -> None:
    for number, path in enumerate(sorted(photographs.rglob("*.JPEG"))):
        (tmp_path / f"{number:02d}").mkdir()
        shutil.copy(path, tmp_path / f"{number:02d}" / "0.JPEG")
    data = photographed(tmp_path, num_classes=36, test_split=0.25, val_split=5)
    assert data.num_images == {"train": 22, "val": 5, "test": 9}
    labels = torch.cat([everything(data, split)[1] for split in ("train", "val", "test")])
    assert labels.sort().values.tolist() == list(range(36))


def test_a_validation_set_alone_can_be_tested_on_and_not_trained_on(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "val").symlink_to(photographs / "val")
    data = Images(source="imagenet", root=str(tmp_path), num_classes=3, image_size=SIDE, val_split=0.1, num_workers=0)
    with pytest.raises(ValueError, match=r"only images to test with, none to train on"):
        data.setup("fit")
    data.setup("test")
    assert data.num_images == {"train": 0, "val": 0, "test": 12}
    assert torch.equal(everything(data, "test")[0], everything(photographed(photographs), "test")[0])


@pytest.mark.parametrize("share", [24, 2])
def test_a_test_split_that_leaves_a_class_out_is_refused(photographs: Path, share: int) -> None:
    with pytest.raises(ValueError, match=rf"data.test_split={share}: hold out 3 to 21 of the 24"):
        photographed(photographs / "train", test_split=share)


def test_without_a_validation_split_there_is_no_loader(source: Any) -> None:
    data = source(val_split=0)
    assert data.num_images["val"] == 0
    assert data.val_dataloader() == []


def test_the_test_is_the_validation_folder_in_its_order(photographs: Path) -> None:
    images, labels = everything(photographed(photographs, augmentation=ALEXNET), "test")
    paths = sorted((photographs / "val").rglob("*.JPEG"))
    assert labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    for image, path in zip(images, paths, strict=True):
        shorter = round(256 * SIDE / 224)
        square = torchvision.center_crop(torchvision.resize(Image.open(path), [shorter]), [shorter])
        shown = torchvision.center_crop(square, [SIDE])
        expected = torchvision.normalize(torchvision.to_tensor(shown), MEAN, STD)
        assert (image - expected).abs().max() <= 1.01 / 255 / min(STD)


# Pixels


def by_presentation(data: Images, epoch: int) -> dict[int, Tensor]:
    """The image that each presentation of an epoch becomes."""
    order = data.train_dataloader().sampler.presentations(epoch).tolist()
    images, _ = everything(data, "train", epoch)
    return dict(zip(order, images, strict=True))


@pytest.mark.parametrize("steps", [ALEXNET, GOOGLENET], ids=["alexnet", "googlenet"])
def test_pixels_are_the_same_for_any_number_of_workers_and_batch_size(photographs: Path, steps: Any) -> None:
    reference = by_presentation(photographed(photographs, augmentation=steps), 2)
    for options in ({"num_workers": 2}, {"batch_size": 7}, {"num_workers": 1, "batch_size": 24}):
        other = by_presentation(photographed(photographs, augmentation=steps, **options), 2)
        assert other.keys() == reference.keys()
        for presentation, image in reference.items():
            torch.testing.assert_close(other[presentation], image, atol=1e-5, rtol=0)


@pytest.mark.parametrize("steps", [ALEXNET, GOOGLENET], ids=["alexnet", "googlenet"])
def test_resident_pixels_are_the_same_for_any_batch_size(steps: Any) -> None:
    reference = by_presentation(drawn(augmentation=steps), 2)
    for presentation, image in by_presentation(drawn(augmentation=steps, batch_size=7), 2).items():
        torch.testing.assert_close(image, reference[presentation], atol=1e-4, rtol=0)


def test_the_same_seed_gives_the_same_epochs_and_another_others(source: Any) -> None:
    def epoch(number: int, seed: int = 0) -> Tensor:
        return everything(source(augmentation=ALEXNET, seed=seed), epoch=number)[0]

    assert torch.equal(epoch(1), epoch(1))
    assert not contents(epoch(1)) & contents(epoch(2))
    assert not contents(epoch(1)) & contents(epoch(1, seed=1))


def test_decoded_and_resident_images_are_augmented_alike(tmp_path: Path) -> None:
    data = drawn(augmentation=ALEXNET, image_size=32, seed=3)
    pixels, labels = data._splits["train"]
    for number, (image, label) in enumerate(zip(pixels, labels.tolist(), strict=True)):
        for split in ("train", "val"):
            (tmp_path / split / str(label)).mkdir(parents=True, exist_ok=True)
            path = tmp_path / split / str(label) / f"{number:03d}.png"
            Image.fromarray(image.movedim(0, 2).numpy()).save(path)
    other = photographed(tmp_path, num_classes=5, image_size=32, augmentation=ALEXNET, seed=3)
    order = [int(Path(other._splits["train"].path(index)).stem) for index in range(60)]  # by class, then by number
    chosen = torch.tensor(order)
    shown = other._dataset("train", other._augmentation)[4, torch.arange(60)]
    # The draws belong to the presentation: image by image the numbers have to be the same.
    data._splits["train"] = pixels[chosen], labels[chosen]
    expected = data._dataset("train", data._augmentation).shown((4, torch.arange(60)))
    assert (shown.images.float() - expected.images.float()).abs().max() <= 1.01
    assert torch.equal(shown.draws, expected.draws)
    assert torch.equal(shown.labels, expected.labels)


def test_without_steps_resident_images_are_what_was_drawn() -> None:
    data = drawn()
    images, labels = everything(data, "test")
    pixels, drawn_labels = data._splits["test"]
    expected = torchvision.normalize(pixels.float() / 255, MEAN, STD)
    torch.testing.assert_close(images, expected, atol=1e-5, rtol=0)
    assert torch.equal(labels, drawn_labels)


def test_whatever_a_file_holds_comes_out_in_rgb(photographs: Path, tmp_path: Path) -> None:
    shutil.copytree(photographs, tmp_path, dirs_exist_ok=True)
    grey = Image.linear_gradient("L").resize((50, 50))
    for number, mode in enumerate(("L", "P", "1", "LA")):
        (tmp_path / "val" / "n00000001" / f"n00000001_{number}.JPEG").unlink()
        grey.convert(mode).save(tmp_path / "val" / "n00000001" / f"n00000001_{number}.png")
    shown = photographed(tmp_path, image_size=50).test_images
    for number, tolerance in enumerate((0, 0, 255, 0)):
        image = shown[number].int()
        assert (image - torch.from_numpy(np.asarray(grey).copy()).int()).abs().max() <= tolerance
        assert torch.equal(image[0], image[1])
        assert torch.equal(image[0], image[2])


def test_photographs_can_be_handed_to_workers_that_are_not_forked(photographs: Path) -> None:
    data = photographed(photographs, augmentation=(*GOOGLENET, PCAColour()), normalization="mean_image")
    batches(data)
    dataset = data._dataset("train", data._augmentation)
    copy = pickle.loads(pickle.dumps(dataset))
    for ours, theirs in zip(dataset[1, torch.arange(5)][:3], copy[1, torch.arange(5)][:3], strict=True):
        assert torch.equal(ours, theirs)


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


# The mean image


def test_the_mean_image_is_that_of_the_training_images_as_tested(source: Any) -> None:
    data = source(val_split=0.25, normalization="mean_image", augmentation=ALEXNET)
    images, _ = everything(source(val_split=0.25, augmentation=data._evaluation.geometry))
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    expected = ((images * std + mean) * 255).mean(dim=0)
    batches(data)
    torch.testing.assert_close(data._normalize.mean_image, expected, atol=1e-3, rtol=0)
    tested, plain = everything(data, "test")[0], everything(source(augmentation=ALEXNET), "test")[0]
    torch.testing.assert_close(tested, (plain * std + mean) * 255 - expected, atol=1e-3, rtol=0)


def test_of_many_photographs_the_mean_is_estimated_on_some(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnlit.data.loading import datasets

    monkeypatch.setattr(datasets, "MEAN_SAMPLE", 9)
    data = photographed(photographs, normalization="mean_rgb")
    images, _ = everything(photographed(photographs, order="constant"))
    batches(data)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    whole = ((images * std + mean) * 255).mean(dim=0)
    estimate = data._normalize.mean_image
    assert estimate is not None
    assert not torch.equal(estimate, whole)
    assert (estimate - whole).abs().mean() < 40


# The components of the colours


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
    taken = module.statistics

    def count(*arguments: Any) -> Any:
        passes.append(arguments)
        return taken(*arguments)

    monkeypatch.setattr(module, "statistics", count)
    data = source(val_split=0.25, augmentation=[PCAColour(statistics="training")], normalization="mean_image")
    for split in ("val", "train", "test"):
        batches(data, split)
    assert len(passes) == 1


# In a run


class Recorder(LightningModule):
    """Keeps what it is given; stops after a number of steps."""

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__()
        self.parameter = nn.Parameter(torch.zeros(()))
        self.stop_after = stop_after
        self.seen: dict[str, list[tuple[Tensor, Tensor]]] = {"train": [], "val": [], "test": []}

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        self.seen["train"].append(batch)
        return self.parameter * batch[0].sum()

    def on_train_batch_end(self, *_: Any) -> None:
        if self.global_step == self.stop_after:
            self.trainer.save_checkpoint(Path(self.trainer.default_root_dir) / "last.ckpt")
            raise SystemExit

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.seen["val"].append(batch)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.seen["test"].append(batch)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def run(data: Images, folder: Path, *, stop_after: int | None = None, resume: bool = False) -> Recorder:
    recorder = Recorder(stop_after)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=2,
        plugins=[WholeCheckpoints()],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=folder,
    )
    path = folder / "last.ckpt" if resume else None
    trainer.fit(recorder, datamodule=data, ckpt_path=path, weights_only=True)
    trainer.test(recorder, datamodule=data, verbose=False)
    return recorder


def assert_same(batches: list[Any], others: list[Any]) -> None:
    assert len(batches) == len(others)
    for (images, labels), (other_images, other_labels) in zip(batches, others, strict=True):
        assert torch.equal(images, other_images)
        assert torch.equal(labels, other_labels)


def test_training_is_augmented_and_validation_and_test_are_not(source: Any, tmp_path: Path) -> None:
    options: Any = {"val_split": 0.25, "augmentation": ALEXNET}
    recorder = run(source(**options), tmp_path)
    data = source(**options)
    assert_same(recorder.seen["train"], batches(data, "train", 0) + batches(data, "train", 1))
    assert_same(recorder.seen["val"], batches(data, "val") * 2)
    assert_same(recorder.seen["test"], batches(data, "test"))


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


def test_a_resumed_run_keeps_its_statistics(source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_statistics() -> Images:
        chosen: Images = source(normalization="mean_image", augmentation=[PCAColour(statistics="training")])
        return chosen

    with pytest.raises(SystemExit):
        run(with_statistics(), tmp_path, stop_after=1)
    kept = torch.load(tmp_path / "last.ckpt", weights_only=True)["Images"]

    def refuse(*_: Any) -> Tensor:
        raise AssertionError("computed again")

    monkeypatch.setattr(module, "statistics", refuse)
    data = with_statistics()
    run(data, tmp_path, resume=True)
    assert data._normalize.mean_image is not None
    assert torch.equal(data._normalize.mean_image, kept["mean_image"])
    assert torch.equal(data._augmentation.colours[0].components, kept["colour_components"])


# What is shown of the test


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


def test_a_gallery_decodes_what_it_is_asked_for_alone(photographs: Path, tmp_path: Path) -> None:
    shutil.copytree(photographs, tmp_path, dirs_exist_ok=True)
    (tmp_path / "val" / "n00000001" / "n00000001_0.JPEG").write_bytes(b"no image")
    shown = photographed(tmp_path).test_images
    assert torch.equal(shown[-1], photographed(photographs).test_images[11])
    assert torch.equal(shown[3:7][1], shown[4])
    assert len(shown[3:7]) == 4
    with pytest.raises(IndexError):
        shown[12]


# Refusals


def test_another_number_of_classes_is_refused_with_the_right_one(photographs: Path) -> None:
    with pytest.raises(ValueError, match=r"found 3 classes in .*, data.num_classes=1000; say data.num_classes=3") as no:
        photographed(photographs, num_classes=1000)
    assert "\n" not in str(no.value)


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


def test_the_gallery_of_the_test_has_what_was_answered(photographs: Path, damaged: tuple[Path, list[str]]) -> None:
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


# The real ones


def test_tiny_imagenet_has_its_images_and_names(real_tiny_imagenet: Path) -> None:
    options: Any = {"image_size": 64, "num_classes": 10, "val_split": 0.1}
    data = Images(source="tiny_imagenet", root=str(real_tiny_imagenet), **options)
    data.setup()
    assert data.num_images == {"train": 4500, "val": 500, "test": 500}
    assert data.class_names[:3] == ["goldfish", "king penguin", "golden retriever"]
    assert [split[1].bincount().tolist() for split in data._splits.values()] == [[450] * 10, [50] * 10, [50] * 10]
    folder = real_tiny_imagenet / "tiny-imagenet-10" / "val"
    rows = [line.split("\t")[:2] for line in (folder / "val_annotations.txt").read_text().splitlines()]
    wnids = (real_tiny_imagenet / "tiny-imagenet-10" / "wnids.txt").read_text().split()
    for index, (name, wnid) in list(enumerate(sorted(rows)))[::50]:
        pixels = np.asarray(Image.open(folder / "images" / name).convert("RGB"))
        assert np.array_equal(data.test_images[index].movedim(0, 2), pixels)
        assert sorted(wnids)[data._splits["test"][1][index]] == wnid


def test_images_of_another_size_than_the_first_are_refused(tmp_path: Path, draw: Any) -> None:
    for split in ("train/n00000001/images", "train/n00000002/images", "val/images"):
        (tmp_path / split).mkdir(parents=True)
    draw(64, 64).save(tmp_path / "train/n00000001/images/a.JPEG")
    draw(64, 60).save(tmp_path / "train/n00000002/images/b.JPEG")
    draw(64, 64).save(tmp_path / "val/images/c.JPEG")
    (tmp_path / "val/val_annotations.txt").write_text("c.JPEG\tn00000001\t0\t0\t1\t1\n")
    with pytest.raises(ValueError, match=r"b.JPEG has 64x60 pixels where .*a.JPEG has 64x64"):
        Images(source="tiny_imagenet", root=str(tmp_path), num_classes=2).setup()


def test_photographs_of_imagenet_are_shown_as_torchvision_shows_them(
    real_photographs: list[Path], tmp_path: Path
) -> None:
    for split in ("train", "val"):
        for path in real_photographs[::10]:
            (tmp_path / split / path.parent.name).mkdir(parents=True)
            (tmp_path / split / path.parent.name / path.name).symlink_to(path)
    shown = photographed(tmp_path, num_classes=22, image_size=224, augmentation=ALEXNET).test_images
    for number, path in enumerate(real_photographs[::10]):
        image = torchvision.resize(Image.open(path).convert("RGB"), [256])
        expected = torchvision.pil_to_tensor(torchvision.center_crop(image, [224])).int()
        assert (shown[number].int() - expected).abs().max() <= 1


def test_what_can_wait_for_data_says_what_to_turn(photographs: Path) -> None:
    decoded = photographed(photographs, num_workers=0)
    decoded.setup()
    assert "data.num_workers=0" in (decoded.when_waiting() or "")
    drawn = Images(source="synthetic", image_size=16)
    drawn.setup()
    assert drawn.when_waiting() is None
