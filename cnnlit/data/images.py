"""ImageSet in colour: ImageNet, a part of it, any folder of images, or drawn by the program."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cnnlit.data.datamodule import ResumableData
from cnnlit.data.loading.batch_sampler import BatchSampler
from cnnlit.data.loading.datasets import (
    Batch,
    DecodedImages,
    DecodingLoader,
    ImageBatch,
    ImagesInMemory,
    LazyImages,
    statistics,
)
from cnnlit.data.loading.decoding import UnreadableError, num_cores, read_all
from cnnlit.data.loading.image_set import ImageSet
from cnnlit.data.loading.multi_view import MultiViewImages, ViewBatch
from cnnlit.data.loading.threads import ThreadLoader
from cnnlit.data.sources import synthetic
from cnnlit.data.sources.archives import extract_archives
from cnnlit.data.sources.folders import Listing
from cnnlit.data.sources.imagenette import Size, imagenette_folder, obtain_imagenette
from cnnlit.data.sources.layouts import find_images, places
from cnnlit.data.sources.store import StoredImages
from cnnlit.data.splits import hold_out
from cnnlit.data.transforms.augmentation import Augmentation
from cnnlit.data.transforms.colours import Normalization, Normalize, PCAColour
from cnnlit.data.transforms.evaluation_crops import ViewPlan
from cnnlit.data.user_images import Group, cut

MOST_WORKERS = 16
MOST_THREADS = 4


class Images(ResumableData):
    """Images in colour from one of several sources, split into training, validation and test.

    Photographs are decoded each time that they are shown, by worker processes. Tiny ImageNet and drawn images lie
    whole on the device that trains. The test set is the official validation set, whose labels are public, or is held
    out of the training set where there is none; validation images are held out of what is left.

    Args:
        source: `imagenet`; `imagenette`, ten classes of it, downloaded; `tiny_imagenet`; `folder`, any images in
            class folders; `synthetic`, striped shapes that the program draws. How files lie is recognised, see
            cnnlit.data.sources.layouts.
        root: the folder that holds the set; not for `synthetic`.
        imagenette_size: of `imagenette`'s images: `full`, as they are in ImageNet, or their shorter side.
        batch_size: images per training step, over all devices.
        eval_batch_size: images per step of validation and test; where a test has several views of an image, views,
            and larger ones count as many times as they are larger.
        image_size: side of the images that the network sees, in pixels.
        num_classes: how many there must be, or are drawn.
        in_channels: three, for the model to refer to.
        val_split: images held out of the training set for validation, stratified: their number, or their fraction if
            it is below 1; 0 for none.
        test_split: likewise, images held out for the test where the set has no validation set of its own.
        split_seed: which ones; the same for every `seed`.
        drawn_images: how many `synthetic` draws for training; a fifth as many again for the test.
        order: a new random order each epoch (`fresh`) or the same random order each epoch (`constant`).
        block_images: 1 for any order; more, for a prepared store on a slow disk, reads so many neighbours at a time.
            See BatchSampler.
        seed: of the order and the augmentation.
        augmentation: steps of transforms.geometry, then of transforms.colours. See Augmentation.
        views: steps of transforms.geometry and transforms.evaluation_crops, of the test; null for the one view that
            validation has, which is the augmentation without its chance.
        normalization: the input's scale. See Normalize.
        num_workers: processes that decode photographs, or a thread if it is one; null for one per core; images in
            memory need none.
        on_unreadable: what a photograph that cannot be read does: `stop` the run with its path, or `skip`: it is left
            out of its batch, which is smaller then, and listed in `unreadable`.
    """

    published_errors = None

    def __init__(
        self,
        *,
        source: Literal["imagenet", "imagenette", "tiny_imagenet", "folder", "synthetic"] = "synthetic",
        root: str = "data",
        imagenette_size: Size = "320px",
        batch_size: Annotated[int, Ge(1)] = 128,
        eval_batch_size: Annotated[int, Ge(1)] = 250,
        image_size: Annotated[int, Ge(1)] = 224,
        num_classes: Annotated[int, Ge(2)] = 10,
        in_channels: Literal[3] = 3,
        val_split: Annotated[int, Ge(0)] | Annotated[float, Ge(0), Lt(1)] = 0,
        test_split: Annotated[int, Ge(1)] | Annotated[float, Gt(0), Lt(1)] = 0.1,
        split_seed: Annotated[int, Ge(0)] = 0,
        drawn_images: Annotated[int, Ge(1)] = 1000,
        order: Literal["fresh", "constant"] = "fresh",
        block_images: Annotated[int, Ge(1)] = 1,
        seed: Annotated[int, Ge(0)] = 0,
        augmentation: Sequence[Any] = (),
        views: Sequence[Any] | None = None,
        normalization: Normalization = "mean_std",
        num_workers: Annotated[int, Ge(0)] | None = None,
        on_unreadable: Literal["stop", "skip"] = "stop",
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False, ignore=["augmentation", "views"])
        self.class_names: list[str] = []
        self.class_folders: list[str] = []
        self._normalize = Normalize(normalization)
        self._augmentation = Augmentation(augmentation, image_size=image_size, normalize=self._normalize, seed=seed)
        self._evaluation = self._augmentation.for_evaluation()
        self._views = None if views is None else ViewPlan(views, image_size=image_size)
        self._listing: Listing | None = None
        self._splits: dict[str, ImageSet | Batch] = {}
        self._unreadable: dict[str, str] | None = {} if on_unreadable == "skip" else None

    def prepare_data(self) -> None:
        """Download Imagenette, or extract ImageNet's official archives, where that is not done.

        Raises:
            FileNotFoundError: if there is neither; one line that says where to get it.
            ValueError: if what is there or comes is damaged.
        """
        source, root = self.hparams["source"], self.hparams["root"]
        if source == "imagenette":
            obtain_imagenette(root, self.hparams["imagenette_size"])
        elif source == "imagenet":
            try:
                self.find()
            except FileNotFoundError:
                for folder in places(root, source):
                    extract_archives(folder)

    def find(self) -> Listing:
        """The files of the set, all of them, as they lie. See find_images for errors.

        Raises:
            ValueError: for `synthetic`, whose images lie nowhere.
        """
        if self._listing is None:
            source, root = self.hparams["source"], self.hparams["root"]
            if source == "synthetic":
                raise ValueError("data.source=synthetic: these images are drawn in memory and lie in no folder")
            if source == "imagenette":
                root = imagenette_folder(root, self.hparams["imagenette_size"])
            self._listing = find_images(root, source)
        return self._listing

    def photographs(self, files: ImageSet) -> DecodedImages:
        """Files as training shows them."""
        return DecodedImages(files, self._augmentation, self._unreadable)

    def setup(self, stage: str = "fit") -> None:
        """Find, read or draw the set, and split it, once.

        Raises:
            FileNotFoundError: if it is not there; one line that says where to get it.
            ValueError: if it is not as it should be, or the sizes do not fit together.
        """
        if self._splits:
            return
        everything, test = self._read()
        if test is None:
            share, seed = self.hparams["test_split"], self.hparams["split_seed"]
            rest, held = hold_out(_labels(everything), share, seed, "data.test_split")
            everything, test = _subset(everything, rest), _subset(everything, held)
        if not len(_labels(everything)):
            if stage == "fit":
                raise ValueError(f"{self.hparams['root']} holds only images to test with, none to train on")
            self._splits = {"train": everything, "val": everything, "test": test}
            return
        train, val = hold_out(_labels(everything), self.hparams["val_split"], self.hparams["split_seed"])
        if self.hparams["batch_size"] > len(train):
            size = self.hparams["batch_size"]
            raise ValueError(f"recipe.batch_size={size} is more than the {len(train)} training images")
        if self.hparams["block_images"] > 1 and not isinstance(everything, StoredImages):
            raise ValueError(
                f"data.block_images={self.hparams['block_images']}: these images lie class by class, or in memory; "
                "python -m cnnlit.prepare stores photographs so that neighbours are of different classes"
            )
        self._splits = {"train": _subset(everything, train), "val": _subset(everything, val), "test": test}

    def _read(self) -> tuple[ImageSet | Batch, ImageSet | Batch | None]:
        """All training images, and the test images, if the set has any; sets `class_names`."""
        hparams = self.hparams
        if hparams["source"] == "synthetic":
            return self._draw(0, hparams["drawn_images"]), self._draw(1, -(-hparams["drawn_images"] // 5))
        listing = self.find()
        found = len(listing.classes)
        if found != hparams["num_classes"]:
            raise ValueError(
                f"found {found} classes in {listing.train.folder}, data.num_classes={hparams['num_classes']}; "
                f"say data.num_classes={found}"
            )
        self.class_names = listing.class_names
        self.class_folders = listing.classes
        train, test = listing.train, listing.test
        if hparams["source"] != "tiny_imagenet" or test is None:
            return train, test
        pixels = read_all([files.path(index) for files in (train, test) for index in range(len(files))])
        return (pixels[: len(train)], train.labels), (pixels[len(train) :], test.labels)

    def _draw(self, split: int, count: int) -> Batch:
        hparams = self.hparams
        self.class_names = synthetic.class_names(hparams["num_classes"])
        return synthetic.draw_images(
            count,
            num_classes=hparams["num_classes"],
            image_size=hparams["image_size"],
            seed=hparams["split_seed"],  # which images there are does not depend on the run's seed
            split=split,
        )

    @property
    def num_images(self) -> dict[str, int]:
        """Images per split, after `setup`."""
        return {name: len(split[1] if isinstance(split, tuple) else split) for name, split in self._splits.items()}

    def when_waiting(self) -> str | None:
        """See ResumableData."""
        train = self._splits["train"]
        if isinstance(train, tuple):
            return None
        if self.num_workers < min(MOST_WORKERS, num_cores()):
            return f"data.num_workers={self.num_workers} of {num_cores()} cores decode photographs; give it more"
        if isinstance(train, StoredImages):
            return "every core decodes already: a store that is smaller, or raw, or more cores"
        return "every core decodes already: python -m cnnlit.prepare stores the photographs smaller, once"

    @property
    def unreadable(self) -> list[str]:
        """Paths of the photographs that this process has had to leave out so far, sorted."""
        return sorted(self._unreadable or {})

    @property
    def test_images(self) -> Tensor | LazyImages:
        """What is tested, as it is drawn: uint8 [N, 3, H, W], or a sequence of [3, image_size, image_size].

        Without those of `unreadable`, as there is no answer to them either.
        """
        test = self._splits[self.tested]
        if isinstance(test, tuple):
            return test[0]
        if self._unreadable:
            readable = [index for index in range(len(test)) if test.path(index) not in self._unreadable]
            test = test.subset(torch.tensor(readable, dtype=torch.int64))
        return LazyImages(DecodedImages(test, self._evaluation))

    def train_dataloader(self) -> DataLoader[Any]:
        blocks: dict[str, Any] = {}
        if self.hparams["block_images"] > 1:
            stored = self._splits["train"]
            assert isinstance(stored, StoredImages)
            blocks = {"block_images": self.hparams["block_images"], "places": stored.places}
        batches = self._training_batches(**blocks)
        assert isinstance(batches, BatchSampler)  # of one seed
        return self.loader(self._dataset("train", self._augmentation), batches)

    def val_dataloader(self) -> list[DataLoader[Any]]:
        return [self._eval_dataloader("val")] if self.num_images["val"] else []

    def test_dataloader(self) -> DataLoader[Any]:
        if self._views is None:
            return self._eval_dataloader(self.tested)
        self._find_statistics(self._evaluation)
        images = self._splits[self.tested]
        if isinstance(images, tuple):
            images = images[0].to(self._device), images[1].to(self._device)
        per_step = max(1, int(self.hparams["eval_batch_size"] / self._views.relative_pixels))
        return self.loader(
            MultiViewImages(images, self._views, self._unreadable), self._eval_batches(self.tested, per_step)
        )

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        if isinstance(batch, ImageBatch | ViewBatch):
            return super().transfer_batch_to_device(batch, device, dataloader_idx)
        return batch  # which is there already

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """What of a photograph's augmentation, and of several views, is for the device that trains.

        None, which Lightning takes for no step at all, where no photograph of a training batch could be read.

        Raises:
            UnreadableError: in that case, if other devices would wait for this one's step.
        """
        if isinstance(batch, ViewBatch):
            return [(self._normalize(images), places) for images, places in batch.groups], batch.labels
        if not isinstance(batch, ImageBatch):
            return batch
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
        """Training images as the network will see them in this epoch, drawn at random, and their labels."""
        dataset = self._dataset("train", self._augmentation)
        batch = epoch, self._curvature_indices(count, epoch)
        if isinstance(dataset, ImagesInMemory):
            return dataset[batch]
        images, labels, draws = (part.to(self._device) for part in dataset.noted(dataset[batch])[:3])
        return self._augmentation.finish(images, draws), labels

    def as_input(self, images: Sequence[Tensor]) -> Tensor | list[Group]:
        """See ResumableData; a list of the views by size, where a test has several."""
        if self._views is None:
            view, places = self._only_view(images)
            return self._evaluation.finish(view, self._evaluation.draws(0, places))
        windows = [self._views.windows(torch.tensor([image.shape[1:]])) for image in images]
        groups = cut(images, windows, exactly=self._lie_in_memory)
        return [(self._normalize(views), places) for views, places in groups]

    def as_seen(self, images: Sequence[Tensor]) -> Tensor:
        """See ResumableData."""
        return self._only_view(images)[0].round().clamp(0, 255).to(torch.uint8)

    def _only_view(self, images: Sequence[Tensor]) -> Group:
        first = torch.zeros(1, dtype=torch.int64)
        windows = [self._evaluation.windows(torch.tensor([image.shape[1:]]), 0, first) for image in images]
        (view,) = cut(images, windows, exactly=self._lie_in_memory)
        return view

    @property
    def _lie_in_memory(self) -> bool:
        return self.hparams["source"] in ("tiny_imagenet", "synthetic")

    def state_dict(self) -> dict[str, Any]:
        """The place in the epoch, what the classes are called, and what steps take of the training images."""
        kept: dict[str, Any] = {"mean_image": self._normalize.mean_image, "colour_components": None}
        kept |= {"class_names": self.class_names, "class_folders": self.class_folders}
        for step in self._pca_steps(self._augmentation):
            kept["colour_components"] = step.components
        return super().state_dict() | {name: value for name, value in kept.items() if value is not None}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        # Of which checkpoints know nothing that are older than they.
        self.class_names = state_dict.get("class_names", self.class_names)
        self.class_folders = state_dict.get("class_folders", self.class_folders)
        self._normalize.mean_image = state_dict.get("mean_image")
        for step in self._pca_steps(self._augmentation):
            step.components = state_dict.get("colour_components")

    def _eval_dataloader(self, split: str) -> DataLoader[Any]:
        return self.loader(self._dataset(split, self._evaluation), self._eval_batches(split))

    def loader(self, dataset: Dataset[Any], batches: BatchSampler) -> DataLoader[Any]:
        """BatchSampler of a data set, as training loads them."""
        if all(isinstance(split, tuple) for split in self._splits.values()):
            return DataLoader(dataset, batch_size=None, sampler=batches)
        workers = self.num_workers
        if isinstance(dataset, DecodedImages) and (workers == 1 or (workers and _is_raw(dataset.files))):
            # To hand a batch from process to process costs more than to make one that needs no decoding, and a tenth of
            # one that does; but many threads that decode would keep the one that trains waiting.
            threads = min(workers, MOST_THREADS)
            return ThreadLoader(dataset, batches, num_threads=threads, pin_memory=self._device.type == "cuda")
        return DecodingLoader(
            dataset,
            batch_size=None,  # a batch is what a worker is asked for
            sampler=batches,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=self._device.type == "cuda",
        )

    def _dataset(self, split: str, augmentation: Augmentation) -> ImagesInMemory | DecodedImages:
        self._find_statistics(augmentation)
        return self._images(split, augmentation)

    def _find_statistics(self, augmentation: Augmentation) -> None:
        """Take of the training images what this augmentation needs and no earlier one, or checkpoint, brought."""
        normalize = self._normalize
        missing = any(step.components is None for step in self._pca_steps(augmentation))
        if missing or (normalize.needs_mean_image and normalize.mean_image is None):
            train = self._images("train", self._evaluation)
            found = statistics(train, self.hparams["split_seed"], self.num_workers)
            normalize.mean_image = found.mean_image if normalize.needs_mean_image else None
            for step in self._pca_steps(self._augmentation):
                step.components = found.components

    @staticmethod
    def _pca_steps(augmentation: Augmentation) -> list[PCAColour]:
        """Its steps that are to have the training images' own components."""
        return [step for step in augmentation.colours if isinstance(step, PCAColour) and step.statistics == "training"]

    def _images(self, split: str, augmentation: Augmentation) -> ImagesInMemory | DecodedImages:
        images = self._splits[split]
        if not isinstance(images, tuple):
            return DecodedImages(images, augmentation, self._unreadable)
        pixels, labels = images
        return ImagesInMemory(pixels.to(self._device), labels.to(self._device), augmentation)

    @property
    def _device(self) -> torch.device:
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")

    @property
    def num_workers(self) -> int:
        """Processes that decode photographs."""
        chosen: int | None = self.hparams["num_workers"]
        shared = self.trainer.num_devices if self.trainer else 1
        return min(MOST_WORKERS, max(1, num_cores() // shared)) if chosen is None else chosen


def _is_raw(images: ImageSet) -> bool:
    return isinstance(images, StoredImages) and images.encoding == "raw"


def _labels(images: ImageSet | Batch) -> Tensor:
    return images[1] if isinstance(images, tuple) else images.labels


def _subset(images: ImageSet | Batch, indices: Tensor) -> ImageSet | Batch:
    if not isinstance(images, tuple):
        return images.subset(indices)
    return images[0][indices], images[1][indices]
