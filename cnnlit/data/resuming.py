"""What every source has in common: batches in an order that a run which was cut off finds its place in again."""

from typing import Any

import torch
from lightning import LightningDataModule
from torch import Tensor

from cnnlit.data.order import Batches, generator


class ResumableData(LightningDataModule):
    """A data module whose training goes on with the batch after the last one of the run that it resumes.

    Subclasses have the hyperparameters `batch_size`, `eval_batch_size`, `order` and `seed`, and `num_images`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._batches_to_skip = 0

    @property
    def num_images(self) -> dict[str, int]:
        """Images per split, after `setup`."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """The place in the epoch, in batches."""
        assert self.trainer is not None
        done: int = self.trainer.fit_loop.epoch_loop.batch_progress.current.processed  # type: ignore[attr-defined]
        return {"batches_done": done % len(self.trainer.fit_loop._combined_loader or [0])}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._batches_to_skip = state_dict["batches_done"]

    def _training_batches(self, **presentations: int) -> Batches:
        """The batches of training, from the place where a resumed run goes on; see Batches for `presentations`."""
        hparams = self.hparams
        batches = self._batches("train", hparams["batch_size"], order=hparams["order"], **presentations)
        batches.skip(self._batches_to_skip)
        if self.trainer:
            # Lightning does so too, but workers begin before that, with what a resumed run would show first of all.
            batches.set_epoch(self.trainer.fit_loop.epoch_progress.current.processed)  # type: ignore[attr-defined]
        return batches

    def _eval_batches(self, split: str) -> Batches:
        return self._batches(split, self.hparams["eval_batch_size"], order="sequential")

    def _curvature_indices(self, count: int, epoch: int) -> Tensor:
        """Training images drawn at random in each epoch, int64 [count]."""
        random = generator(self.hparams["seed"], epoch, 2)
        return torch.randperm(self.num_images["train"], generator=random)[:count]

    def _batches(self, split: str, batch_size: int, **order: Any) -> Batches:
        rank, replicas = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        seed = self.hparams["seed"]
        return Batches(self.num_images[split], batch_size, seed=seed, rank=rank, num_replicas=replicas, **order)
