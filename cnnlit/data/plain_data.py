"""Any LightningDataModule as data of a run: its loaders' batches in an order that is a function of seed and epoch."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DistributedSampler

from cnnlit.data.datamodule import ResumableData
from cnnlit.data.loading.items import LoaderBatches, PresentedItems, labels_of
from cnnlit.data.loading.own_batches import (
    Key,
    Stream,
    check_batch,
    check_state,
    check_stream,
    is_planned,
    keys_of,
)
from cnnlit.data.transforms.presented import PresentedImage
from cnnlit.data.transforms.random_numbers import drawing
from cnnlit.data.user_images import DrawnItems, as_presented
from cnnlit.data.workers.watched import WatchedLoader, in_workers
from cnnlit.files import Lock

TRANSFORMS = ("eval_transform", "test_transform", "val_transform", "transform", "default_transforms")
"""Attributes of a module by which it is taken to present images in a test."""


class PlainData(ResumableData):
    """A LightningDataModule that knows nothing of this project.

    Batches are made up by its DataLoaders' samplers and collated by their `collate_fn`; `setup`, the order and what
    transforms draw are functions of the seeds, so that runs resume, and devices share each batch. What cannot be told
    in advance, an IterableDataset or a loader that is no DataLoader, is taken as it comes, on one device.

    Args:
        module: the LightningDataModule.
        batch_size: what its training loader is expected to have, over all devices.
        num_classes: number of classes, for the model to refer to, as are the next two.
        image_size: side of the images, in pixels.
        in_channels: of the images.
        image_key: where in a batch the images are, a position or a key; None for the first, or a usual name.
        label_key: likewise the labels; None for the second.
        split_seed: of what `setup` draws, such as a random split; the same for every `seed`.
        order: a new order each epoch, or the first epoch's; `balanced` is refused, as the module's sampler decides.
        seed: of the order and of what transforms draw.

    Raises:
        ValueError: one line, if it is no LightningDataModule, or asked for what its sampler decides.
    """

    def __init__(
        self,
        *,
        module: Any,
        batch_size: Annotated[int, Ge(1)],
        num_classes: Annotated[int, Ge(2)],
        image_size: Annotated[int, Ge(1)],
        in_channels: Annotated[int, Ge(1)],
        image_key: Key = None,
        label_key: Key = None,
        split_seed: Annotated[int, Ge(0)] = 0,
        order: Literal["fresh", "constant", "balanced"] = "fresh",
        seed: Annotated[int, Ge(0)] = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False, ignore=["module"])
        if not isinstance(module, LightningDataModule):
            raise ValueError(f"data.module: {type(module).__name__} is no LightningDataModule")
        if order == "balanced":
            raise ValueError(
                f"data.order=balanced: the batches of {type(module).__name__} are those of its sampler; "
                "let that be a torch.utils.data.WeightedRandomSampler, with recipe.order=fresh"
            )
        self.module = module
        self.source = type(module).__name__
        self.class_names = list(getattr(module, "class_names", None) or getattr(module, "classes", None) or ())
        self._loaders: dict[str, Any] = {}
        self._set_up: set[str] = set()

    def prepare_data(self) -> None:
        """Let the module download, one process of a machine after the other."""
        folder = Path(tempfile.gettempdir()) / f"cnnlit-{self.source}"
        folder.mkdir(exist_ok=True)
        lock = Lock(folder)
        lock.take(wait=True)
        try:
            self.module.prepare_data()
        finally:
            lock.give_back()

    def setup(self, stage: str = "fit") -> None:
        """Let the module set up, once, and look at the first batch.

        Raises:
            ValueError: one line about what cannot be trained or tested on.
        """
        # The validation set of a test is the one that training had, which modules split off where they fit.
        wanted = ["train", "val"] if stage == "fit" else [self.tested]
        for split in wanted:
            if split not in self._loaders:
                self._prepare("test" if split == "test" else "fit")
                self._loaders[split] = self._loader_of(split)
        if stage == "fit" and "checked" not in self._set_up:
            self._set_up.add("checked")
            self._check()

    def _prepare(self, stage: str) -> None:
        self.module.trainer = self.trainer
        if stage not in self._set_up:
            with drawing(self.hparams["split_seed"]):
                self.module.setup(stage)
            self._set_up.add(stage)

    def _loader_of(self, split: str) -> Any:
        """The module's loader of a split; None if it has none."""
        name = f"{split}_dataloader"
        method = getattr(self.module, name)
        if getattr(method, "__func__", None) is getattr(LightningDataModule, name):
            found: Any = []
        else:
            found = method()
        loaders = list(found) if isinstance(found, list | tuple) else [found]
        if len(loaders) > 1 or isinstance(found, Mapping):
            raise ValueError(f"data: {self.source}.{name} returns {len(found)} loaders; return the one that decides")
        loader = loaders[0] if loaders else None
        if loader is None and split != "val":
            raise ValueError(f"data: {self.source} has no {name}; a run needs one")
        if is_planned(loader) and isinstance(loader.sampler, DistributedSampler):
            raise ValueError(f"data: {self.source}.{name}: leave out the DistributedSampler; devices share each batch")
        return loader

    def _check(self) -> None:
        """Refuse what would go wrong later: sizes that do not agree, batches that hold something else, a lost state."""
        loader, expected = self._loaders["train"], self.hparams["batch_size"]
        if getattr(self.module.test_dataloader, "__func__", None) is LightningDataModule.test_dataloader:
            raise ValueError(f"data: {self.source} has no test_dataloader; a run is tested once, at its end")
        batch_size = getattr(loader, "batch_size", None)
        if batch_size not in (None, expected):
            raise ValueError(
                f"recipe.batch_size={expected}: {self.source}.train_dataloader has batches of {batch_size}; "
                f"say recipe.batch_size={batch_size}, or hand data.module.batch_size on to it"
            )
        if not is_planned(loader):
            check_stream(loader, self.source)
        images, labels = self._pair(self._first_batch(loader))
        check_batch(images, labels, self.hparams, self.source)
        check_state(self.module.state_dict(), self.source)

    def _first_batch(self, loader: Any) -> Any:
        if not is_planned(loader):
            return next(iter(loader))
        return self._items(loader)[0, LoaderBatches(loader, seed=0, order="fresh").batches(0)[0]]

    def _items(self, loader: Any) -> PresentedItems:
        return PresentedItems(loader.dataset, seed=self.seeds[0], collate=loader.collate_fn)

    @property
    def remarks(self) -> Sequence[str]:
        """See ResumableData: what this module cannot give."""
        if is_planned(self._loaders.get("train")):
            return ()
        kind = type(getattr(self._loaders.get("train"), "dataset", self._loaders.get("train"))).__name__
        return (f"{kind}: its order is its own, so a run that is resumed within an epoch may see other batches",)

    @property
    def num_images(self) -> dict[str, int]:
        """Images per split that is set up; of a stream, as many as its batches could hold."""
        return {split: self._count(split) for split in ("train", "val", "test")}

    def _count(self, split: str) -> int:
        loader = self._loaders.get(split)
        if is_planned(loader):
            return sum(map(len, self._plan(split).batches(0)))
        with suppress(TypeError, NotImplementedError):
            return 0 if loader is None else len(loader) * (getattr(loader, "batch_size", None) or 1)
        return 1

    def _plan(self, split: str) -> LoaderBatches:
        strategy = self.trainer.strategy if self.trainer else None
        replica = getattr(strategy, "distributed_sampler_kwargs", {"rank": 0, "num_replicas": 1})
        loader = self._loaders[split]
        order = self.hparams["order"] if split == "train" else "constant"
        return LoaderBatches(loader, seed=self.seeds[0] if split == "train" else 0, order=order, **replica)

    def train_dataloader(self) -> Any:
        return self._presented("train")

    def val_dataloader(self) -> Any:
        return [self._presented("val")] if self.num_images["val"] else []

    def test_dataloader(self) -> Any:
        return self._presented(self.tested)

    def _presented(self, split: str) -> Any:
        loader = self._loaders[split]
        skipped = self._batches_to_skip if split == "train" else 0
        if not is_planned(loader):
            if self.trainer and self.trainer.world_size > 1:
                raise ValueError(f"data: {self.source}.{split}_dataloader has no order that devices can share")
            return Stream(loader, skipped)
        batches = self._plan(split)
        batches.skip(skipped)
        if self.trainer and split == "train":
            batches.set_epoch(self.trainer.fit_loop.epoch_progress.current.processed)  # type: ignore[attr-defined]
        travel = {key: getattr(loader, key) for key in ("pin_memory", "worker_init_fn")}
        travel |= in_workers(loader.num_workers, loader.timeout or self.timeout_seconds)
        if loader.num_workers:
            travel |= {key: getattr(loader, key) for key in ("prefetch_factor", "multiprocessing_context")}
        return WatchedLoader(self._items(loader), batch_size=None, sampler=batches, **travel)

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return self.module.on_before_batch_transfer(batch, dataloader_idx)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return self.module.transfer_batch_to_device(batch, device, dataloader_idx)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """The batch as `(images, labels)`."""
        return self._pair(self.module.on_after_batch_transfer(batch, dataloader_idx))

    def present(self, dataset: Any, batch: Any, count: int) -> list[PresentedImage]:
        """See ResumableData."""
        return as_presented(*self._pair(dataset[batch]))[:count]

    def _pair(self, batch: Any) -> tuple[Tensor, Tensor]:
        image, label = self._keys(batch)
        return batch[image], batch[label]

    def _keys(self, batch: Any) -> tuple[Any, Any]:
        return keys_of(batch, self.hparams["image_key"], self.hparams["label_key"], self.source)

    @cached_property
    def training_labels(self) -> Tensor:
        """See ResumableData.

        Raises:
            ValueError: one line, for a stream.
        """
        loader = self._loaders["train"]
        if not is_planned(loader):
            raise ValueError(f"{self.source}'s training images come as a stream and cannot be counted; give a list")
        return labels_of(loader.dataset, self._keys(loader.dataset[0])[1])

    @property
    def test_images(self) -> Any:
        """See ResumableData: as the network sees them."""
        loader = self._loaders[self.tested]
        if not is_planned(loader):
            raise ValueError(f"{self.source}'s test images come as a stream and cannot be drawn")
        numbers = torch.cat(self._plan(self.tested).batches(0)).tolist()
        return DrawnItems(loader.dataset, numbers, self._keys(loader.dataset[numbers[0]])[0])

    def when_waiting(self) -> str | None:
        """See ResumableData."""
        return f"more num_workers in the DataLoaders of {self.source}"

    def curvature_sample(self, count: int, epoch: int) -> tuple[Tensor, Tensor]:
        """See ResumableData."""
        loader = self._loaders["train"]
        if not is_planned(loader):
            raise ValueError("recipe/optimizer=sdlm: needs images that can be chosen; this data set is a stream")
        return self._pair(self._items(loader)[epoch, self.curvature_indices(count, epoch)])

    def as_input(self, images: Sequence[Tensor]) -> Any:
        """See ResumableData; by the module's own transform."""
        self.eval_transform = next((own for name in TRANSFORMS if (own := getattr(self.module, name, None))), None)
        return super().as_input(images)

    def state_dict(self) -> dict[str, Any]:
        """See ResumableData; with the module's own."""
        return super().state_dict() | {"class_names": self.class_names, "module": self.module.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.class_names = state_dict["class_names"]
        self.module.load_state_dict(state_dict["module"])

    def teardown(self, stage: str) -> None:
        self.module.teardown(stage)
