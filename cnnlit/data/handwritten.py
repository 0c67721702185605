"""Handwritten digits: the scikit-learn set or MNIST, entirely in the memory of the device that trains."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Len
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from cnnlit.data.datamodule import ResumableData
from cnnlit.data.loading.batch_sampler import Presentations
from cnnlit.data.sources.digits import read_digits
from cnnlit.data.sources.mnist import PUBLISHED_ERRORS, obtain_mnist, read_mnist
from cnnlit.data.splits import hold_out
from cnnlit.data.transforms.distortions import AffineDistortion, ElasticField, pad
from cnnlit.data.transforms.evaluation_crops import Shifted
from cnnlit.data.user_images import as_digit, is_dark_on_bright

Range = Annotated[list[float], Len(2, 2)]
Batch = tuple[Tensor, Tensor]


class DigitsInMemory(Dataset[Batch]):
    """Digits in the memory of one device, from which batches are taken by index.

    `dataset[epoch, presentations]` is `(images, labels)`: float32 [batch, 1, image_size, image_size] in -0.1
    (background) to 1.175 (ink), and int64 [batch].

    Args:
        images: uint8 [N, H, H], 0 is background.
        labels: int64 [N].
        image_size: side of the images that the network sees, in pixels.
        distortion: applied to each presentation; or None.
        views: several of each image, in place of a distortion; a batch then has groups of views, see `seen`. Or None.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        image_size: int,
        distortion: AffineDistortion | None = None,
        views: Shifted | None = None,
    ) -> None:
        self.images = images
        self.labels = labels
        self.image_size = image_size
        self.distortion = distortion
        self.views = views

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, batch: Presentations) -> tuple[Any, Tensor]:
        epoch, presentations = batch
        presentations = presentations.to(self.images.device)
        indices = presentations % len(self)
        images = self.images.index_select(0, indices)
        labels = self.labels.index_select(0, indices)
        if self.views is not None:
            return [seen(images, self.image_size, self.views)], labels
        if self.distortion is None:
            return pad(images, self.image_size), labels
        return self.distortion(images, epoch, presentations, self.image_size), labels


def seen(images: Tensor, image_size: int, views: Shifted) -> Batch:
    """All views of N images, float32 [N * V, 1, image_size, image_size], and their numbers, int64 [N * V].

    Args:
        images: uint8 [N, H, H], 0 is background.
        image_size: side of a view, in pixels.
        views: of each image.
    """
    shown = views.of(pad(images, image_size + 2 * views.pixels))
    return shown, torch.arange(len(shown), device=shown.device)


