"""Images are mixed by torchvision's classes, with numbers that a step draws for itself."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD
from torchvision.transforms import v2

from cnnlit.training.losses import MaximumAPosteriori
from cnnlit.training.mixing import dominant, mixed
from cnnlit.training.outputs import try_on
from cnnlit.training.recipe import Recipe
from cnnlit.training.schedules import Constant
from cnnlit.training.stacked_seeds import why_not_stacked

MIXUP = v2.MixUp(alpha=1.0, num_classes=3)


def batch() -> tuple[Tensor, Tensor]:
    return torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 5, 5), torch.tensor([0, 1, 2, 2])


def test_an_image_and_its_label_are_averaged_with_the_one_before_it() -> None:
    images, labels = batch()
    blended, shares = mixed(MIXUP, images, labels, seed=7)
    one_hot = nn.functional.one_hot(labels, 3).float()
    share = float(shares[0, 0])
    assert 0 < share < 1
    torch.testing.assert_close(shares, share * one_hot + (1 - share) * one_hot.roll(1, 0))
    torch.testing.assert_close(blended, share * images + (1 - share) * images.roll(1, 0))


def test_what_is_drawn_is_the_steps_and_leaves_the_random_numbers_as_they_were() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, again, other = (mixed(MIXUP, *batch(), seed=seed)[1] for seed in (7, 7, 8))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_errors_count_against_the_class_with_the_largest_share() -> None:
    assert dominant(torch.tensor([[0.3, 0.7], [0.9, 0.1]])).tolist() == [1, 0]
    assert dominant(torch.tensor([1, 0])).tolist() == [1, 0]


def test_a_loss_of_one_class_and_shares_of_another_size_are_refused_in_one_line() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(25, 3))
    try_on(network, nn.CrossEntropyLoss(), (1, 5, 5), 3, MIXUP)
    with pytest.raises(ValueError, match=r"^recipe\.mixing: MaximumAPosteriori takes one class.*loss=cross_entropy$"):
        try_on(network, MaximumAPosteriori(1.0), (1, 5, 5), 3, MIXUP)
    with pytest.raises(ValueError, match=r"^recipe\.mixing: CutMix returns .*must return images .* float \[2, 3\]$"):
        try_on(network, nn.CrossEntropyLoss(), (1, 5, 5), 3, v2.CutMix(num_classes=4))


def test_seeds_that_mix_images_are_not_stacked() -> None:
    recipe = Recipe(
        batch_size=4, epochs=1, order="fresh", loss=nn.CrossEntropyLoss(), mixing=MIXUP,
        optimizer=partial(SGD, lr=0.1), schedule=Constant,
    )  # fmt: skip
    assert why_not_stacked(nn.Linear(2, 2), recipe) == "recipe.mixing mixes the images of one network"
