"""The losses are the paper's equations."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from cnnlit.training.losses import ClassWeighted, MaximumAPosteriori, MeanSquaredDistance, balanced_weights


def distances(count: int = 6, low: float = 0, high: float = 30) -> tuple[Tensor, Tensor]:
    """Distances y float64 [count, 10] that the codes could be away, and labels."""
    random = torch.Generator().manual_seed(0)
    y = torch.empty(count, 10, dtype=torch.float64).uniform_(low, high, generator=random)
    return y, torch.randint(0, 10, (count,), generator=random)


def test_mean_squared_distance_is_equation_8() -> None:
    y, labels = distances()
    expected = sum(y[n, label].item() for n, label in enumerate(labels)) / 6
    assert MeanSquaredDistance()(-y, labels).item() == pytest.approx(expected)


@pytest.mark.parametrize("j", [0.5, 10.0, 40.0])
def test_maximum_a_posteriori_is_equation_9(j: float) -> None:
    y, labels = distances()
    expected = 0.0
    for n, label in enumerate(labels):
        expected += y[n, label].item() + math.log(math.exp(-j) + sum(math.exp(-y[n, i].item()) for i in range(10)))
    assert MaximumAPosteriori(j)(-y, labels).item() == pytest.approx(expected / 6)


@pytest.mark.parametrize("j", [0.5, 10.0])
def test_the_gradient_of_equation_9_is_probability_minus_target(j: float) -> None:
    y, labels = distances()
    logits = (-y).requires_grad_()
    MaximumAPosteriori(j)(logits, labels).backward()
    for n, i in product(range(6), range(10)):
        rubbish_and_all = math.exp(-j) + sum(math.exp(-distance) for distance in y[n].tolist())
        probability = math.exp(-y[n, i].item()) / rubbish_and_all
        expected = (probability - (i == labels[n].item())) / 6
        assert logits.grad[n, i].item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_maximum_a_posteriori_is_stable_at_large_distances(dtype: torch.dtype) -> None:
    # All but the rubbish at 10,000: y_D + log(e^-j) = 10,000 - j, and nothing but y_D has a slope.
    labels = torch.tensor([3, 7])
    logits = torch.full((2, 10), -1e4, dtype=dtype, requires_grad=True)
    loss = MaximumAPosteriori(10.0)(logits, labels)
    loss.backward()
    assert loss.item() == 1e4 - 10
    expected = torch.zeros(2, 10, dtype=dtype)
    expected[[0, 1], labels] = -0.5
    torch.testing.assert_close(logits.grad, expected)


def test_a_right_answer_far_below_the_rubbish_costs_nothing() -> None:
    y = torch.full((1, 10), 1e4)
    y[0, 4] = 0
    assert MaximumAPosteriori(50.0)(-y, torch.tensor([4])).item() == pytest.approx(0, abs=1e-6)


def test_maximum_a_posteriori_becomes_cross_entropy_without_rubbish() -> None:
    y, labels = distances()
    cross_entropy = nn.CrossEntropyLoss()(-y, labels).item()
    differences = [MaximumAPosteriori(j)(-y, labels).item() - cross_entropy for j in (1.0, 5.0, 20.0, 200.0)]
    assert differences == sorted(differences, reverse=True)
    assert differences[0] > 0.1
    assert differences[-1] == pytest.approx(0, abs=1e-12)


def test_cross_entropy_is_minus_logit_plus_log_of_sum() -> None:
    y, labels = distances(low=-5, high=5)
    expected = sum(-y[n, label].item() + math.log(y[n].exp().sum().item()) for n, label in enumerate(labels)) / 6
    assert nn.CrossEntropyLoss()(y, labels).item() == pytest.approx(expected)


@pytest.mark.parametrize(("right", "wrong", "expected"), [(1e4, -1e4, 0.0), (-1e4, 1e4, 2e4 + math.log(9))])
def test_cross_entropy_is_stable_at_large_logits(right: float, wrong: float, expected: float) -> None:
    logits = torch.full((1, 10), wrong)
    logits[0, 2] = right
    assert nn.CrossEntropyLoss()(logits, torch.tensor([2])).item() == pytest.approx(expected)


def test_weights_of_classes_multiply_each_image_and_the_mean_is_over_images() -> None:
    y, labels = distances()
    weights = torch.arange(1.0, 11.0).double()
    weighted = ClassWeighted(nn.CrossEntropyLoss(), weights).double()
    each = nn.CrossEntropyLoss(reduction="none")(-y, labels)
    assert weighted(-y, labels).item() == pytest.approx((weights[labels] * each).mean().item())
    shares = torch.nn.functional.one_hot(labels, 10).double()
    assert weighted(-y, shares).item() == pytest.approx(weighted(-y, labels).item())


def test_a_batch_in_parts_is_the_whole_batch_whichever_classes_are_in_them() -> None:
    y, labels = distances()
    weighted = ClassWeighted(nn.CrossEntropyLoss(label_smoothing=0.1), torch.tensor([1.0] * 5 + [20.0] * 5)).double()
    parts = [weighted(-y[part], labels[part]).item() * len(labels[part]) / 6 for part in (slice(0, 2), slice(2, 6))]
    assert sum(parts) == pytest.approx(weighted(-y, labels).item())


def test_balanced_weights_give_every_class_the_same_say_and_images_one_on_average() -> None:
    labels = torch.tensor([0] * 6 + [1] * 3 + [2])
    weights = balanced_weights(labels, 3)
    assert (weights * torch.bincount(labels)).tolist() == pytest.approx([10 / 3] * 3)
    assert weights[labels].mean().item() == pytest.approx(1)
    with pytest.raises(ValueError, match="no training images of class 3"):
        balanced_weights(labels, 4)
