"""Counts that stay exact however the test is cut into batches and spread over devices."""

import torch
from torch import Tensor
from torchmetrics import Metric


class TopKError(Metric):
    """The fraction of images whose label is not among the k largest logits, float64.

    Errors and images are counted in integers, so the fraction is exact.

    Args:
        k: how many guesses an image has.
    """

    higher_is_better = False
    full_state_update = False

    def __init__(self, k: int = 1) -> None:
        super().__init__()
        self.k = k
        self.errors: Tensor
        self.images: Tensor
        self.add_state("errors", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("images", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Count a batch: logits [N, K], labels int64 [N]."""
        guesses = logits.topk(self.k, dim=1).indices
        self.errors += (guesses != labels[:, None]).all(dim=1).sum()
        self.images += len(labels)

    def compute(self) -> Tensor:
        return self.errors.double() / self.images
