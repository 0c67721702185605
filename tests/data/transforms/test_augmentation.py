"""A list of steps is carried out in its order, at any image size, and leaves chance behind in evaluation."""

from typing import Any

import numpy as np
import pytest
import torch

from cnnlit.data.transforms.augmentation import Augmentation
from cnnlit.data.transforms.colours import ColourJitter, Normalize, PCAColour
from cnnlit.data.transforms.geometry import (
    CenterCrop,
    Flip,
    RandomCrop,
    RandomResizedCrop,
    ShorterSide,
    TenPositions,
    Windows,
)

ALEXNET = (
    ShorterSide(pixels=256),
    CenterCrop(pixels=256),
    RandomCrop(pixels=224),
    Flip(),
    PCAColour(),
)
LISTS: dict[str, Any] = {
    "none": (),
    "flip": (Flip(),),
    "alexnet": ALEXNET,
    "zfnet": (ShorterSide(pixels=256), CenterCrop(pixels=256), TenPositions(pixels=224)),
    "vgg": (ShorterSide(pixels=[256, 512]), RandomCrop(pixels=224), Flip(), PCAColour()),
    "googlenet": (RandomResizedCrop(pixels=224), Flip(), ColourJitter()),
    "cifar": (RandomCrop(pixels=32, padding=4), Flip()),
    "scale only": (CenterCrop(pixels=10), ShorterSide(pixels=20)),
}
SIZES = torch.tensor([[375, 500], [64, 64], [500, 375], [30, 91]])


def augmentation(*steps: Any, image_size: int = 224, seed: int = 0, **options: Any) -> Augmentation:
    return Augmentation(steps, image_size=image_size, normalize=Normalize("mean_std"), seed=seed, **options)


@pytest.mark.parametrize("image_size", [224, 64, 32, 11])
@pytest.mark.parametrize("name", LISTS)
def test_whatever_the_list_the_network_sees_its_size(name: str, image_size: int) -> None:
    training = augmentation(*LISTS[name], image_size=image_size)
    for used in (training, training.for_evaluation()):
        windows = used.windows(SIZES, 3, torch.arange(4))
        assert bool((windows.size == image_size).all())


@pytest.mark.parametrize("name", LISTS)
def test_draws_depend_on_seed_epoch_and_presentation_alone(name: str) -> None:
    used = augmentation(*LISTS[name])
    presentations = torch.tensor([7, 3, 900, 12])
    windows, draws = used.windows(SIZES, 2, presentations), used.draws(2, presentations)
    torch.manual_seed(99)
    again = augmentation(*LISTS[name])
    for place in range(4):
        part = slice(place, place + 1)
        assert torch.equal(again.windows(SIZES[part], 2, presentations[part]).box, windows.box[part])
        assert torch.equal(again.draws(2, presentations[part]), draws[part])


@pytest.mark.parametrize("name", ["alexnet", "vgg", "googlenet", "cifar"])
def test_draws_are_new_each_epoch_and_for_each_seed_and_presentation(name: str) -> None:
    sizes, numbers = torch.full((50, 2), 300), torch.arange(50)
    boxes = [
        augmentation(*LISTS[name], seed=seed).windows(sizes, epoch, numbers).box
        for seed in range(2)
        for epoch in range(2)
    ]
    assert len({tuple(box.flatten().tolist()) for box in boxes}) == 4
    assert len(boxes[0].unique(dim=0)) > 25


def test_two_equal_steps_draw_apart() -> None:
    draws = augmentation(PCAColour(), PCAColour()).draws(0, torch.arange(5))
    assert draws.shape == (5, 6)
    assert not torch.equal(draws[:, :3], draws[:, 3:])


