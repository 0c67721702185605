"""Pictures in colour: ImageNet, Tiny ImageNet, or drawn by the program."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Lt
from torch import Tensor
from torch.utils.data import DataLoader

from cnnlit.data import synthetic
from cnnlit.data.augmentation import Augmentation
from cnnlit.data.colours import Normalization, Normalize
from cnnlit.data.decoding import num_cores, read_all
from cnnlit.data.image_folders import Files, Listing, list_class_folders, list_tiny_imagenet
from cnnlit.data.order import Batches
from cnnlit.data.pictures import Batch, Gallery, Photographs, ResidentPictures, Shown, mean_image
from cnnlit.data.resuming import ResumableData
from cnnlit.data.splits import hold_out

MOST_WORKERS = 16


class Images(ResumableData):
    """Images in colour from one of three sources, split into training, validation and test.

    ImageNet's photographs are decoded each time that they are shown, by worker processes. Tiny ImageNet and drawn
    pictures lie whole on the device that trains. The test set is the official validation set, whose labels are public;
    validation images are held out of the training set.

    Args:
        source: `imagenet`, class folders of photographs; `tiny_imagenet`, in its own layout; `synthetic`, striped
            shapes that the program draws.
        root: the folder that holds the set; not for `synthetic`.
        batch_size: images per training step, over all devices.
        eval_batch_size: images per step of validation and test.
        image_size: side of the images that the network sees, in pixels.
        num_classes: how many there must be, or are drawn.
        in_channels: three, for the model to refer to.
        val_split: images held out of the training set for validation, stratified: their number, or their fraction if
            it is below 1; 0 for none.
        split_seed: which ones; the same for every `seed`.
        drawn_images: how many `synthetic` draws for training; a fifth as many again for the test.
        order: a new random order each epoch (`fresh`) or the same random order each epoch (`constant`).
        seed: of the order and the augmentation.
        augmentation: steps of cnnlit.data.geometry, then of cnnlit.data.colours. See Augmentation.
        evaluation: likewise, without chance, for validation and test; null for the augmentation's own.
        normalization: the input's scale. See Normalize.
        num_workers: processes that decode photographs; null for one per core; pictures in memory need none.
    """

    published_errors = None

    def __init__(
        self,
        *,
        source: Literal["imagenet", "tiny_imagenet", "synthetic"] = "synthetic",
        root: str = "data",
        batch_size: Annotated[int, Ge(1)] = 128,
        eval_batch_size: Annotated[int, Ge(1)] = 250,
        image_size: Annotated[int, Ge(1)] = 224,
        num_classes: Annotated[int, Ge(2)] = 10,
        in_channels: Literal[3] = 3,
        val_split: Annotated[int, Ge(0)] | Annotated[float, Ge(0), Lt(1)] = 0,
        split_seed: Annotated[int, Ge(0)] = 0,
        drawn_images: Annotated[int, Ge(1)] = 1000,
        order: Literal["fresh", "constant"] = "fresh",
        seed: Annotated[int, Ge(0)] = 0,
        augmentation: Sequence[Any] = (),
        evaluation: Sequence[Any] | None = None,
        normalization: Normalization = "mean_std",
        num_workers: Annotated[int, Ge(0)] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False, ignore=["augmentation", "evaluation"])
        self.class_names: list[str] = []
        self._normalize = Normalize(normalization)
        shared: Any = {"image_size": image_size, "normalize": self._normalize, "seed": seed}
        self._augmentation = Augmentation(augmentation, **shared)
        chosen = Augmentation(evaluation, name="data.evaluation", **shared) if evaluation is not None else None
        self._evaluation = (chosen or self._augmentation).for_evaluation()
        self._splits: dict[str, Files | Batch] = {}

    def setup(self, stage: str = "fit") -> None:
        """Find, read or draw the set, and split it, once.

        Raises:
            FileNotFoundError: if it is not there; one line that says where to get it.
            ValueError: if it is not as it should be, or the sizes do not fit together.
        """
        if self._splits:
            return
        everything, test = self._read()
        labels = everything.labels if isinstance(everything, Files) else everything[1]
        train, val = hold_out(labels, self.hparams["val_split"], self.hparams["split_seed"])
        if self.hparams["batch_size"] > len(train):
            size = self.hparams["batch_size"]
            raise ValueError(f"recipe.batch_size={size} is more than the {len(train)} training images")
        self._splits = {"train": _subset(everything, train), "val": _subset(everything, val), "test": test}

    def _read(self) -> tuple[Files | Batch, Files | Batch]:
        """All training images, and the test images; sets `class_names`."""
        hparams = self.hparams
        if hparams["source"] == "synthetic":
            return self._draw(0, hparams["drawn_images"]), self._draw(1, -(-hparams["drawn_images"] // 5))
        tiny = hparams["source"] == "tiny_imagenet"
        listing: Listing = (list_tiny_imagenet if tiny else list_class_folders)(hparams["root"])
        found = len(listing.classes)
        if found != hparams["num_classes"]:
            raise ValueError(
                f"found {found} classes in {listing.train.folder}, data.num_classes={hparams['num_classes']}; "
                f"say data.num_classes={found}"
            )
        self.class_names = listing.class_names
        if not tiny:
            return listing.train, listing.test
        train, test = listing.train, listing.test
        pixels = read_all([files.path(index) for files in (train, test) for index in range(len(files))])
        return (pixels[: len(train)], train.labels), (pixels[len(train) :], test.labels)

    def _draw(self, split: int, count: int) -> Batch:
        hparams = self.hparams
        self.class_names = synthetic.class_names(hparams["num_classes"])
        return synthetic.draw_pictures(
            count,
            num_classes=hparams["num_classes"],
            image_size=hparams["image_size"],
            seed=hparams["split_seed"],  # which pictures there are does not depend on the run's seed
            split=split,
        )

    @property
    def num_images(self) -> dict[str, int]:
        """Images per split, after `setup`."""
        return {name: len(split if isinstance(split, Files) else split[1]) for name, split in self._splits.items()}

    @property
    def test_images(self) -> Tensor | Gallery:
        """The test set as it is drawn: uint8 [N, 3, H, W], or a sequence of [3, image_size, image_size]."""
        test = self._splits["test"]
        return Gallery(Photographs(test, self._evaluation)) if isinstance(test, Files) else test[0]

    def train_dataloader(self) -> DataLoader[Any]:
        return self._loader("train", self._augmentation, self._training_batches())

    def val_dataloader(self) -> list[DataLoader[Any]]:
        return [self._eval_dataloader("val")] if self.num_images["val"] else []

    def test_dataloader(self) -> DataLoader[Any]:
        return self._eval_dataloader("test")

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        if isinstance(batch, Shown):
            return super().transfer_batch_to_device(batch, device, dataloader_idx)
        return batch  # which is there already

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Batch:
        """What of a photograph's augmentation is for the device that trains."""
        if not isinstance(batch, Shown):
            return batch  # type: ignore[no-any-return]
        training = self.trainer is not None and self.trainer.training
        augmentation = self._augmentation if training else self._evaluation
        return augmentation.finish(batch.images, batch.draws), batch.labels

    def curvature_sample(self, count: int, epoch: int) -> Batch:
        """Training images as the network will see them in this epoch, drawn at random, and their labels."""
        sample = self._dataset("train", self._augmentation)[epoch, self._curvature_indices(count, epoch)]
        if isinstance(sample, Shown):
            images, labels, draws = (part.to(self._device) for part in sample)
            return self._augmentation.finish(images, draws), labels
        return sample

    def state_dict(self) -> dict[str, Any]:
        """The place in the epoch, in batches, and the training images' mean where it is subtracted."""
        mean_image = self._normalize.mean_image
        return super().state_dict() | ({} if mean_image is None else {"mean_image": mean_image})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._normalize.mean_image = state_dict.get("mean_image")

    def _eval_dataloader(self, split: str) -> DataLoader[Any]:
        return self._loader(split, self._evaluation, self._eval_batches(split))

    def _loader(self, split: str, augmentation: Augmentation, batches: Batches) -> DataLoader[Any]:
        dataset = self._dataset(split, augmentation)
        if isinstance(dataset, ResidentPictures):
            return DataLoader(dataset, batch_size=None, sampler=batches)
        workers = self._num_workers
        return DataLoader(
            dataset,
            batch_size=None,  # a batch is what a worker is asked for
            sampler=batches,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=self._device.type == "cuda",
        )

    def _dataset(self, split: str, augmentation: Augmentation) -> ResidentPictures | Photographs:
        if self._normalize.needs_mean_image and self._normalize.mean_image is None:
            train = self._pictures("train", self._evaluation)
            self._normalize.mean_image = mean_image(train, self.hparams["split_seed"], self._num_workers)
        return self._pictures(split, augmentation)

    def _pictures(self, split: str, augmentation: Augmentation) -> ResidentPictures | Photographs:
        pictures = self._splits[split]
        if isinstance(pictures, Files):
            return Photographs(pictures, augmentation)
        pixels, labels = pictures
        return ResidentPictures(pixels.to(self._device), labels.to(self._device), augmentation)

    @property
    def _device(self) -> torch.device:
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")

    @property
    def _num_workers(self) -> int:
        chosen: int | None = self.hparams["num_workers"]
        shared = self.trainer.num_devices if self.trainer else 1
        return min(MOST_WORKERS, max(1, num_cores() // shared)) if chosen is None else chosen


def _subset(pictures: Files | Batch, indices: Tensor) -> Files | Batch:
    if isinstance(pictures, Files):
        return pictures.subset(indices)
    return pictures[0][indices], pictures[1][indices]
