"""Counts that stay exact however a test is split into batches and spread over devices."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics import MeanMetric, Metric, MetricCollection
from torchmetrics.functional import classification
from torchmetrics.utilities.distributed import gather_all_tensors


class TopKError(Metric):
    """The fraction of images whose label is not among the k largest logits, float64 on the CPU.

    Errors and images are counted as integers, so the fraction is exact; not every device has float64 (MPS).

    Args:
        k: how many guesses each image is given.
    """

    higher_is_better = False
    full_state_update = False
    errors: Tensor
    images: Tensor

    def __init__(self, k: int = 1) -> None:
        super().__init__()
        self.k = k
        self.add_state("errors", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("images", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Count a batch: logits [N, K], labels int64 [N]."""
        guesses = logits.topk(self.k, dim=1).indices
        self.errors += (guesses != labels[:, None]).all(dim=1).sum()
        self.images += len(labels)

    def compute(self) -> Tensor:
        return self.errors.cpu().double() / self.images.cpu()


def split_metrics(num_classes: int) -> MetricCollection:
    """Loss weighted by image, top-1 error and, where five guesses cover less than half of the classes, top-5 error."""
    metrics: dict[str, Metric | MetricCollection] = {"loss": MeanMetric(), "error": TopKError(1)}
    if num_classes > 10:
        metrics["top5_error"] = TopKError(5)
    return MetricCollection(metrics)


CALIBRATION_BINS = 15


def of_classes(labels: Tensor, predicted: Tensor, confidence: Tensor, num_classes: int) -> dict[str, float]:
    """Means over classes, the calibration, and the accuracy of each class that there are images of.

    Args:
        labels: int64 [N], the true classes.
        predicted: int64 [N], the classes answered.
        confidence: float [N], the probability of the class answered.
        num_classes: K.

    Returns:
        `macro_accuracy` (the mean accuracy of the classes, which is `macro_recall`), `macro_precision`, `macro_f1`;
        `calibration_error`, the expected calibration error in 15 bins (Guo et al. 2017); `class_<k>_accuracy`.
        Classes that are neither shown nor answered are in no mean.
    """
    of: dict[str, Any] = {"num_classes": num_classes, "average": "macro"}
    answers = {
        "macro_accuracy": classification.multiclass_accuracy(predicted, labels, **of),
        "macro_precision": classification.multiclass_precision(predicted, labels, **of),
        "macro_recall": classification.multiclass_recall(predicted, labels, **of),
        "macro_f1": classification.multiclass_f1_score(predicted, labels, **of),
        "calibration_error": classification.binary_calibration_error(
            confidence.float(), (predicted == labels).long(), n_bins=CALIBRATION_BINS
        ),
    }
    each = classification.multiclass_accuracy(predicted, labels, num_classes=num_classes, average=None)
    of_each = {
        f"class_{number}_accuracy": each[number] for number in torch.bincount(labels).nonzero().flatten().tolist()
    }
    return {name: float(value) for name, value in (answers | of_each).items()}


class RunningTotals:
    """The current training epoch's loss and error, as plain sums on one device, and the last learning rate.

    Updating a torchmetrics metric for each takes 0.2 ms a step, as long as a layer of a small network; these take a
    tenth of that.

    Args:
        replicas: the number of networks trained in lockstep, if there are several; each sum then has one element for
            each of them.
    """

    def __init__(self, *replicas: int) -> None:
        self.loss = torch.zeros(replicas)
        self.errors = torch.zeros(replicas, dtype=torch.int64)
        self.images = 0
        self.learning_rate = 0.0

    def to(self, device: torch.device) -> None:
        self.loss, self.errors = self.loss.to(device), self.errors.to(device)

    def update(self, loss: Tensor, logits: Tensor, labels: Tensor, learning_rate: float) -> None:
        """Count a batch: its mean loss, logits [N, K], labels int64 [N]. Does not wait for the device.

        For R replicas: losses [R], logits [R, N, K], labels [R, N], or [N] if all are shown the same images.
        """
        self.learning_rate = learning_rate
        self.loss.add_(loss.detach(), alpha=labels.shape[-1])
        self.errors.add_((logits.detach().argmax(dim=-1) != labels).sum(dim=-1))
        self.images += labels.shape[-1]

    def over_all(self, reduce: Callable[..., Any]) -> "RunningTotals":
        """The totals of all devices, all of which have to call this at once.

        Args:
            reduce: (tensor, reduce_op) -> the tensor reduced over all devices.
        """
        sums = torch.stack([self.loss.double(), self.errors.double(), self.errors.new_tensor(self.images).double()])
        loss, errors, images = reduce(sums, reduce_op="sum").unbind()
        totals = RunningTotals()
        totals.loss, totals.errors = loss.to(self.loss.dtype), errors.to(self.errors.dtype)
        totals.images, totals.learning_rate = int(images), self.learning_rate
        return totals

    def compute(self) -> dict[str, float]:
        """The means so far, also over replicas; waits for the device."""
        images = max(1, self.images)
        return {
            "train/loss": self.loss.mean().item() / images,
            "train/error": self.errors.float().mean().item() / images,
            "learning_rate": self.learning_rate,
        }

    def of_each(self, split: str) -> dict[str, list[float]]:
        """Each replica's means so far, named `<split>/loss` and `<split>/error`; waits for the device."""
        images = max(1, self.images)
        sums = {"loss": self.loss.tolist(), "error": self.errors.tolist()}
        return {f"{split}/{name}": [each / images for each in values] for name, values in sums.items()}

    def reset(self) -> None:
        self.loss.zero_()
        self.errors.zero_()
        self.images = 0

    def state_dict(self) -> dict[str, Tensor | float]:
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Tensor | float]) -> None:
        vars(self).update(state)


class Predictions(NamedTuple):
    """A network's predictions, image by image in the order of the test set."""

    labels: Tensor
    """int64 [N], the true classes."""
    predicted: Tensor
    """int64 [N], the class with the largest logit."""
    confidence: Tensor
    """float32 [N], the softmax probability of that class."""


def predictions_of_all(answers: Sequence[tuple[Tensor, ...]], *, several: bool) -> Predictions:
    """The answers to all batches, in the order of the test set.

    Args:
        answers: to each batch: positions in the test set, labels, predicted classes, confidence, each [N].
        several: whether there are several devices, all of which have to call this at once; an image that two of them
            have seen is counted once.
    """
    parts = [torch.cat(each) for each in zip(*answers, strict=True)]
    if several:
        parts = [torch.cat(gather_all_tensors(each)) for each in parts]
    order = parts[0].argsort(stable=True)
    positions, labels, predicted, confidence = (part[order] for part in parts)
    first = torch.ones_like(positions, dtype=torch.bool)
    first[1:] = positions[1:] != positions[:-1]
    return Predictions(labels[first], predicted[first], confidence[first])


def of_predictions(predictions: Predictions, num_classes: int) -> dict[str, float]:
    """The exact `error`, `num_errors` of `num_images`, and what `of_classes` has."""
    wrong, images = (predictions.predicted != predictions.labels).sum().item(), len(predictions.labels)
    counts = {"error": wrong / images, "num_errors": wrong, "num_images": images}
    return {**counts, **of_classes(*predictions, num_classes=num_classes)}
