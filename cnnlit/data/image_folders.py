"""Sets of colour images in folders: ImageNet, Imagenette, any images in class folders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge

from cnnlit.data.decoded_images import DecodedImageData
from cnnlit.data.images import Count, NumClasses, Order, Seed, TestSplit, ValSplit
from cnnlit.data.sources.archives import extract_archives
from cnnlit.data.sources.folders import WNID, folders_in
from cnnlit.data.sources.imagenette import Size, imagenette_folder, obtain_imagenette
from cnnlit.data.sources.layouts import places
from cnnlit.data.sources.named_splits import SPLITS
from cnnlit.data.transforms.colours import Normalization


class ImageFolder(DecodedImageData):
    """Images of your own, in class folders: train/<class>/ and val/<class>/, or <class>/ alone.

    The options: see DecodedImageData and ImageData.
    """

    source = "folder"

    def __init__(
        self,
        *,
        root: str = "data",
        batch_size: Count = 128,
        eval_batch_size: Count = 250,
        image_size: Count = 224,
        num_classes: NumClasses = 10,
        in_channels: Literal[1, 3] = 3,
        train: str | None = None,
        val: str | None = None,
        test: str | None = None,
        labels: str | None = None,
        val_split: ValSplit = 0,
        test_split: TestSplit = 0.1,
        split_seed: Seed = 0,
        class_map: str | None = None,
        mask_absent: bool = False,
        order: Order = "fresh",
        block_images: Count | None = None,
        seed: Seed = 0,
        augmentation: Sequence[Any] = (),
        views: Sequence[Any] | None = None,
        normalization: Normalization = "mean_std",
        num_workers: Annotated[int, Ge(0)] | None = None,
        on_unreadable: Literal["stop", "skip"] = "stop",
        cache_dir: str | None = None,
        cache_gb: Annotated[float, Ge(0)] = 0,
        copies: str | None = None,
    ) -> None:
        super().__init__(augmentation=augmentation, views=views)


class ImageNet(ImageFolder):
    """ImageNet (ILSVRC 2012): 1.28 million training images of 1,000 classes, 50,000 to test with; or any part of it."""

    source = "imagenet"

    def prepare_data(self) -> None:
        """Extract the official archives, unless that has been done.

        Raises:
            ValueError: if they are damaged.
            OSError: if the disk has no room for them, or the folder cannot be written to.
        """
        try:
            self.find()
        except FileNotFoundError:
            for folder in places(self.hparams["root"], self.source):
                extract_archives(folder)


class Imagenette(DecodedImageData):
    """Imagenette (fast.ai): ten easily classified classes of ImageNet, downloaded.

    Args:
        imagenette_size: of the images: `full`, as they are in ImageNet, or their shorter side.

    The other options: see DecodedImageData and ImageData.
    """

    source = "imagenette"

    def __init__(
        self,
        *,
        root: str = "data",
        batch_size: Count = 128,
        eval_batch_size: Count = 250,
        image_size: Count = 224,
        num_classes: NumClasses = 10,
        in_channels: Literal[1, 3] = 3,
        train: str | None = None,
        val: str | None = None,
        test: str | None = None,
        labels: str | None = None,
        val_split: ValSplit = 0,
        test_split: TestSplit = 0.1,
        split_seed: Seed = 0,
        class_map: str | None = None,
        mask_absent: bool = False,
        order: Order = "fresh",
        block_images: Count | None = None,
        seed: Seed = 0,
        augmentation: Sequence[Any] = (),
        views: Sequence[Any] | None = None,
        normalization: Normalization = "mean_std",
        num_workers: Annotated[int, Ge(0)] | None = None,
        on_unreadable: Literal["stop", "skip"] = "stop",
        cache_dir: str | None = None,
        cache_gb: Annotated[float, Ge(0)] = 0,
        copies: str | None = None,
        imagenette_size: Size = "320px",
    ) -> None:
        super().__init__(augmentation=augmentation, views=views)

    def prepare_data(self) -> None:
        """Download the set, unless it is there.

        Raises:
            FileNotFoundError: if it cannot be downloaded; one line that says why.
            ValueError: if what was downloaded is not what was published.
        """
        if not self._is_another:
            obtain_imagenette(self.hparams["root"], self.hparams["imagenette_size"])

    @property
    def _root(self) -> Path:
        root = Path(self.hparams["root"]).expanduser()
        return root if self._is_another else imagenette_folder(root, self.hparams["imagenette_size"])

    @property
    def _is_another(self) -> bool:
        """Whether the root holds class folders or parts of another set, to test a network of Imagenette's with."""
        root = Path(self.hparams["root"]).expanduser()
        names = folders_in(root) if self.known_classes and root.is_dir() else []
        return any(WNID.fullmatch(name) or name.isdecimal() or name.lower() in SPLITS for name in names)
