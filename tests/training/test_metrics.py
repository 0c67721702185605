"""Errors are counted exactly, however they are counted."""

import numpy as np
import pytest
import torch

from cnnlit.training.metrics import TopKError


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
