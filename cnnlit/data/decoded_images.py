"""The base of sets of colour images that are decoded each time they are presented."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cnnlit.data.images import ImageData
from cnnlit.data.loading.batch_sampler import BatchSampler, LockstepSampler
from cnnlit.data.loading.datasets import Batch, DecodedImages, DecodingLoader, ImageBatch, LazyImages
from cnnlit.data.loading.decoding import UnreadableError, num_cores
from cnnlit.data.loading.image_set import ImageSet, blocks_of, by_class, is_far, places_of
from cnnlit.data.loading.multi_view import DecodedViews, ViewBatch
from cnnlit.data.loading.read_ahead import ReadAhead
from cnnlit.data.loading.threads import ThreadLoader
from cnnlit.data.stores.store import StoredImages
from cnnlit.data.transforms.augmentation import Augmentation
from cnnlit.data.transforms.evaluation_crops import ViewPlan
from cnnlit.data.transforms.random_numbers import generator
from cnnlit.data.workers.watched import check_room, in_workers
from cnnlit.files import progress

MOST_WORKERS = 16
MOST_THREADS = 4

STATISTICS_SAMPLE, STATISTICS_BATCH = 10_000, 250
"""Images that the statistics of a larger training set are estimated from, and how many are decoded at a time."""


class DecodedImageData(ImageData[ImageSet]):
    """Colour images in files, decoded by worker processes each time they are presented. See ImageData.

    Beside the options of ImageData, every subclass has:

    - `root`: the folder that holds the set. How its files are laid out is recognised, see cnnlit.data.sources.layouts.
    - `train`, `val`, `test`: its folders to train, validate and test with, where they are not called so, see Named.
    - `labels`: a table of the classes of images, see find_labelled.
    - `block_images`: 1 for any order; more, for a prepared store or shards on a slow disk, reads so many neighbours at
      a time; None for 1, and for the groups of rows that parquet files are read by. See BatchSampler.
    - `num_workers`: processes that decode images; if it is one, a thread. None for one per core.
    - `cache_dir`, `cache_gb`: where, and how much, this machine keeps of images at an address, see Cached.
    - `copies`: a folder of this machine that holds copies of some of the shards at an address.
    - `on_unreadable`: what an image that cannot be read does: `stop` the run with its path, or `skip`: it is left
      out of its batch, which is then smaller, and listed in `unreadable`.
    """

    _in_memory = False
    _shows_parts = True

    def __init__(self, *, augmentation: Sequence[Any], views: Sequence[Any] | None) -> None:
        super().__init__(augmentation=augmentation, views=views)
        self._unreadable: dict[str, str] | None = {} if self.hparams["on_unreadable"] == "skip" else None

    def _read(self) -> tuple[ImageSet, ImageSet | None]:
        listing = self._find_classes()
        if len(listing.train):
            self._check_blocks(listing.train)
        self._own_val = listing.val
        return listing.train, listing.test

    @property
    def num_workers(self) -> int:
        """Processes that decode images."""
        chosen: int | None = self.hparams["num_workers"]
        shared = self.trainer.num_devices if self.trainer else 1
        return min(MOST_WORKERS, max(1, num_cores() // shared)) if chosen is None else chosen

    def when_waiting(self) -> str | None:
        """See ResumableData."""
        if self.num_workers < min(MOST_WORKERS, num_cores()):
            return f"data.num_workers={self.num_workers} of {num_cores()} cores decode images; give it more"
        if isinstance(self._splits["train"], StoredImages):
            return "every core decodes already: a store that is smaller, or raw, or more cores"
        return "every core decodes already: python -m cnnlit.prepare stores the images smaller, once"

    @property
    def unreadable(self) -> list[str]:
        """See ResumableData."""
        return sorted(self._unreadable or {})

    @property
    def test_images(self) -> LazyImages:
        """See ResumableData: [3, image_size, image_size] each. Without those of `unreadable`: they have no answer."""
        test = self._splits[self.tested]
        if self._unreadable:
            readable = [index for index in range(len(test)) if test.path(index) not in self._unreadable]
            test = test.subset(torch.tensor(readable, dtype=torch.int64))
        return LazyImages(DecodedImages(test, self._evaluation, channels=self.hparams["in_channels"]))

    def training_batches(self, **presentations: Any) -> BatchSampler | LockstepSampler:
        """See ResumableData; blocks of neighbours, if these are asked for."""
        blocks = self._blocks(self._splits["train"])
        if blocks and self.hparams["order"] == "balanced":
            raise ValueError(f"{self._said_blocks}: a balanced order reads no neighbours; add data.block_images=1")
        return super().training_batches(**presentations, **blocks)

    def _blocks(self, images: ImageSet) -> dict[str, Any]:
        """How these images are shuffled in blocks, for BatchSampler; nothing if they are not."""
        chosen: int | None = self.hparams["block_images"]
        if chosen is None:
            own = blocks_of(images)
            return {} if own is None else {"blocks": own}
        return {"block_images": chosen, "places": places_of(images)} if chosen > 1 else {}

    def _check_blocks(self, images: ImageSet) -> None:
        """Refuse blocks of neighbours that are all of one class."""
        if self._blocks(images) and ((places := places_of(images)) is None or by_class(images.labels, places)):
            made = "a store, which is read in any order" if blocks_of(images) is not None else "a store that mixes them"
            raise ValueError(
                f"{self._said_blocks}: these images are stored class by class; python -m cnnlit.prepare makes {made}, "
                "data.block_images=1 reads them one by one"
            )

    @property
    def _said_blocks(self) -> str:
        chosen = self.hparams["block_images"]
        return f"data.block_images={'null' if chosen is None else chosen}"

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """The part of the augmentation that is for the device that trains.

        None, with which Lightning skips the step, where no image of a training batch could be read.

        Raises:
            UnreadableError: in that case, if other devices would wait for this one's step.
        """
        if not isinstance(batch, ImageBatch):
            return super().on_after_batch_transfer(batch, dataloader_idx)
        training = self.trainer is not None and self.trainer.training
        if training and not len(batch.labels):
            if self.trainer is not None and self.trainer.world_size > 1:
                raise UnreadableError(
                    f"{self.unreadable[0]} and all others of a device's batch cannot be read as images"
                )
            return None
        augmentation = self._augmentation if training else self._evaluation
        return augmentation.finish(batch.images, batch.draws), batch.labels

    def curvature_sample(self, count: int, epoch: int) -> Batch:
        """See ResumableData."""
        self._find_statistics(self._augmentation)
        dataset = self.decoded(self._splits["train"])
        batch = dataset.accept(dataset[epoch, self.curvature_indices(count, epoch)])
        images, labels, draws = (part.to(self._device) for part in batch[:3])
        return self._augmentation.finish(images, draws), labels

    def decoded(self, files: ImageSet) -> DecodedImages:
        """Files as training presents them."""
        return self._single_view(files, self._augmentation)

    def _single_view(self, images: ImageSet, augmentation: Augmentation) -> DecodedImages:
        return DecodedImages(images, augmentation, self._unreadable, self.hparams["in_channels"])

    def _several_views(self, images: ImageSet, views: ViewPlan) -> Dataset[ViewBatch]:
        return DecodedViews(images, views, self._unreadable, self.hparams["in_channels"])

    def loader(self, dataset: Dataset[Any], batches: BatchSampler | LockstepSampler | ReadAhead) -> DataLoader[Any]:
        workers = self.num_workers
        pin_memory = self._device.type == "cuda"
        if isinstance(dataset, DecodedImages | DecodedViews) and is_far(dataset.files):
            assert not isinstance(batches, ReadAhead)
            batches = ReadAhead(batches, max(1, workers))
        if isinstance(dataset, DecodedImages | DecodedViews) and _by_threads(dataset, workers):
            threads = min(workers, MOST_THREADS)
            return ThreadLoader(
                dataset, batches, num_threads=threads, pin_memory=pin_memory, timeout_seconds=self.timeout_seconds
            )
        if isinstance(dataset, DecodedImages):
            check_room(_bytes_of_batch(dataset, batches), workers * (self.trainer.num_devices if self.trainer else 1))
        return DecodingLoader(
            dataset,
            batch_size=None,  # the sampler yields whole batches
            sampler=batches,
            persistent_workers=workers > 0,
            pin_memory=pin_memory,
            **in_workers(workers, self.timeout_seconds),
        )

    def _pixels(self, images: ImageSet) -> Iterator[Tensor]:
        """See ImageData.

        Deviation: STATISTICS_SAMPLE images of a larger set, at random; the standard error of a pixel's mean is then
        below 1/255. They are cropped as for validation, where Krizhevsky et al. 2012 compute the mean before they crop;
        as in their code, all crops have the middle of the mean image subtracted.
        """
        if len(images) > STATISTICS_SAMPLE:
            random = generator(self.hparams["split_seed"])
            images = images.subset(torch.randperm(len(images), generator=random)[:STATISTICS_SAMPLE].sort().values)
        dataset = self._single_view(images, self._evaluation)
        batches = BatchSampler(len(images), STATISTICS_BATCH, order="sequential")
        return (batch.images for batch in progress(self.loader(dataset, batches), "mean image", len(batches)))


def _by_threads(dataset: DecodedImages | DecodedViews, workers: int) -> bool:
    """Whether threads make the batches, and not processes.

    Handing a batch from process to process costs more than making one that needs no decoding, and a tenth of one that
    does; but many decoding threads would keep the thread that trains waiting.
    """
    if not workers:  # in a thread, too, for who waits for a disk that does not answer hears nothing
        return True
    return isinstance(dataset, DecodedImages) and (workers == 1 or _is_raw(dataset.files))


def _bytes_of_batch(dataset: DecodedImages, batches: BatchSampler | LockstepSampler | ReadAhead) -> int:
    """Of the images of a batch, as a worker hands them over; 0 where several seeds share one."""
    sampler = batches.batches if isinstance(batches, ReadAhead) else batches
    images = sampler.share(0)[0] if isinstance(sampler, BatchSampler) else 0
    return images * dataset.channels * dataset.augmentation.image_size**2


def _is_raw(images: ImageSet) -> bool:
    return isinstance(images, StoredImages) and images.encoding == "raw"
