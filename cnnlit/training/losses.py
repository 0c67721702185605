"""The two losses of LeNet-5, and cross-entropy with classes that count more than others."""

from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor, nn
from torch.nn import functional


class MeanSquaredDistance(nn.Module):
    """The mean distance y_D of the correct class's output: logits [N, K] = -y, labels int64 [N] -> scalar.

    Paper: LeCun et al. 1998, eq. 8 ("MSE").
    """

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return functional.nll_loss(logits, labels)


class MaximumAPosteriori(nn.Module):
    """Cross-entropy with one more class, for rubbish, at a constant distance j.

    logits [N, K] = -y, labels int64 [N] -> the mean of y_D + log(exp(-j) + sum_i exp(-y_i)), a scalar.

    Paper: LeCun et al. 1998, eq. 9. Unspecified: j, and whether eq. 8 or eq. 9 gave the published error.

    Args:
        rubbish_distance: j > 0. A correct output whose distance is far below j is hardly pushed any closer, nor wrong
            ones any farther.
    """

    def __init__(self, rubbish_distance: Annotated[float, Gt(0)]) -> None:
        super().__init__()
        self.rubbish_distance = rubbish_distance

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        rubbish = logits.new_full((len(logits), 1), -self.rubbish_distance)
        return functional.cross_entropy(torch.cat([logits, rubbish], dim=1), labels)


class ClassWeighted(nn.CrossEntropyLoss):
    """Cross-entropy in which the images of some classes count more: the mean over a batch of w_label times the loss.

    With `label_smoothing`, or labels that are shares of classes, the term of each class has the weight of that class.

    Deviation: torch.nn.CrossEntropyLoss divides by the sum of the weights of a batch in place of its number of images,
    so that what an image counts depends on which others are in its batch. Here a step in micro-batches, or on several
    devices, remains that of the whole batch.

    Args:
        loss: without weights, whose other options are kept.
        weights: float [K], one for each class.
    """

    def __init__(self, loss: nn.CrossEntropyLoss, weights: Tensor) -> None:
        super().__init__(reduction="sum", ignore_index=loss.ignore_index, label_smoothing=loss.label_smoothing)
        # A part of the recipe and not of what is learnt, so checkpoints have it beside the weights of the network.
        self.register_buffer("weight", weights.float(), persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return super().forward(logits, labels) / len(labels)


def is_of_softmax(loss: nn.Module) -> bool:
    """Whether a loss is known to depend on the softmax of the outputs alone, and not on what is added to them all."""
    return isinstance(loss, nn.CrossEntropyLoss)


def balanced_weights(labels: Tensor, num_classes: int) -> Tensor:
    """Weights with which all classes count the same however many images they have; their mean over images is 1.

    Args:
        labels: of all training images, int64 [N].
        num_classes: K.

    Returns:
        float64 [K], N / (K n_c) for a class of n_c images.

    Raises:
        ValueError: one line, if a class has no image.
    """
    counts = torch.bincount(labels, minlength=num_classes)
    if missing := (counts == 0).nonzero().flatten().tolist():
        raise ValueError(f"there are no training images of class {missing[0]} to balance the others with")
    return len(labels) / (num_classes * counts.double())
