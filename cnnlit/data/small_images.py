"""Small sets, entirely in the memory of the device that trains: digits and what followed MNIST, CIFAR, own arrays."""

import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Len
from torch.utils.data import DataLoader, Dataset

from cnnlit.data.images import Count, NumClasses, Order, Seed, TestSplit, ValSplit
from cnnlit.data.loading.datasets import DistortedImages
from cnnlit.data.loading.image_set import LoadedImages
from cnnlit.data.loading.multi_view import ShiftedViews
from cnnlit.data.small_sets.array_files import npz_in, read_npz
from cnnlit.data.small_sets.contents import Contents, Located
from cnnlit.data.small_sets.downloads import obtain
from cnnlit.data.small_sets.finding import Found, find
from cnnlit.data.small_sets.foreign_small_images import ForeignSmallImages
from cnnlit.data.small_sets.published import PUBLISHED_ERRORS, SETS, TEN, SmallSet
from cnnlit.data.small_sets.sklearn_digits import read_digits
from cnnlit.data.sources.listing_file import ListedImage
from cnnlit.data.transforms.augmentation import Augmentation
from cnnlit.data.transforms.colours import Normalization, as_channels
from cnnlit.data.transforms.distortions import AffineDistortion, ElasticField
from cnnlit.data.transforms.evaluation_crops import Shifted
from cnnlit.data.transforms.geometry import Flip, Frame, Geometry

Range = Annotated[list[float], Len(2, 2)]
# fmt: off
Source = Literal[
    "sklearn", "mnist", "fashion_mnist", "kmnist", "qmnist", "cifar10", "cifar100", "svhn", "npz",
    "emnist", "emnist_byclass", "emnist_bymerge", "emnist_letters", "emnist_digits", "emnist_mnist",
]
# fmt: on
SKLEARN = SmallSet("scikit-learn's digits", "", (1, 28, 28), (1437, 360), TEN, None, (), (), (), characters=True)


