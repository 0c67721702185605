"""Images are held out exactly, by class, and never both trained on and held out."""

import pytest
import torch
from torch import Tensor

from cnnlit.data.loading.splits import hold_out


def labels_of(*counts: int) -> Tensor:
    """So many images of each class, class by class."""
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))


@pytest.mark.parametrize(("share", "count"), [(0.1, 36), (0.25, 90), (0.02, 7), (36, 36), (0, 0)])
def test_a_fraction_is_rounded_to_the_nearest_number_of_images(share: float, count: int) -> None:
    train, val = hold_out(labels_of(120, 120, 119), share, seed=0)
    assert (len(train), len(val)) == (359 - count, count)


def test_both_sides_together_are_all_images_once() -> None:
    train, val = hold_out(labels_of(30, 10, 20), 0.3, seed=0)
    assert torch.cat([train, val]).sort().values.tolist() == list(range(60))


def test_each_class_is_held_out_in_proportion() -> None:
    labels = labels_of(300, 100, 200)
    _, val = hold_out(labels, 60, seed=0)
    assert labels[val].bincount().tolist() == [30, 10, 20]


def test_what_is_held_out_depends_on_the_seed_alone() -> None:
    labels = labels_of(50, 50)
    assert torch.equal(hold_out(labels, 20, seed=3)[1], hold_out(labels, 0.2, seed=3)[1])
    assert not torch.equal(hold_out(labels, 20, seed=3)[1], hold_out(labels, 20, seed=4)[1])


def test_a_class_of_one_image_leaves_the_split_to_chance() -> None:
    train, val = hold_out(labels_of(1, 1, 1, 1), 1, seed=0)
    assert (len(train), len(val)) == (3, 1)


@pytest.mark.parametrize("share", [2, 28, 0.05, 0.97])
def test_a_class_without_an_image_on_one_side_is_refused(share: float) -> None:
    with pytest.raises(
        ValueError, match=rf"^data.val_split={share}: hold out 0, or 3 to 27 of the 30 training images$"
    ):
        hold_out(labels_of(10, 10, 10), share, seed=0)


def test_a_test_split_of_none_is_not_offered() -> None:
    with pytest.raises(ValueError, match=r"^data.test_split=1: hold out 2 to 8 of the 10 training images$"):
        hold_out(labels_of(5, 5), 1, seed=0, key="data.test_split")
