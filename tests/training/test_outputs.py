"""What a network and a loss return is looked at before the first step, and looking changes neither."""

from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from cnnlit.models.googlenet import GoogLeNet
from cnnlit.training.losses import MeanSquaredDistance
from cnnlit.training.outputs import try_on

IMAGE = (1, 8, 8)


class Returning(nn.Module):
    """Returns what a function makes of logits [N, 10]."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.drop = nn.Dropout()
        self.head = nn.Linear(64, 10)
        self.make = make

    def forward(self, images: Tensor) -> Any:
        return self.make(self, self.head(self.drop(self.norm(images)).flatten(1)))


class Two(NamedTuple):
    logits: Tensor
    other: Tensor


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda self, logits: logits[:, :7], r"returns \[N, 7\]; it must return logits, float \[N, 10\]"),
        (lambda self, logits: logits[:, :, None], r"returns \[N, 10, 1\]"),
        (lambda self, logits: logits[0], r"returns \[10\]"),
        (lambda self, logits: logits.argmax(1, keepdim=True).expand(-1, 10), "returns int64"),
        (lambda self, logits: {"logits": logits}, "returns dict"),
        (lambda self, logits: Two(logits, logits) if self.training else logits, "has no auxiliary_weight"),
        (lambda self, logits: (logits,), "returns 1 outputs in evaluation"),
        (lambda self, logits: logits @ logits, r"cannot take images \[2, 1, 8, 8\]: RuntimeError: mat1"),
    ],
)
def test_what_is_not_logits_is_refused_in_one_line(make: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refusal:
        try_on(Returning(make), nn.CrossEntropyLoss(), IMAGE, 10)
    assert "\n" not in str(refusal.value)


def test_a_loss_that_is_no_scalar_is_refused() -> None:
    with pytest.raises(ValueError, match=r"recipe.loss: CrossEntropyLoss returns \[2\]"):
        try_on(Returning(lambda self, logits: logits), nn.CrossEntropyLoss(reduction="none"), IMAGE, 10)


def test_looking_changes_neither_mode_nor_statistics_nor_random_numbers() -> None:
    network = Returning(lambda self, logits: logits)
    network.norm.eval()  # held by its owner
    state = {name: value.clone() for name, value in network.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    try_on(network, MeanSquaredDistance(), IMAGE, 10)
    assert torch.equal(torch.rand(4), expected)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert (network.training, network.norm.training) == (True, False)


def test_auxiliary_heads_are_looked_at_too() -> None:
    network = GoogLeNet(image_size=64, width=0.125, num_classes=10, auxiliary_weight=0.3)
    try_on(network, nn.CrossEntropyLoss(), (3, 64, 64), 10)
    with pytest.raises(ValueError, match=r"returns \[N, 10\]; it must return logits, float \[N, 11\]"):
        try_on(network, nn.CrossEntropyLoss(), (3, 64, 64), 11)
