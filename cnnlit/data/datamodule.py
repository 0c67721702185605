"""The base of every data set: what a DataModule offers so that runs resume, seeds train in lock-step, figures draw."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from cnnlit.data.labels.class_ids import KnownClasses
from cnnlit.data.loading.balance import most_shown
from cnnlit.data.loading.batch_sampler import BatchSampler, LockstepSampler
from cnnlit.data.loading.items import PresentedItems, labels_of
from cnnlit.data.sources.folders import some
from cnnlit.data.sources.listing_file import ListedImage
from cnnlit.data.transforms.presented import COUNT, PresentedImage, first_presented
from cnnlit.data.transforms.random_numbers import generator
from cnnlit.data.user_images import DrawnItems, as_drawn, as_presented, transformed
from cnnlit.data.workers.watched import WatchedLoader, in_workers

EVAL_BATCH_SIZE = 250

NO_TRANSFORM = (
    "how a test presents an image is not known; give it eval_transform, PIL image -> float tensor [C, H, W] "
    "(docs/own/data.md)"
)


class ResumableData(LightningDataModule):
    """A DataModule whose resumed training goes on with the batch after the last one.

    The shortest subclass sets `datasets` in `setup` and inherits the rest:

    - its options are keyword-only, annotated parameters of its constructor, the schema of conf/data/<name>.yaml, kept
      with `save_hyperparameters(logger=False)`. `batch_size` has to be one of them. `eval_batch_size`, `seed`, `order`
      (`fresh`, `constant` or `balanced`, see BatchSampler), `num_workers` and `eval_transform` are used where they are;
    - `datasets["train"]`, `["val"]` and `["test"]` are map-style data sets of (float image [C, H, W], class). Random
      transforms may draw from torch's, NumPy's or Python's global random numbers: what they draw is a function of seed,
      epoch and presentation, so a resumed run draws the same. `setup` may be called twice; `val` may be missing.

    Whoever has another way with images replaces the loaders: `train_dataloader`, whose sampler is `training_batches()`,
    `val_dataloader` and `test_dataloader`, whose samplers are `eval_batches(split)`, and `num_images`; without
    validation images, `val_dataloader` returns an empty list. The test is taken on the split `tested`. A batch reaches
    the network as `(images, labels)`.

    The configuration of the data has `num_classes`, `image_size` and `in_channels`, to which models refer.

    Attributes:
        tested: the split that is tested.
        replicas: how many seeds train in lock-step, from `seed` on; above one only if `takes_replicas`. Set before
            `setup`. A training batch then holds the batch of each seed, one after the other.
        takes_replicas: whether it can serve several seeds at once.
        source: what the set is called.
        class_names: what each class is called; empty if its number has to do.
        class_folders: the id of each class, which is the folder of its images; or empty.
        known_classes: those of the trained network that is tested, see `answer_for`; None while one is trained.
        absent_classes: after `setup`, labels of those of which there are no images.
        tests_all: whether images without a test set of their own are all tested, and none held out.
        as_0_1: whether sets are taken apart as version 0.1.0 did, whose runs go on so.
        published_errors: test index -> answer of each error of a published network, to be compared with; or None.
        datasets: of each split, for the loaders that are inherited.
        eval_transform: PIL image -> float [C, image_size, image_size], as a test presents it; for cnnlit.predict.
        timeout_seconds: how long worker processes may take for a batch.
    """

    takes_replicas = False
    source: str = ""
    class_names: Sequence[str] = ()
    class_folders: Sequence[str] = ()
    known_classes: KnownClasses | None = None
    absent_classes: Sequence[int] = ()
    tests_all = False
    as_0_1 = False
    timeout_seconds = 300.0
    published_errors: dict[int, int] | None = None
    eval_transform: Callable[[Any], Tensor] | None = None

    def __init__(self) -> None:
        super().__init__()
        self.datasets: dict[str, Any] = {}
        self.tested: Literal["test", "val"] = "test"
        self.replicas = 1
        self._batches_to_skip = 0

    def listed(self) -> Iterable[ListedImage]:
        """All images as they lie on the disk, for a resumed run to be sure of them; none if that is not known."""
        return ()

    def answer_for(self, state: Mapping[str, Any]) -> None:
        """Give images the labels of a trained network, whose classes are matched by id; before `setup`.

        Args:
            state: of the data that it was trained on, from a checkpoint. Early ones have no names of classes.
        """
        names = list(state.get("class_names", ()))
        ids = list(state.get("class_folders", ())) or names
        if ids:
            self.known_classes = KnownClasses(ids, names)

    def check_classes(self) -> None:
        """Refuse images of other classes than the trained network's, after `setup`.

        Raises:
            ValueError: one line that names some.
        """
        known = list(self.known_classes.names) if self.known_classes else []
        if known and self.class_names and list(self.class_names) != known:
            others = [each for each in self.class_names if each not in known]
            differ = f"classes that it does not know ({some(others)})" if others else "them in another order"
            raise ValueError(f"data: the network's classes are {some(known)}, and these images have {differ}")

    @property
    def seeds(self) -> list[int]:
        """Of the order and the distortions, one for each replica."""
        return [self.hparams.get("seed", 0) + number for number in range(self.replicas)]

    @property
    def num_images(self) -> dict[str, int]:
        """Images per split, after `setup`."""
        return {split: len(self.datasets.get(split, ())) for split in ("train", "val", "test")}

    @cached_property
    def training_labels(self) -> Tensor:
        """The classes of all training images, int64 [N], after `setup`."""
        return labels_of(self.datasets["train"])

    @property
    def test_images(self) -> Any:
        """The tested images as they are drawn, in order: a sequence of uint8 [H, W] or [3, H, W]."""
        return DrawnItems(self.datasets[self.tested], range(self.num_images[self.tested]))

    def train_dataloader(self) -> Any:
        return self.loader("train", self.training_batches())

    def val_dataloader(self) -> Any:
        return [self.loader("val", self.eval_batches("val"))] if self.num_images["val"] else []

    def test_dataloader(self) -> Any:
        return self.loader(self.tested, self.eval_batches(self.tested))

    def loader(self, split: Any, batches: Any) -> DataLoader[Any]:
        """Batches of a split of `datasets`, made up by a sampler."""
        items = PresentedItems(self.datasets[split], seed=self.seeds[0])
        travel = in_workers(self.hparams.get("num_workers", 0), self.timeout_seconds)
        return WatchedLoader(items, batch_size=None, sampler=batches, **travel)

    @property
    def unreadable(self) -> list[str]:
        """Sorted paths of the images that this process has had to leave out so far."""
        return []

    @property
    def remarks(self) -> Sequence[str]:
        """After `setup`, what whoever reads a result on these data has to know, a sentence each.

        It is said when training begins, by cnnlit.doctor, and in run.json.
        """
        return ()

    def when_waiting(self) -> str | None:
        """What to change if training waits for data; None if it cannot, because all data lie on the device."""
        return "more data.num_workers" if self.datasets else None

    def curvature_sample(self, count: int, epoch: int) -> tuple[Tensor, Tensor]:
        """Training images as the network will see them in this epoch, and their labels. See `curvature_indices`.

        Where `takes_replicas`, a third argument is the number of the replica.
        """
        items = PresentedItems(self.datasets["train"], seed=self.seeds[0])
        images, labels = items[epoch, self.curvature_indices(count, epoch)]
        return images, labels

    def training_images(self, loader: Any, count: int = COUNT) -> list[PresentedImage]:
        """The first images of the first epoch, as training presents them by this loader. See first_presented."""
        return first_presented(loader, count, self.present)

    def present(self, dataset: Any, batch: Any, count: int) -> list[PresentedImage]:
        """The first `count` images of a batch, as the network gets them."""
        return as_presented(*dataset[batch])[:count]

    def as_input(self, images: Sequence[Tensor]) -> Any:
        """Images from anywhere as a test presents them to the network; needs no data and no `setup`.

        Args:
            images: N of uint8 [3, H, W], each of any size.

        Returns:
            float32 [N, C, image_size, image_size], on the CPU; or, where a test has several views, a list of pairs:
            views of one size, and int64 [M], which of all views they are.

        Raises:
            ValueError: one line, if it is not known how.
        """
        if self.eval_transform is None:
            raise ValueError(f"{type(self).__name__}: {NO_TRANSFORM}")
        return torch.stack([transformed(self.eval_transform, image, self.hparams) for image in images])

    def as_seen(self, images: Sequence[Tensor]) -> Tensor:
        """The single view of each that validation uses, to be drawn: uint8 [N, 3, side, side] or [N, side, side]."""
        return torch.stack([as_drawn(image) for image in self.as_input(images)])

    def input_form(self) -> dict[str, Any]:
        """How `as_input` makes the network's input of an image, for other programs; empty if it is not known.

        Returns:
            `geometry`, plain values; `multiply` and `add`, float32 tensors [C, H, W] that make the input of pixels from
            0 to 255.
        """
        return {}

    def remark(self, image: Tensor) -> str | None:
        """What `as_input` does to an image, uint8 [3, H, W], that its owner may not expect."""
        return None

    takes_drawings = False
    """Whether `as_input` looks for what is drawn in an image, on whichever paper; transparent paper is then white."""

    def doubtful(self, image: Tensor) -> tuple[str | None, Any]:
        """Whether an image, uint8 [3, H, W], shows none of the classes; said of drawings alone.

        Returns:
            Why it shows none, None if it may show one; and the network's input for variants of it that have to get
            the same answer, None where that is not asked.
        """
        return None, None

    def part_seen(self, image: Tensor) -> tuple[float, float, float, float] | None:
        """Which part of an image, uint8 [3, H, W], `as_input` shows the network, in all its views together.

        Returns:
            left, top, right and bottom as fractions of the width and the height; None if that is no such part.
        """
        return None

    def state_dict(self) -> dict[str, Any]:
        """The number of batches of the current epoch that are done."""
        assert self.trainer is not None
        done: int = self.trainer.fit_loop.epoch_loop.batch_progress.current.processed  # type: ignore[attr-defined]
        return {"batches_done": int(done % max(1, self.trainer.num_training_batches))}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._batches_to_skip = state_dict["batches_done"]

    def training_batches(self, **presentations: Any) -> BatchSampler | LockstepSampler:
        """The sampler of training, from where a resumed run goes on.

        Args:
            **presentations: versions, passes and blocks, see BatchSampler.
        """
        hparams = self.hparams
        presentations |= {"order": hparams.get("order", "fresh")}
        if presentations["order"] == "balanced":
            presentations = {"labels": self.training_labels, "versions": self._balanced_versions} | presentations
        each = [self._batches("train", hparams["batch_size"], seed=seed, **presentations) for seed in self.seeds]
        batches = each[0] if len(each) == 1 else LockstepSampler(each)
        batches.skip(self._batches_to_skip)
        if self.trainer:
            # Lightning sets the epoch too, but only after the workers have begun to fetch the first epoch's batches.
            batches.set_epoch(self.trainer.fit_loop.epoch_progress.current.processed)  # type: ignore[attr-defined]
        return batches

    @property
    def _balanced_versions(self) -> int:
        """How many presentations of an image differ in an epoch that shows all classes equally often."""
        return self._most_shown(passes=1)

    def _most_shown(self, passes: int) -> int:
        classes = self.hparams.get("num_classes", 0)
        return most_shown(self.training_labels, passes * self.num_images["train"], classes)

    def eval_batches(self, split: str, batch_size: int | None = None) -> BatchSampler:
        """The sampler of validation or test: every image once, in order, by default `eval_batch_size` at a time."""
        return self._batches(split, batch_size or self._eval_batch_size, order="sequential")

    @property
    def _eval_batch_size(self) -> int:
        return self.hparams.get("eval_batch_size", EVAL_BATCH_SIZE)  # type: ignore[no-any-return]

    def curvature_indices(self, count: int, epoch: int, replica: int = 0) -> Tensor:
        """Which training images estimate the curvature: drawn at random for each epoch and replica, int64 [count]."""
        random = generator(self.seeds[replica], epoch, 2)
        return torch.randperm(self.num_images["train"], generator=random)[:count]

    def _batches(self, split: str, batch_size: int, **order: Any) -> BatchSampler:
        strategy = self.trainer.strategy if self.trainer else None
        # A replica may span several devices, so its rank and number are not those of the processes.
        replica = getattr(strategy, "distributed_sampler_kwargs", {"rank": 0, "num_replicas": 1})
        return BatchSampler(self.num_images[split], batch_size, **{"seed": self.seeds[0], **replica, **order})