@pytest.mark.parametrize(("image_size", "shorter"), [(224, 256), (64, 73), (112, 128)])
def test_a_recipes_pixels_are_in_proportion_to_the_image_size(image_size: int, shorter: int) -> None:
    used = augmentation(*ALEXNET, image_size=image_size)
    whole = Windows.whole(torch.tensor([[image_size, image_size]]))
    assert used.geometry[0](whole, torch.empty(1, 0), used.factor).size.tolist() == [[shorter, shorter]]
    boxes = used.windows(torch.full((200, 2), shorter), 0, torch.arange(200)).box
    assert torch.equal(boxes, boxes.round())  # an image of the scaled length is cut, not resampled
    assert boxes.min() == 0
    assert boxes.max() == shorter
    assert bool(((boxes[:, 3] - boxes[:, 1]) == image_size).all())


def test_padding_is_in_proportion_too() -> None:
    boxes = augmentation(*LISTS["cifar"], image_size=64).windows(torch.full((500, 2), 64), 0, torch.arange(500)).box
    assert sorted(boxes[:, 1].unique().tolist()) == list(range(-8, 9))


@pytest.mark.parametrize("name", ["none", "flip", "cifar"])
def test_an_image_of_the_right_size_is_tested_as_it_is(name: str) -> None:
    used = augmentation(*LISTS[name], image_size=64).for_evaluation()
    assert used.windows(torch.tensor([[64, 64]]), 0, torch.tensor([5])).box.tolist() == [[0, 0, 64, 64]]


@pytest.mark.parametrize(
    ("name", "seen", "left", "top"),
    [
        ("alexnet", (341, 256), 58, 16),
        ("googlenet", (341, 256), 58, 16),
        ("vgg", (512, 384), 144, 80),
        ("none", (298, 224), 37, 0),
    ],
)
def test_evaluation_is_the_middle(name: str, seen: tuple[int, int], left: int, top: int) -> None:
    box = np.array([left, top, left + 224, top + 224]) * np.tile([500 / seen[0], 375 / seen[1]], 2)
    used = augmentation(*LISTS[name]).for_evaluation()
    for epoch in range(2):
        windows = used.windows(torch.tensor([[375, 500]]), epoch, torch.tensor([epoch]))
        np.testing.assert_allclose(windows.box[0], box, atol=1e-4)
    assert used.draws(0, torch.arange(3)).shape == (3, 0)
    again = used.for_evaluation().windows(torch.tensor([[375, 500]]), 0, torch.tensor([0]))
    assert torch.equal(again.box, windows.box)


def test_colours_are_changed_in_the_order_of_the_list() -> None:
    images = 255 * torch.rand(4, 3, 8, 8)
    pca, jitter = PCAColour(sigma=2.0), ColourJitter()
    for steps in ((pca, jitter), (jitter, pca)):
        used = augmentation(*steps)
        draws = used.draws(1, torch.arange(4))
        expected = images
        for step, drawn in zip(steps, draws.split([step.num_draws for step in steps], dim=1), strict=True):
            expected = step.colour(expected.clone(), drawn)
        assert torch.equal(used.finish(images.clone(), draws), used.normalize(expected))


def test_what_is_not_in_order_or_no_step_is_refused() -> None:
    with pytest.raises(ValueError, match=r"data.augmentation: Flip comes after PCAColour; geometry comes first"):
        augmentation(PCAColour(), Flip())
    with pytest.raises(
        ValueError, match=r"data.augmentation: dict is no step of cnnlit.data.transforms.geometry or .* called with"
    ):
        augmentation({"pixels": 3})


@pytest.mark.parametrize("name", LISTS)
def test_seeds_that_are_served_together_draw_as_each_alone(name: str) -> None:
    def steps(seed: int) -> Augmentation:
        return Augmentation(LISTS[name], image_size=32, normalize=Normalize("mean_std"), seed=seed)

    together, shown = steps(5), torch.tensor([3, 0, 9])
    together.seeds, together.sweep_length = [5, 6], 10
    both, sizes = torch.cat([shown, 10 + shown]), torch.full((6, 2), 40)
    alone = [steps(seed).windows(sizes[:3], 2, shown).box for seed in (5, 6)]
    assert torch.equal(together.windows(sizes, 2, both).box, torch.cat(alone))
    assert torch.equal(together.draws(2, both), torch.cat([steps(seed).draws(2, shown) for seed in (5, 6)]))
