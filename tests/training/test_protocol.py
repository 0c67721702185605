"""Answers to several views are combined as in the papers."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch import Tensor, nn

from cnnlit.data.transforms.evaluation_crops import FiveCrops, Mirrored, Uncropped
from cnnlit.data.transforms.geometry import CenterCrop, ShorterSide
from cnnlit.models.lenet5 import LeNet5
from cnnlit.training.protocol import EvaluationProtocol

TEN: Any = EvaluationProtocol(views=[FiveCrops(pixels=4), Mirrored()])
DENSE: Any = EvaluationProtocol(views=[ShorterSide(pixels=4), Mirrored(), Uncropped(pixels=4)])


class Scores(nn.Module):
    """The first numbers of an image, far apart, as its logits; densely, their opposites."""

    def forward(self, images: Tensor) -> Tensor:
        return 300 * images.flatten(1)[:, :4]

    def dense(self, images: Tensor) -> Tensor:
        return -self(images)


def grouped(views: Tensor) -> Any:
    """Views [N, V, C, H, W] in two groups and in disorder."""
    order = torch.randperm(views.shape[0] * views.shape[1])
    first, second = order[:7], order[7:]
    return [(views.flatten(0, 1)[part], part) for part in (first, second)]


def test_the_softmax_is_averaged_over_the_views() -> None:
    torch.manual_seed(0)
    views = torch.randn(5, 10, 1, 2, 2)
    logits = TEN.answer(Scores(), grouped(views), 5)
    each = softmax(300 * views.flatten(2).double().numpy(), axis=2)
    expected = each.mean(axis=1)
    assert (each == 0).any(), "the test means something where a softmax alone is 0 or 1"
    np.testing.assert_allclose(logits.softmax(dim=1), expected, atol=1e-6)
    labels = torch.tensor([0, 1, 2, 3, 0])
    loss = nn.functional.cross_entropy(logits, labels).item()
    with np.errstate(divide="ignore"):
        exact = -np.log(expected[np.arange(5), labels])
    assert math.isfinite(loss)
    assert loss == pytest.approx(exact.mean(), rel=1e-4) or math.isinf(exact.mean())


def test_the_answer_to_one_view_is_the_networks_own() -> None:
    views = torch.randn(9, 1, 1, 2, 2)
    assert torch.equal(EvaluationProtocol().answer(Scores(), views[:, 0], 9), 300 * views.flatten(1))
    assert torch.equal(TEN.answer(Scores(), grouped(views), 9), 300 * views.flatten(1))


def test_uncropped_views_are_for_the_dense_form() -> None:
    assert DENSE.dense
    assert not TEN.dense
    views = torch.randn(9, 1, 1, 2, 2)
    assert torch.equal(DENSE.answer(Scores(), grouped(views), 9), -300 * views.flatten(1))


def test_views_are_counted() -> None:
    assert [each.num_views for each in (EvaluationProtocol(), TEN, DENSE)] == [1, 10, 2]
    assert EvaluationProtocol(views=[CenterCrop(pixels=4)]).num_views == 1


def test_what_cannot_be_tested_this_way_is_refused_in_one_line() -> None:
    TEN.try_on(LeNet5(), {"views": None})
    EvaluationProtocol().try_on(LeNet5(), {})
    for protocol, data, says in (
        (TEN, {}, "these images are tested as they are; use protocol=single_crop"),
        (DENSE, {"views": None}, "LeNet5 sees images of one size alone"),
    ):
        with pytest.raises(ValueError, match=says) as refusal:
            protocol.try_on(LeNet5(), data)
        assert "\n" not in str(refusal.value)
