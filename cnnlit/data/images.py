"""The base of all sets of colour images: how they are split, augmented, tested and kept in checkpoints."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Generic, Literal, TypeVar

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cnnlit.data.foreign_images import ForeignImages
from cnnlit.data.labels.class_ids import matched, renamed
from cnnlit.data.labels.label_file import find_labelled
from cnnlit.data.loading.batch_sampler import BatchSampler, LockstepSampler
from cnnlit.data.loading.image_set import LabelledImages, one_size
from cnnlit.data.loading.multi_view import ViewBatch
from cnnlit.data.loading.pixel_statistics import pixel_statistics
from cnnlit.data.loading.splits import hold_out
from cnnlit.data.remote.addresses import Cached
from cnnlit.data.remote.remote_sets import find_anywhere
from cnnlit.data.sources.folders import Listing
from cnnlit.data.sources.found_files import SOUGHT
from cnnlit.data.sources.listing_file import ListedImage, listed
from cnnlit.data.sources.named_splits import Named
from cnnlit.data.transforms.augmentation import Augmentation
from cnnlit.data.transforms.colours import Normalize, PCAColour
from cnnlit.data.transforms.evaluation_crops import ViewPlan
from cnnlit.data.transforms.presented import PresentedImage

Count = Annotated[int, Ge(1)]
NumClasses = Annotated[int, Ge(2)]
Seed = Annotated[int, Ge(0)]
Order = Literal["fresh", "constant", "balanced"]
ValSplit = Annotated[int, Ge(0)] | Annotated[float, Ge(0), Lt(1)]
TestSplit = Annotated[int, Ge(1)] | Annotated[float, Gt(0), Lt(1)]

ABSENT_IN_TRAINING = "a run is tested on all of its classes; leave it out, and say it to cnnlit.evaluate"

TESTED_OF = "{:,} of {:,} images are tested, those that data.test_split={} holds out; data.test=. tests all"

ImagesT = TypeVar("ImagesT", bound=LabelledImages)


class ImageData(ForeignImages, ABC, Generic[ImagesT]):
    """Colour images, split into training, validation and test. Each source is a subclass with options of its own.

    The test set is the official validation set, whose labels are public; where there is none, it is held out of the
    training set. Validation images are held out of what is left.

    Every subclass has these options in its constructor, and hands the steps on to this one; the others are kept as
    hyperparameters:

    - `batch_size`: images per training step, over all devices.
    - `eval_batch_size`: images per step of validation and test; where a test has several views of an image, views, and
      larger ones count as many times as they are larger.
    - `image_size`: side of the images that the network sees, in pixels.
    - `num_classes`: how many there must be.
    - `in_channels`: three, or one for images in grey; the model refers to it.
    - `val_split`: images held out of the training set for validation, stratified: their number, or their fraction if
      it is below 1; 0 for none.
    - `test_split`, where images are found in a folder: likewise, images held out for the test where the set has no
      validation set of its own.
    - `split_seed`: which ones; the same for every `seed`.
    - `class_map`, where images are found in a folder: a file that tells the class of each folder, see read_class_map.
    - `mask_absent`, likewise: whether a test on a part of a network's classes lets it answer with these alone.
    - `order`: a new random order each epoch (`fresh`), the same random order each epoch (`constant`), or a new one in
      which each class is shown equally often (`balanced`).
    - `seed`: of the order and the augmentation.
    - `normalization`: the scale of the input. See Normalize.

    Args:
        augmentation: steps of transforms.geometry, then of transforms.colours, or the user's own. See Augmentation.
        views: steps of transforms.geometry and transforms.evaluation_crops, of the test; None for the single view that
            validation has, which is the augmentation without its randomness.
    """

    def __init__(self, *, augmentation: Sequence[Any], views: Sequence[Any] | None) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False, ignore=["augmentation", "views"])  # the subclass's as well
        size = self.hparams["image_size"]
        self._normalize = Normalize(self.hparams["normalization"])
        self._augmentation = Augmentation(
            augmentation, image_size=size, normalize=self._normalize, seed=self.hparams["seed"]
        )
        self._augmentation.try_on(self.hparams["in_channels"])
        if self.hparams["in_channels"] == 1 and any(isinstance(step, PCAColour) for step in self._augmentation.colours):
            raise ValueError("data.in_channels=1: PCAColour changes colours; name a recipe.augmentation without it")
        self._evaluation = self._augmentation.for_evaluation()
        self._views = None if views is None else ViewPlan(views, image_size=size)
        self.class_names: Sequence[str] = []
        self.class_folders: Sequence[str] = []
        self._listing: Listing | None = None
        self._own_val: ImagesT | None = None
        self._remarks: list[str] = []
        self._splits: dict[str, ImagesT] = {}

    @abstractmethod
    def _read(self) -> tuple[ImagesT, ImagesT | None]:
        """All training images, and the test images if the set has any; sets `class_names`, and `_own_val` likewise."""

    @abstractmethod
    def _single_view(self, images: ImagesT, augmentation: Augmentation) -> Dataset[Any]:
        """A data set of images, augmented."""

    @abstractmethod
    def _several_views(self, images: ImagesT, views: ViewPlan) -> Dataset[ViewBatch]:
        """A data set of images in several views each."""

    @abstractmethod
    def _pixels(self, images: ImagesT) -> Iterable[Tensor]:
        """Images as validation presents them, or a sample of them: batches [N, 3, image_size, image_size], 0 to 255."""

    @abstractmethod
    def loader(self, dataset: Dataset[Any], batches: BatchSampler | LockstepSampler) -> DataLoader[Any]:
        """Batches of a data set, loaded as in training."""

    def listed(self) -> Iterable[ListedImage]:
        """See ResumableData."""
        return listed(self.find()) if self.source in SOUGHT else ()

    def find(self) -> Listing:
        """All files of the set. See find_images for errors."""
        if self.source not in SOUGHT:
            raise ValueError(
                "data: these images are in no files that could be prepared; use data=imagenet or data=folder"
            )
        if self._listing is None:
            named = Named(*(self.hparams.get(part) for part in Named._fields))
            class_map, labels = self.hparams.get("class_map"), self.hparams.get("labels")
            if labels:
                found = find_labelled(self._root, labels, named)
            else:
                cached = Cached(*map(self.hparams.get, ("cache_dir", "cache_gb", "copies"), Cached()))
                found = find_anywhere(self._root, self.source, named, cached, as_0_1=self.as_0_1)
            self._listing = renamed(found, class_map) if class_map else found
        return self._listing

    @property
    def _root(self) -> Any:
        return self.hparams["root"]

    def _find_classes(self) -> Listing:
        """All files of the set, once their classes are known to be those that the network expects."""
        listing = self.find()
        self._remarks += listing.remarks
        found, expected = len(listing.classes), self.hparams["num_classes"]
        if self.known_classes:
            listing, self.absent_classes, remarks = matched(listing, self.known_classes, self.hparams)
            self._remarks += remarks
        elif found != expected:
            raise ValueError(
                f"found {found} classes in {listing.folder}, data.num_classes={expected}; say data.num_classes={found}"
            )
        self.class_names, self.class_folders = listing.class_names, listing.classes
        return listing

    @property
    def remarks(self) -> Sequence[str]:
        """See ResumableData."""
        return tuple(self._remarks)

    def setup(self, stage: str = "fit") -> None:
        """Find, read or draw the set, and split it, once.

        Raises:
            FileNotFoundError: if it is not there; one line that says where to get it.
            ValueError: if it is not as it should be, or the sizes do not fit together.
        """
        if self._splits:
            return
        if stage == "fit" and self.hparams.get("mask_absent"):
            raise ValueError(f"data.mask_absent=true: {ABSENT_IN_TRAINING}")
        training, test = self._read()
        seed, size = self.hparams["split_seed"], self.hparams["batch_size"]
        if test is None and self.tests_all:
            training, test = training.subset(torch.arange(0)), training
        elif test is None:
            rest, held_out = hold_out(training.labels, self.hparams["test_split"], seed, "data.test_split")
            if stage == "test" and self.source in SOUGHT:
                self._remarks.append(TESTED_OF.format(len(held_out), len(training), self.hparams["test_split"]))
            training, test = training.subset(rest), training.subset(held_out)
        if not len(training):
            if stage == "fit":
                raise ValueError(f"{self.hparams['root']} holds only images to test with, none to train on")
            self._splits = {"train": training, "val": self._own_val or training, "test": test}
            return
        train, val = hold_out(training.labels, 0 if self._own_val else self.hparams["val_split"], seed)
        if size > len(train):
            raise ValueError(f"recipe.batch_size={size} is more than the {len(train)} training images")
        self._splits = {"train": training.subset(train), "val": self._own_val or training.subset(val), "test": test}
        if self.picture_size is None and not self.known_classes:
            self.bring_to(one_size(training))

    @property
    def num_images(self) -> dict[str, int]:
        """Images per split, after `setup`."""
        return {name: len(images) for name, images in self._splits.items()}

    @property
    def training_labels(self) -> Tensor:
        """See ResumableData."""
        return self._splits["train"].labels

    def train_dataloader(self) -> DataLoader[Any]:
        return self.loader(self._augmented("train", self._augmentation), self.training_batches())

    def val_dataloader(self) -> list[DataLoader[Any]]:
        return [self._eval_dataloader("val")] if self.num_images["val"] else []

    def test_dataloader(self) -> DataLoader[Any]:
        if self._views is None:
            return self._eval_dataloader(self.tested)
        self._find_statistics(self._evaluation)
        per_step = max(1, int(self.hparams["eval_batch_size"] / self._views.relative_pixels))
        dataset = self._several_views(self._splits[self.tested], self._views)
        return self.loader(dataset, self.eval_batches(self.tested, per_step))

    def _eval_dataloader(self, split: str) -> DataLoader[Any]:
        return self.loader(self._augmented(split, self._evaluation), self.eval_batches(split))

    def _augmented(self, split: str, augmentation: Augmentation) -> Dataset[Any]:
        self._find_statistics(augmentation)
        return self._single_view(self._splits[split], augmentation)

    def present(self, dataset: Any, batch: Any, count: int) -> list[PresentedImage]:
        """See ResumableData; beside the originals."""
        epoch, presentations = batch
        return dataset.presented((epoch, presentations[:count]))  # type: ignore[no-any-return]

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Several views, on the scale of the network's input."""
        if isinstance(batch, ViewBatch):
            return [(self._normalize(images), places) for images, places in batch.groups], batch.labels
        return batch

    def state_dict(self) -> dict[str, Any]:
        """The place in the epoch, the names of the classes, and the statistics of the training images."""
        kept: dict[str, Any] = {"mean_image": self._normalize.mean_image, "colour_components": None}
        kept |= {"class_names": self.class_names, "class_folders": self.class_folders}
        kept["picture_size"] = self.picture_size
        for step in self._pca_steps(self._augmentation):
            kept["colour_components"] = step.components
        return super().state_dict() | {name: value for name, value in kept.items() if value is not None}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.class_names = state_dict.get("class_names", self.class_names)  # early checkpoints have none
        self.class_folders = state_dict.get("class_folders", self.class_folders)
        self.bring_to(state_dict.get("picture_size"))
        self._normalize.mean_image = state_dict.get("mean_image")
        for step in self._pca_steps(self._augmentation):
            step.components = state_dict.get("colour_components")

    def _find_statistics(self, augmentation: Augmentation) -> None:
        """Compute what this augmentation needs of the training images, unless it is known, maybe by a checkpoint."""
        normalize = self._normalize
        missing = any(step.components is None for step in self._pca_steps(augmentation))
        if missing or (normalize.needs_mean_image and normalize.mean_image is None):
            found = pixel_statistics(self._pixels(self._splits["train"]))
            normalize.mean_image = found.mean_image if normalize.needs_mean_image else None
            for step in self._pca_steps(self._augmentation):
                step.components = found.components

    @staticmethod
    def _pca_steps(augmentation: Augmentation) -> list[PCAColour]:
        """Its steps that are to have the training images' own components."""
        return [step for step in augmentation.colours if isinstance(step, PCAColour) and step.statistics == "training"]

    @property
    def _device(self) -> torch.device:
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