class SmallImages(ForeignSmallImages):
    """A small set: found in any of its forms, or downloaded; or one's own arrays.

    Args:
        source: a line of cnnlit.data.small_sets.published.SETS; `sklearn`, 1,797 digits that need no download; `npz`,
            arrays in a file, see cnnlit.data.small_sets.array_files.
        root: the folder that holds the set, or where to put it; of `npz`, the file.
        in_channels: 1 for grey images, 3 for colours; a set that has the other is converted.
        val_split: see ImageData; None for the validation images of an npz file, or a tenth if it has none.
        passes_per_epoch: how often an epoch presents each image; a small set needs more steps between validations.
        flips: False where a mirrored image is another: steps of the augmentation that mirror are left out.
        enlarge: what an image that is smaller than `image_size` is, where the augmentation has no crop: padded
            (`pad`), or resized (`resize`).
        distortion: in place of an augmentation, `affine1998`, the distortions of LeCun et al. 1998; `elastic2003`,
            these with the elastic fields of Simard et al. 2003; or `none`. See AffineDistortion and ElasticField.
        distortion_scaling: range of the scale.
        distortion_squeezing: range of the squeeze.
        distortion_shear: range of the horizontal shear.
        distortion_translation_pixels: range of either translation, in pixels.
        distortion_elastic_strength: alpha of elastic2003, in pixels.
        distortion_elastic_smoothness_pixels: its sigma.
        distortion_copies: distorted versions of each image beside the original, drawn once (the paper: 9);
            None for a fresh distortion at every presentation.
        views: as in ImageData, or a list of one transforms.evaluation_crops.Shifted.

    The other options: see ImageData.

    Raises:
        ValueError: for options that exclude one another.
    """

    def __init__(
        self,
        *,
        source: Source = "sklearn",
        root: str = "data",
        batch_size: Count = 64,
        eval_batch_size: Count = 1000,
        image_size: Count = 32,
        num_classes: NumClasses = 10,
        in_channels: Literal[1, 3] = 1,
        val_split: ValSplit | None = 0,
        test_split: TestSplit = 0.1,
        split_seed: Seed = 0,
        passes_per_epoch: Count = 1,
        order: Order = "fresh",
        seed: Seed = 0,
        augmentation: Sequence[Any] = (),
        flips: bool = True,
        enlarge: Literal["pad", "resize"] = "pad",
        normalization: Normalization = "lecun1998",
        distortion: Literal["none", "affine1998", "elastic2003"] = "none",
        distortion_scaling: Range = (0.76, 1.41),  # type: ignore[assignment]
        distortion_squeezing: Range = (0.9, 1.1),  # type: ignore[assignment]
        distortion_shear: Range = (-0.14, 0.14),  # type: ignore[assignment]
        distortion_translation_pixels: Range = (-2.0, 2.0),  # type: ignore[assignment]
        distortion_elastic_strength: Annotated[float, Gt(0)] = 34.0,
        distortion_elastic_smoothness_pixels: Annotated[float, Gt(0)] = 4.0,
        distortion_copies: Annotated[int, Ge(1)] | None = None,
        views: Sequence[Any] | None = None,
    ) -> None:
        steps = [step for step in augmentation if flips or not isinstance(step, Flip)]
        if enlarge == "pad" and not any(isinstance(step, Geometry) and step.crop_pixels for step in steps):
            colours = [place for place, step in enumerate(steps) if not isinstance(step, Geometry)]
            steps.insert(min([*colours, len(steps)]), Frame(pixels=image_size))
        self._shifts = views[0] if views and len(views) == 1 and isinstance(views[0], Shifted) else None
        if views and not (self._shifts or flips):
            raise ValueError("protocol: digits have no crops to be tested by; use protocol=single_crop or shifts")
        super().__init__(augmentation=steps, views=None if self._shifts else views)
        if distortion != "none":
            self._check_distortion(bool(augmentation))
        self.source = source
        self._entry = SKLEARN if source == "sklearn" else None if source == "npz" else SETS[source]
        self.published_errors = PUBLISHED_ERRORS if source == "mnist" else None
        self._name_classes()
        self._found: Found | None = None
        self._distortion: AffineDistortion | None = None

    def _check_distortion(self, augmented: bool) -> None:
        hparams = self.hparams
        said = f"data.distortion={hparams['distortion']}"
        if augmented:
            raise ValueError(f"{said} takes the place of crops and reflections; add data.augmentation=[]")
        if hparams["normalization"] != "lecun1998":
            raise ValueError(f"{said} is on one scale alone; add data.normalization=lecun1998")

    def _name_classes(self) -> None:
        if not self._entry:
            return
        names, expected = self._entry.class_names, self.hparams["num_classes"]
        if len(names) != expected:
            raise ValueError(
                f"data.num_classes={expected}: {self._entry.title} has {len(names)} classes; "
                f"say data.num_classes={len(names)}"
            )
        self.class_names = self.class_folders = list(names)

    def prepare_data(self) -> None:
        """Find or download the files; raises FileNotFoundError, in one line, if neither succeeds."""
        if self.source == "npz":
            npz_in(self._path)
        elif self.source != "sklearn" and self._entry:
            obtain(self._entry, self._path)

    @property
    def _path(self) -> Path:
        return Path(self.hparams["root"]).expanduser()

    @property
    def located(self) -> Located | None:
        """Where and in which form the set was found, after `setup`."""
        return self._found.located if self._found else None

    @property
    def remarks(self) -> Sequence[str]:
        """See ResumableData."""
        return self._found.remarks if self._found else ()

    def setup(self, stage: str = "fit") -> None:
        """Read and split the set, once. See ImageData."""
        if self._splits:
            return
        contents = self._read_whole()
        if contents.val and self.hparams["val_split"] is not None:
            raise ValueError(
                f"data.val_split={self.hparams['val_split']}: {self._path} has validation images of its own; "
                "say data.val_split=null"
            )
        if self.hparams["val_split"] is None:
            self.hparams["val_split"] = 0 if contents.val else 0.1
        self._contents = contents
        super().setup(stage)
        if contents.val:
            self._splits["val"] = self._as_seen_by_network(contents.val)
        del self._contents
        if self.hparams["distortion"] != "none":
            self._distortion = self._make_distortion()

    def listed(self) -> Iterable[ListedImage]:
        """See ResumableData: how many images each part has, and a sum of all of them."""
        for part, images in self._splits.items():
            total = zlib.crc32(images.pixels.contiguous().numpy().data, zlib.crc32(images.labels.numpy().data))
            yield ListedImage(part, "", f"{len(images)} images, CRC-32 {total:08x}")

    def _read_whole(self) -> Contents:
        if self.source == "sklearn":
            images, labels, test_images, test_labels = read_digits()
            return Contents(LoadedImages(images[:, None], labels), LoadedImages(test_images[:, None], test_labels))
        if self._entry:
            self._found = find(self._entry, self._path)
            return self._found.contents
        path = npz_in(self._path)
        contents = read_npz(path)
        self._found = Found(contents, Located("npz", path, lambda: contents), ())
        self._count_classes(contents, path)
        return contents

    def _count_classes(self, contents: Contents, path: Path) -> None:
        parts = [part.labels for part in (contents.train, contents.val, contents.test) if part]
        count, expected = len(contents.class_names) or int(torch.cat(parts).max()) + 1, self.hparams["num_classes"]
        if count != expected:
            raise ValueError(
                f"found {count} classes in {path}, data.num_classes={expected}; say data.num_classes={count}"
            )
        self.class_names = self.class_folders = list(contents.class_names) or [str(number) for number in range(count)]

    def _read(self) -> tuple[LoadedImages, LoadedImages | None]:
        train, test = self._contents.train, self._contents.test
        return self._as_seen_by_network(train), self._as_seen_by_network(test) if test else None

    def _as_seen_by_network(self, images: LoadedImages) -> LoadedImages:
        return LoadedImages(as_channels(images.pixels, self.hparams["in_channels"]), images.labels)

    def _make_distortion(self) -> AffineDistortion:
        hparams = self.hparams
        side, size = self._splits["train"].pixels.shape[-1], hparams["image_size"]
        if size < side:
            raise ValueError(f"data.image_size={size}: distorted images are not reduced; {side} or more")
        strength, smoothness = (hparams[f"distortion_elastic_{key}"] for key in ("strength", "smoothness_pixels"))
        return AffineDistortion(
            scaling=hparams["distortion_scaling"],
            squeezing=hparams["distortion_squeezing"],
            shear=hparams["distortion_shear"],
            translation_pixels=hparams["distortion_translation_pixels"],
            num_images=self.num_images["train"],
            versions=self._versions,
            fixed=hparams["distortion_copies"] is not None,
            seeds=self.seeds,
            elastic=ElasticField(strength, smoothness, size) if hparams["distortion"] == "elastic2003" else None,
        )

    @property
    def _passes(self) -> int:
        passes: int = self.hparams["passes_per_epoch"]
        return passes

    @property
    def _versions(self) -> int:
        """The original and its distortions, where these are drawn once."""
        copies = self.hparams["distortion_copies"]
        return super()._versions if self.hparams["distortion"] == "none" or copies is None else 1 + int(copies)

    def _training_set(self) -> Dataset[Any]:
        if self._distortion is None:
            return super()._training_set()
        return DistortedImages(self._splits["train"].to(self._device), self.hparams["image_size"], self._distortion)

    def test_dataloader(self) -> DataLoader[Any]:
        if self._shifts is None:
            return super().test_dataloader()
        self._find_statistics(self._evaluation)
        shown = self._single_view(self._splits[self.tested], self._wide(self._shifts))
        per_step = max(1, self.hparams["eval_batch_size"] // self._shifts.num_views)
        return self.loader(ShiftedViews(shown, self._shifts), self.eval_batches(self.tested, per_step))

    def _wide(self, shifts: Shifted) -> Augmentation:
        """Shows an image with room to be shifted in."""
        size = self.hparams["image_size"] + 2 * shifts.pixels
        return Augmentation([Frame(pixels=size)], image_size=size, normalize=self._normalize, seed=0)
