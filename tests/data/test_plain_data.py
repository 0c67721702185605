"""An ordinary LightningDataModule as data of a run: torchvision's FakeData, Lightning's own demos, dicts, streams."""

import pytest
import torch
from lightning import LightningDataModule
from lightning.pytorch.demos.boring_classes import BoringDataModule
from lightning.pytorch.demos.mnist_datamodule import MNISTDataModule
from torch.utils.data import (
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    WeightedRandomSampler,
    random_split,
)
from torchvision.datasets import FakeData
from torchvision.transforms import v2

from cnnlit.data.datamodule import ResumableData
from cnnlit.data.loading.items import LoaderBatches
from cnnlit.data.plain_data import PlainData

TO_TENSOR = v2.Compose([v2.Resize((8, 8)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
AUGMENT = v2.Compose([v2.ColorJitter(brightness=0.5), v2.RandomHorizontalFlip(), TO_TENSOR])


class OwnFakes(LightningDataModule):
    """As a user would write it: a split drawn in `setup`, shuffled loaders, a test that is shuffled too."""

    def __init__(self, **loading):
        super().__init__()
        self.loading = {"batch_size": 16, "shuffle": True} | loading
        self.transform = TO_TENSOR

    def setup(self, stage):
        self.train, self.val = random_split(FakeData(60, (3, 10, 10), 5, AUGMENT), [50, 10])
        self.test = FakeData(20, (3, 10, 10), 5, TO_TENSOR, random_offset=100)

    def train_dataloader(self):
        return DataLoader(self.train, **self.loading)

    def val_dataloader(self):
        return DataLoader(self.val, batch_size=4)

    def test_dataloader(self):
        return DataLoader(self.test, batch_size=4, shuffle=True)


class Dicts(Dataset):
    def __len__(self):
        return 24

    def __getitem__(self, index):
        return {"pixel_values": torch.full((3, 8, 8), index / 24), "labels": index % 5}


class Numbers(IterableDataset):
    def __iter__(self):
        return iter([(torch.full((3, 8, 8), number / 40), number % 5) for number in range(40)])


class SizedNumbers(Numbers):
    def __len__(self):
        return 40


def adapted(module, **options):
    facts = {"batch_size": 16, "num_classes": 5, "image_size": 8, "in_channels": 3}
    data = PlainData(module=module, **{**facts, **options})
    data.setup("fit")
    return data


def from_sets(train, *, batch_size=16, **loading):
    module = OwnFakes(batch_size=batch_size, **loading)
    module.train_dataloader = lambda: DataLoader(train, batch_size=batch_size, **loading)
    return module


def equal(one, other):
    return len(one) == len(other) and all(
        torch.equal(a, b) for first, second in zip(one, other, strict=True) for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_epoch_goes_on_with_the_same_pixels(workers):
    whole = list(adapted(OwnFakes()).train_dataloader())
    resumed = adapted(OwnFakes(num_workers=workers))
    resumed.load_state_dict({"batches_done": 2, "class_names": [], "module": {}})
    assert equal(list(resumed.train_dataloader()), whole[2:])
    assert not equal(whole[:1], whole[1:2])


def test_epochs_and_seeds_differ_and_a_constant_order_does_not():
    def labels(epoch, **options):
        loader = adapted(OwnFakes(), **options).train_dataloader()
        loader.sampler.set_epoch(epoch)
        return [presentations % 50 for _, presentations in loader.sampler]

    def same(one, other):
        return all(map(torch.equal, one, other))

    assert not same(labels(0), labels(1))
    assert not same(labels(0), labels(0, seed=1))
    assert same(labels(0, order="constant"), labels(1, order="constant"))


def test_the_split_is_the_same_for_every_seed_and_differs_by_split_seed():
    def held_out(**options):
        return list(adapted(OwnFakes(), **options).module.val.indices)

    assert held_out() == held_out(seed=3) != held_out(split_seed=1)


def test_global_random_numbers_are_left_as_they_were():
    before = torch.get_rng_state()
    dataset = adapted(OwnFakes()).train_dataloader().dataset
    assert len(dataset[0, torch.arange(4)][1]) == 4
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "loading",
    [
        {},
        {"shuffle": False, "sampler": WeightedRandomSampler(torch.arange(1.0, 51), 45)},
        {"drop_last": True},
        {"generator": torch.Generator()},
    ],
    ids=["shuffled", "weighted", "drop_last", "generator"],
)
def test_devices_share_each_batch_of_any_sampler(loading):
    module = OwnFakes(**loading)
    module.setup("fit")
    loader = module.train_dataloader()
    alone = LoaderBatches(loader, seed=0, order="fresh")
    both = [LoaderBatches(loader, seed=0, order="fresh", rank=rank, num_replicas=2) for rank in range(2)]
    for number, ((_, whole), (_, first), (_, second)) in enumerate(zip(alone, *both, strict=True)):
        assert torch.equal(whole[0::2], first)
        assert torch.equal(whole[1::2], second)
        assert both[1].share(number) == (len(second), len(whole))
    assert len(alone) == len(loader)


def test_the_test_is_in_order_though_its_loader_is_shuffled_and_drawings_are_of_the_same_images():
    data = adapted(OwnFakes())
    data.setup("test")
    labels = torch.cat([data.on_after_batch_transfer(batch, 0)[1] for batch in data.test_dataloader()])
    images = torch.cat([data.on_after_batch_transfer(batch, 0)[0] for batch in data.test_dataloader()])
    assert len(labels) == len(data.test_images) == 20
    assert torch.equal(data.test_images[3], (255 * images[3]).round().to(torch.uint8))
    assert len(data.test_images[:5]) == 5


def test_a_test_of_the_validation_images_is_of_the_validation_images():
    data = PlainData(module=OwnFakes(), batch_size=1, num_classes=5, image_size=8, in_channels=3)
    data.tested = "val"
    data.setup("test")
    assert data.num_images["val"] == 10
    assert list(data.module.val.indices) == list(adapted(OwnFakes()).module.val.indices)
    assert len(data.test_dataloader()) == 3


def test_dicts_are_read_by_their_usual_names_or_by_those_that_are_said():
    data = adapted(from_sets(Dicts()))
    images, labels = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert images.shape == (16, 3, 8, 8)
    assert labels.tolist()[:3] == [0, 1, 2]
    with pytest.raises(ValueError, match=r"keys pixel_values, labels; name two: data\.image_key"):
        adapted(from_sets(Dicts()), image_key="wrong")


def test_a_stream_is_taken_as_it_comes_which_is_said():
    data = adapted(from_sets(SizedNumbers(), batch_size=10), batch_size=10)
    assert len(list(data.train_dataloader())) == 4
    assert "its order is its own" in " ".join(data.remarks)
    data.load_state_dict({"batches_done": 3, "class_names": [], "module": {}})
    assert len(list(data.train_dataloader())) == 1
    assert not adapted(OwnFakes()).remarks


def several(module):
    module.val_dataloader = lambda: [DataLoader(module.val), DataLoader(module.val)]
    return module


def without_test():
    module = OwnFakes()
    module.test_dataloader = LightningDataModule.test_dataloader.__get__(module)
    return module


def stateful():
    module = OwnFakes()
    module.state_dict = lambda: {"object": FakeData(1)}
    return module


@pytest.mark.parametrize(
    ("make", "options", "line"),
    [
        (OwnFakes, {"batch_size": 64}, "recipe.batch_size=64: OwnFakes.train_dataloader has batches of 16"),
        (OwnFakes, {"image_size": 32}, "data.in_channels=3 and data.image_size=32 say"),
        (OwnFakes, {"in_channels": 1}, "OwnFakes's images are float32"),
        (OwnFakes, {"num_classes": 3}, "data.num_classes=3: OwnFakes has a label 4"),
        (BoringDataModule, {"batch_size": 1}, "batches are Tensor, and not"),
        (lambda: several(OwnFakes()), {}, "val_dataloader returns 2 loaders"),
        (without_test, {}, "has no test_dataloader"),
        (stateful, {}, "holds more than plain containers"),
        (lambda: from_sets(Numbers()), {}, "has no length"),
        (
            lambda: from_sets(Dicts(), sampler=DistributedSampler(Dicts(), 2, 0), shuffle=False),
            {}, "leave out the DistributedSampler",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_on_is_refused_in_one_line(make, options, line):
    with pytest.raises(ValueError, match="data") as refusal:
        adapted(make(), **options)
    assert line in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_images_from_anywhere_go_through_the_modules_own_transform():
    data = adapted(OwnFakes())
    image = torch.randint(0, 256, (3, 20, 30), dtype=torch.uint8)
    assert data.as_input([image]).shape == (1, 3, 8, 8)
    assert data.as_seen([image]).dtype == torch.uint8
    data.module.transform = None
    with pytest.raises(ValueError, match="give it eval_transform"):
        data.as_input([image])
    data.module.eval_transform = v2.ToImage()
    with pytest.raises(ValueError, match=r"must return a float tensor \[3, 8, 8\], and not torch.uint8"):
        data.as_input([image])


def test_lightnings_own_mnist_module_is_shared_and_resumed(tmp_path, monkeypatch):
    monkeypatch.setenv("PL_USE_MOCKED_MNIST", "1")
    folder = tmp_path / "MNIST" / "complete"
    folder.mkdir(parents=True)
    for name, count in (("training", 60), ("test", 20)):
        pixels = torch.randint(0, 256, (count, 28, 28), dtype=torch.uint8)
        torch.save((pixels, torch.arange(count) % 10), folder / f"{name}.pt")
    module = MNISTDataModule(str(tmp_path), val_split=20, num_workers=0)
    data = adapted(module, batch_size=32, num_classes=10, image_size=28, in_channels=1)
    assert data.num_images == {"train": 32, "val": 0, "test": 0}  # it drops what does not fill a batch
    assert data.val_dataloader() == []
    images, labels = next(iter(data.train_dataloader()))
    assert images.shape == (32, 1, 28, 28)
    assert labels.dtype == torch.int64


class ShortestSubclass(ResumableData):
    """What docs/own/data.md shows: datasets, and nothing else."""

    def __init__(self, *, batch_size: int = 8, num_classes: int = 5, image_size: int = 8, in_channels: int = 3):
        super().__init__()
        self.save_hyperparameters(logger=False)
        self.eval_transform = TO_TENSOR

    def setup(self, stage="fit"):
        self.datasets = {"train": FakeData(20, (3, 10, 10), 5, AUGMENT), "test": FakeData(6, (3, 10, 10), 5, TO_TENSOR)}


def test_the_shortest_subclass_resumes_is_tested_drawn_and_predicts():
    whole, resumed = ShortestSubclass(), ShortestSubclass()
    for data in (whole, resumed):
        data.setup()
    resumed.load_state_dict({"batches_done": 1})
    assert equal(list(resumed.train_dataloader()), list(whole.train_dataloader())[1:])
    assert whole.num_images == {"train": 20, "val": 0, "test": 6}
    assert whole.val_dataloader() == []
    assert whole.test_images[0].shape == (3, 8, 8)
    assert whole.as_input([torch.zeros(3, 9, 9, dtype=torch.uint8)]).shape == (1, 3, 8, 8)
    assert whole.curvature_sample(4, 0)[0].shape == (4, 3, 8, 8)
