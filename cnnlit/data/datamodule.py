"""What every source has in common: batches in an order that a run which was cut off finds its place in again."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from lightning import LightningDataModule
from torch import Tensor

from cnnlit.data.loading.batch_sampler import BatchSampler, LockstepSampler
from cnnlit.data.transforms.random_numbers import generator


class ResumableData(LightningDataModule):
    """A data module whose training goes on with the batch after the last one of the run that it resumes.

    Subclasses have the hyperparameters `batch_size`, `eval_batch_size`, `order` and `seed`, and `num_images`.

    Attributes:
        tested: the split that a test is taken on.
        replicas: how many seeds train in lock-step, from `seed` on; more than one where `takes_replicas`. To be set
            before `setup`. A batch of training then holds one of each, one after the other.
    """

    takes_replicas = False

    def __init__(self) -> None:
        super().__init__()
        self.tested: Literal["test", "val"] = "test"
        self.replicas = 1
        self._batches_to_skip = 0

    @property
    def seeds(self) -> list[int]:
        """Of the order and the distortions, one for each replica."""
        return [self.hparams["seed"] + number for number in range(self.replicas)]

    @property
    def num_images(self) -> dict[str, int]:
        """Images per split, after `setup`."""
        raise NotImplementedError

    def when_waiting(self) -> str | None:
        """What to turn when training waits for data; None for data that lie on the device, where it cannot."""
        return None

    @property
    def unreadable(self) -> list[str]:
        """Paths of the photographs that this process has had to leave out so far, sorted."""
        return []

    def as_input(self, images: Sequence[Tensor]) -> Any:
        """Images from anywhere as a test shows them to the network; needs no data and no `setup`.

        Args:
            images: N of uint8 [3, H, W], each of any size.

        Returns:
            float32 [N, C, image_size, image_size], on the CPU.
        """
        raise NotImplementedError

    def as_seen(self, images: Sequence[Tensor]) -> Tensor:
        """The one view of each that validation has, to be drawn: uint8 [N, 3, side, side], or [N, side, side]."""
        raise NotImplementedError

    def remark(self, image: Tensor) -> str | None:
        """What `as_input` does to an image, uint8 [3, H, W], that its owner may not expect."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """The place in the epoch, in batches."""
        assert self.trainer is not None
        done: int = self.trainer.fit_loop.epoch_loop.batch_progress.current.processed  # type: ignore[attr-defined]
        return {"batches_done": done % len(self.trainer.fit_loop._combined_loader or [0])}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._batches_to_skip = state_dict["batches_done"]

    def _training_batches(self, **presentations: Any) -> BatchSampler | LockstepSampler:
        """The batches of training, from the place where a resumed run goes on; see BatchSampler for `presentations`."""
        hparams = self.hparams
        presentations |= {"order": hparams["order"]}
        each = [self._batches("train", hparams["batch_size"], seed=seed, **presentations) for seed in self.seeds]
        batches = each[0] if len(each) == 1 else LockstepSampler(each)
        batches.skip(self._batches_to_skip)
        if self.trainer:
            # Lightning does so too, but workers begin before that, with what a resumed run would show first of all.
            batches.set_epoch(self.trainer.fit_loop.epoch_progress.current.processed)  # type: ignore[attr-defined]
        return batches

    def _eval_batches(self, split: str, batch_size: int | None = None) -> BatchSampler:
        return self._batches(split, batch_size or self.hparams["eval_batch_size"], order="sequential")

    def _curvature_indices(self, count: int, epoch: int, replica: int = 0) -> Tensor:
        """Training images drawn at random in each epoch, for each replica by its seed, int64 [count]."""
        random = generator(self.seeds[replica], epoch, 2)
        return torch.randperm(self.num_images["train"], generator=random)[:count]

    def _batches(self, split: str, batch_size: int, **order: Any) -> BatchSampler:
        strategy = self.trainer.strategy if self.trainer else None
        # A replica may be several devices, so this is not the processes' rank and number.
        replica = getattr(strategy, "distributed_sampler_kwargs", {"rank": 0, "num_replicas": 1})
        return BatchSampler(self.num_images[split], batch_size, **{"seed": self.hparams["seed"], **replica, **order})
