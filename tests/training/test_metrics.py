"""Errors are counted exactly, however they are counted."""

import numpy as np
import pytest
import torch
from sklearn.metrics import precision_recall_fscore_support

from cnnlit.training.metrics import TopKError, of_classes


def answers(count: int = 1003) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return torch.randn(count, 20, generator=random), torch.randint(0, 20, (count,), generator=random)


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("batch_size", [1, 17, 500, 1003])
def test_top_k_error_is_numpys_in_any_batches(k: int, batch_size: int) -> None:
    logits, labels = answers()
    best = np.argsort(-logits.numpy(), axis=1)[:, :k]
    wrong = sum(label not in guesses for guesses, label in zip(best, labels.numpy(), strict=True))
    metric = TopKError(k)
    for part in zip(logits.split(batch_size), labels.split(batch_size), strict=True):
        metric.update(*part)
    assert metric.compute().dtype == torch.float64
    assert metric.compute().item() == wrong / 1003


def test_top_k_error_starts_again_after_a_reset() -> None:
    logits, _ = answers(10)
    metric = TopKError(1)
    metric.update(logits, logits.argmin(dim=1))
    assert metric.compute() == 1
    metric.reset()
    metric.update(logits, logits.argmax(dim=1))
    assert metric.compute() == 0


def test_an_error_among_many_images_is_not_lost() -> None:
    # In float32, sums stop counting at 16,777,216.
    metric = TopKError(1)
    metric.update(torch.eye(2), torch.tensor([0, 1]))
    metric.images += 2**24 - 2
    metric.update(torch.eye(2)[:1], torch.tensor([1]))
    assert metric.compute().item() == 1 / (2**24 + 1)


def test_means_over_classes_are_scikit_learns() -> None:
    logits, labels = answers()
    labels[labels == 7] = 8  # of class 7 there is no image, though it is answered
    confidence, predicted = logits.softmax(1).max(1)
    found = of_classes(labels, predicted, confidence, 20)
    precision, recall, f1, _ = precision_recall_fscore_support(labels, predicted, average="macro", zero_division=0)
    assert (found["macro_precision"], found["macro_recall"], found["macro_f1"]) == pytest.approx(
        (precision, recall, f1)
    )
    assert found["macro_accuracy"] == found["macro_recall"]
    each = {f"class_{k}_accuracy": float((predicted == k)[labels == k].float().mean()) for k in range(20) if k != 7}
    assert {name: value for name, value in found.items() if name.startswith("class_")} == pytest.approx(each)


def test_the_calibration_error_is_guos() -> None:
    random = np.random.default_rng(0)
    confidence, right = random.uniform(0.1, 1, 2000), random.uniform(0, 1, 2000) < 0.7
    bins = np.digitize(confidence, np.linspace(0, 1, 16)[1:-1], right=True)
    expected = sum(
        (bins == k).mean() * abs(confidence[bins == k].mean() - right[bins == k].mean())
        for k in range(15)
        if (bins == k).any()
    )
    labels = torch.zeros(2000, dtype=torch.int64)
    predicted = torch.from_numpy(np.where(right, 0, 1))
    found = of_classes(labels, predicted, torch.from_numpy(confidence), 2)["calibration_error"]
    assert found == pytest.approx(expected, rel=1e-4)
