"""Images that stay in the memory of the device that trains, whatever set they are of; Tiny ImageNet, synthetic ones."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cnnlit.data.images import Count, ImageData, NumClasses, Order, Seed, TestSplit, ValSplit
from cnnlit.data.loading.batch_sampler import BatchSampler, LockstepSampler
from cnnlit.data.loading.datasets import Batch, ImagesInMemory
from cnnlit.data.loading.image_set import LoadedImages, load
from cnnlit.data.loading.multi_view import ViewBatch, ViewsInMemory
from cnnlit.data.sources import synthetic
from cnnlit.data.sources.folders import Listing
from cnnlit.data.transforms.augmentation import Augmentation
from cnnlit.data.transforms.colours import Normalization, as_channels
from cnnlit.data.transforms.evaluation_crops import ViewPlan

STATISTICS_BATCH = 250

MOST_VERSIONS = 64
"""An image of a rare class that a balanced epoch shows more often is augmented in one of so many ways each time."""


class InMemoryImageData(ImageData[LoadedImages]):
    """Images of one size, all of them in the memory of the device that trains. See ImageData."""

    _in_memory = True
    takes_replicas = True

    @property
    def test_images(self) -> Tensor:
        """See ResumableData: uint8 [N, 3, H, W], or [N, H, W] of grey images."""
        pixels = self._splits[self.tested].pixels
        return pixels[:, 0] if pixels.shape[1] == 1 else pixels

    def _in_channels(self, images: LoadedImages) -> LoadedImages:
        """Images with as many channels as the network has."""
        return LoadedImages(as_channels(images.pixels, self.hparams["in_channels"]), images.labels)

    def labels_of(self, split: str) -> Tensor:
        """Of all images of a split, int64 [N]."""
        return self._splits[split].labels

    @property
    def _passes(self) -> int:
        """How often an epoch presents each image."""
        return 1

    @property
    def _versions(self) -> int:
        """How many presentations of an image differ before a sweep begins anew. See BatchSampler."""
        return self._balanced_versions if self.hparams["order"] == "balanced" else self._passes

    @property
    def _balanced_versions(self) -> int:
        """See ResumableData; what all versions draw at random is a table in memory, so there is a limit."""
        return min(self._most_shown(self._passes), MOST_VERSIONS)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch  # it is there already

    def train_dataloader(self) -> DataLoader[Any]:
        batches = self.training_batches(versions=self._versions, passes_per_epoch=self._passes)
        return self.loader(self._training_set(), batches)

    def _training_set(self) -> Dataset[Any]:
        """The training images, presented to all replicas."""
        augmentation = self._augmentation
        augmentation.seeds, augmentation.sweep_length = self.seeds, self.num_images["train"] * self._versions
        return self._augmented("train", augmentation)

    def curvature_sample(self, count: int, epoch: int, replica: int = 0) -> Batch:
        """See ResumableData."""
        first = replica * self.num_images["train"] * self._versions  # of its presentations, see LockstepSampler
        sample: Batch = self._training_set()[epoch, first + self.curvature_indices(count, epoch, replica)]
        return sample

    def loader(self, dataset: Dataset[Any], batches: BatchSampler | LockstepSampler) -> DataLoader[Any]:
        return DataLoader(dataset, batch_size=None, sampler=batches)

    def _single_view(self, images: LoadedImages, augmentation: Augmentation) -> ImagesInMemory:
        return ImagesInMemory(images.to(self._device), augmentation, self._versions if augmentation.is_random else 1)

    def _several_views(self, images: LoadedImages, views: ViewPlan) -> Dataset[ViewBatch]:
        return ViewsInMemory(images.to(self._device), views)

    def _pixels(self, images: LoadedImages) -> Iterator[Tensor]:
        dataset = self._single_view(images, self._evaluation)
        batches = BatchSampler(len(images), STATISTICS_BATCH, order="sequential")
        return (dataset.before_colours(batch).images for batch in batches)


class TinyImageNet(InMemoryImageData):
    """Tiny ImageNet (Stanford's CS231n): 200 classes, 500 training and 50 validation images of each, 64x64.

    A subset of the classes will do, and any of the layouts of cnnlit.data.sources.layouts.

    Args:
        root: the folder that holds the set, or one in which a folder named after it does.

    The other options: see ImageData.
    """

    source = "tiny_imagenet"
    _shows_parts = True
    _usual_size = (64, 64)

    def __init__(
        self,
        *,
        root: str = "data",
        batch_size: Count = 128,
        eval_batch_size: Count = 250,
        image_size: Count = 224,
        num_classes: NumClasses = 10,
        in_channels: Literal[1, 3] = 3,
        val_split: ValSplit = 0,
        test_split: TestSplit = 0.1,
        split_seed: Seed = 0,
        class_map: str | None = None,
        mask_absent: bool = False,
        order: Order = "fresh",
        seed: Seed = 0,
        augmentation: Sequence[Any] = (),
        views: Sequence[Any] | None = None,
        normalization: Normalization = "mean_std",
    ) -> None:
        super().__init__(augmentation=augmentation, views=views)

    def _read(self) -> tuple[LoadedImages, LoadedImages | None]:
        listing = self._find_classes()
        sets = {part: images for part in ("train", "test", "val") if (images := getattr(listing, part)) is not None}
        loaded = dict(zip(sets, map(self._in_channels, load(list(sets.values()))), strict=True))
        self._own_val = loaded.get("val")
        return loaded["train"], loaded.get("test")


class SyntheticImages(InMemoryImageData):
    """Striped shapes that the program draws, for dry runs: nothing to download, any number of classes, any size.

    Args:
        drawn_images: how many are drawn for training; a fifth as many again for the test.

    The other options: see ImageData. `num_classes` and `image_size` are what is drawn.
    """

    source = "synthetic"
    _shows_parts = True

    def __init__(
        self,
        *,
        batch_size: Count = 128,
        eval_batch_size: Count = 250,
        image_size: Count = 224,
        num_classes: NumClasses = 10,
        in_channels: Literal[1, 3] = 3,
        val_split: ValSplit = 0,
        split_seed: Seed = 0,
        drawn_images: Count = 1000,
        order: Order = "fresh",
        seed: Seed = 0,
        augmentation: Sequence[Any] = (),
        views: Sequence[Any] | None = None,
        normalization: Normalization = "mean_std",
    ) -> None:
        super().__init__(augmentation=augmentation, views=views)

    def find(self) -> Listing:
        """Refused.

        Raises:
            ValueError: always: there are no files.
        """
        raise ValueError("data=synthetic: these images are drawn in memory and are in no folder")

    def _read(self) -> tuple[LoadedImages, LoadedImages]:
        self.class_names = synthetic.class_names(self.hparams["num_classes"])
        count = self.hparams["drawn_images"]
        return self._draw(count, split=0), self._draw(-(-count // 5), split=1)

    def _draw(self, count: int, split: int) -> LoadedImages:
        hparams = self.hparams
        pixels, labels = synthetic.draw_images(
            count,
            num_classes=hparams["num_classes"],
            image_size=hparams["image_size"],
            seed=hparams["split_seed"],  # the images must not depend on the seed of the run
            split=split,
        )
        return self._in_channels(LoadedImages(pixels, labels))