class HandwrittenDigits(ResumableData):
    """Ten digits, 28x28 grey, from one of two sources, split into training, validation and test.

    Args:
        source: `sklearn`, 1,797 digits that need no download; `mnist`, LeCun's 70,000.
        root: the folder of MNIST's files, or where to put them.
        batch_size: images per training step, over all devices.
        eval_batch_size: images per step of validation and test.
        image_size: side of the images that the network sees, in pixels; 28 padded with background.
        num_classes: ten, for the model to refer to.
        in_channels: one, for the model to refer to.
        val_split: images held out of the training set for validation, stratified; 0 for none.
        split_seed: which ones; the same for every `seed`.
        passes_per_epoch: how often an epoch presents each image; a small set needs more steps between validations.
        order: a new random order each epoch (`fresh`) or the same random order each epoch (`constant`).
        seed: of the order and the distortions.
        distortion: `affine1998`, the distortions of LeCun et al. 1998; `elastic2003`, these with the elastic fields of
            Simard et al. 2003; or `none`. See AffineDistortion and ElasticField.
        distortion_scaling: range of the scale.
        distortion_squeezing: range of the squeeze.
        distortion_shear: range of the horizontal shear.
        distortion_translation_pixels: range of either translation, in pixels.
        distortion_elastic_strength: alpha of elastic2003, in pixels.
        distortion_elastic_smoothness_pixels: its sigma.
        distortion_copies: distorted versions of each image beside the original, drawn once (the paper: 9);
            None for a fresh distortion at every presentation.
        views: of each test image, a list of one transforms.evaluation_crops.Shifted; None for the single view that
            validation has.

    Raises:
        ValueError: for other views.
    """

    class_names = class_folders = tuple("0123456789")
    takes_replicas = True

    def __init__(
        self,
        *,
        source: Literal["sklearn", "mnist"] = "sklearn",
        root: str = "data",
        batch_size: Annotated[int, Ge(1)] = 64,
        eval_batch_size: Annotated[int, Ge(1)] = 1000,
        image_size: Annotated[int, Ge(28)] = 32,
        num_classes: Literal[10] = 10,
        in_channels: Literal[1] = 1,
        val_split: Annotated[int, Ge(0)] = 0,
        split_seed: Annotated[int, Ge(0)] = 0,
        passes_per_epoch: Annotated[int, Ge(1)] = 1,
        order: Literal["fresh", "constant"] = "fresh",
        seed: Annotated[int, Ge(0)] = 0,
        distortion: Literal["none", "affine1998", "elastic2003"] = "none",
        distortion_scaling: Range = (0.76, 1.41),  # type: ignore[assignment]
        distortion_squeezing: Range = (0.9, 1.1),  # type: ignore[assignment]
        distortion_shear: Range = (-0.14, 0.14),  # type: ignore[assignment]
        distortion_translation_pixels: Range = (-2.0, 2.0),  # type: ignore[assignment]
        distortion_elastic_strength: Annotated[float, Gt(0)] = 34.0,
        distortion_elastic_smoothness_pixels: Annotated[float, Gt(0)] = 4.0,
        distortion_copies: Annotated[int, Ge(1)] | None = None,
        views: list[Any] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False, ignore=["views"])
        if views is not None and (len(views) != 1 or not isinstance(views[0], Shifted)):
            raise ValueError("protocol: digits have no crops to be tested by; use protocol=single_crop or shifts")
        self.source = source
        self._views: Shifted | None = views[0] if views else None
        self.published_errors = PUBLISHED_ERRORS if source == "mnist" else None
        self._splits: dict[str, Batch] = {}
        self._distortion: AffineDistortion | None = None

    def prepare_data(self) -> None:
        """Find or download the files; raises FileNotFoundError, in one line, if neither succeeds."""
        if self.hparams["source"] == "mnist":
            obtain_mnist(self.hparams["root"])

    def setup(self, stage: str = "fit") -> None:
        """Read and split the set, once; raises ValueError if the sizes do not fit together."""
        if self._splits:
            return
        hparams = self.hparams
        mnist = hparams["source"] == "mnist"
        images, labels, test_images, test_labels = read_mnist(hparams["root"]) if mnist else read_digits()
        train, val = hold_out(labels, hparams["val_split"], hparams["split_seed"])
        if hparams["batch_size"] > len(train):
            raise ValueError(f"recipe.batch_size={hparams['batch_size']} is more than the {len(train)} training images")
        if hparams["distortion"] != "none":
            strength, smoothness = (hparams[f"distortion_elastic_{key}"] for key in ("strength", "smoothness_pixels"))
            elastic = hparams["distortion"] == "elastic2003"
            self._distortion = AffineDistortion(
                scaling=hparams["distortion_scaling"],
                squeezing=hparams["distortion_squeezing"],
                shear=hparams["distortion_shear"],
                translation_pixels=hparams["distortion_translation_pixels"],
                num_images=len(train),
                versions=self._versions,
                fixed=hparams["distortion_copies"] is not None,
                seeds=self.seeds,
                elastic=ElasticField(strength, smoothness, hparams["image_size"]) if elastic else None,
            )
        self._splits = {
            "train": (images[train], labels[train]),
            "val": (images[val], labels[val]),
            "test": (test_images, test_labels),
        }

    @property
    def num_images(self) -> dict[str, int]:
        """Images per split, after `setup`."""
        return {split: len(labels) for split, (_, labels) in self._splits.items()}

    @property
    def test_images(self) -> Tensor:
        """See ResumableData: uint8 [N, 28, 28]."""
        return self._splits[self.tested][0]

    def train_dataloader(self) -> DataLoader[Batch]:
        passes: int = self.hparams["passes_per_epoch"]
        batches = self.training_batches(versions=self._versions, passes_per_epoch=passes)
        return DataLoader(self._in_memory("train", self._distortion), batch_size=None, sampler=batches)

    def val_dataloader(self) -> list[DataLoader[Batch]]:
        return [self._eval_dataloader("val")] if self.hparams["val_split"] else []

    def test_dataloader(self) -> DataLoader[Batch]:
        if self._views is None:
            return self._eval_dataloader(self.tested)
        per_step = max(1, self.hparams["eval_batch_size"] // self._views.num_views)
        digits = self._in_memory(self.tested, views=self._views)
        return DataLoader(digits, batch_size=None, sampler=self.eval_batches(self.tested, per_step))

    def transfer_batch_to_device(self, batch: Batch, device: Any, dataloader_idx: int) -> Batch:
        return batch  # it is there already

    def curvature_sample(self, count: int, epoch: int, replica: int = 0) -> Batch:
        """See ResumableData."""
        indices = self.curvature_indices(count, epoch, replica)
        first = replica * self.num_images["train"] * self._versions  # of its presentations, see LockstepSamplerSampler
        return self._in_memory("train", self._distortion)[epoch, first + indices]

    def as_input(self, images: Sequence[Tensor]) -> Tensor | list[Batch]:
        """See ResumableData and as_digit."""
        digits = torch.stack([as_digit(image) for image in images])
        if self._views is None:
            return pad(digits, self.hparams["image_size"])
        return [seen(digits, self.hparams["image_size"], self._views)]

    def input_form(self) -> dict[str, Any]:
        """See ResumableData."""
        side = self.hparams["image_size"]
        black = torch.zeros(1, side, side, dtype=torch.uint8)
        add = pad(black, side)[0]
        multiply = (pad(black + 255, side)[0] - add) / 255
        geometry = {
            "ink": "bright on dark; dark on bright is inverted",
            "digit": "28x28 pixels, as in MNIST: scaled to fit 20x20, its centre of mass in the middle",
            "padded_to": [side, side],
        }
        return {"geometry": geometry, "multiply": multiply, "add": add}

    def as_seen(self, images: Sequence[Tensor]) -> Tensor:
        """See ResumableData."""
        digits = torch.stack([as_digit(image) for image in images])
        edge = (self.hparams["image_size"] - digits.shape[-1]) // 2
        right = self.hparams["image_size"] - digits.shape[-1] - edge
        return functional.pad(digits, (edge, right, edge, right))

    def remark(self, image: Tensor) -> str | None:
        """See ResumableData."""
        return "dark on bright: inverted" if is_dark_on_bright(image) else None

    def _eval_dataloader(self, split: str) -> DataLoader[Batch]:
        return DataLoader(self._in_memory(split), batch_size=None, sampler=self.eval_batches(split))

    def _in_memory(self, split: str, distortion: AffineDistortion | None = None, **views: Any) -> DigitsInMemory:
        device = self.trainer.strategy.root_device if self.trainer else "cpu"
        images, labels = self._splits[split]
        return DigitsInMemory(images.to(device), labels.to(device), self.hparams["image_size"], distortion, **views)

    @property
    def _versions(self) -> int:
        """Number of versions of an image in a sweep: the original and its distortions."""
        copies = self.hparams["distortion_copies"]
        if self.hparams["distortion"] == "none" or copies is None:
            passes: int = self.hparams["passes_per_epoch"]
            return passes
        return 1 + int(copies)
