"""What a network is given of images, without Lightning or in a run."""

from collections import Counter
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from torch import Tensor, nn

from cnnlit.data.decoded_images import DecodedImageData
from cnnlit.data.image_folders import ImageNet
from cnnlit.data.images import ImageData
from cnnlit.data.images_in_memory import SyntheticImages
from cnnlit.data.loading.datasets import ImageBatch
from cnnlit.data.transforms.colours import PCAColour
from cnnlit.data.transforms.geometry import CenterCrop, Flip, RandomCrop, RandomResizedCrop, ShorterSide
from cnnlit.runs.checkpoint_io import WholeCheckpoints

SIDE = 24
ALEXNET = (ShorterSide(pixels=256), CenterCrop(pixels=256), RandomCrop(pixels=224), Flip(), PCAColour())
GOOGLENET = (RandomResizedCrop(pixels=224), Flip())


def drawn(**options: Any) -> SyntheticImages:
    """Twelve images of each of five classes for training, and 12 for the test."""
    chosen: Any = {"image_size": SIDE, "num_classes": 5, "drawn_images": 60, "batch_size": 16, **options}
    data = SyntheticImages(**chosen)
    data.setup()
    return data


def photographed(root: Path, kind: type[DecodedImageData] = ImageNet, **options: Any) -> DecodedImageData:
    """Three classes of images in files below `root`."""
    chosen: Any = {"image_size": SIDE, "num_classes": 3, "batch_size": 5, "num_workers": 0, **options}
    data = kind(**{"root": str(root), **chosen})
    data.setup()
    return data


def batches(data: ImageData[Any], split: str = "train", epoch: int = 0) -> list[tuple[Tensor, Tensor]]:
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


def everything(data: ImageData[Any], split: str = "train", epoch: int = 0) -> tuple[Tensor, Tensor]:
    images, labels = (torch.cat(parts) for parts in zip(*batches(data, split, epoch), strict=True))
    return images, labels


def contents(images: Tensor) -> Counter[bytes]:
    return Counter(image.numpy().tobytes() for image in images)


def by_presentation(data: ImageData[Any], epoch: int) -> dict[int, Tensor]:
    """The image that each presentation of an epoch becomes."""
    order = data.train_dataloader().sampler.presentations(epoch).tolist()
    images, _ = everything(data, "train", epoch)
    return dict(zip(order, images, strict=True))


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


def run(data: ImageData[Any], folder: Path, *, stop_after: int | None = None, resume: bool = False) -> Recorder:
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
