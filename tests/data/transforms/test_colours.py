"""Colours are changed as the papers and torchvision do it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from torch import Tensor
from torchvision.transforms import functional as torchvision

from cnnlit.data.transforms.colours import (
    EIGENVALUES,
    EIGENVECTORS,
    LUMA,
    MEAN,
    STD,
    ColourJitter,
    Normalize,
    PCAColour,
    principal_components,
)
from cnnlit.data.transforms.distortions import pad

CHANGES = (torchvision.adjust_brightness, torchvision.adjust_contrast, torchvision.adjust_saturation)


def images(count: int, side: int = 6) -> Tensor:
    return 255 * torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def test_pca_colour_is_the_papers_sum() -> None:
    before = images(5)
    uniform = torch.rand(5, 3, generator=torch.Generator().manual_seed(1))
    after = PCAColour(sigma=0.1).colour(before.clone(), uniform)
    for number in range(5):
        alpha = 0.1 * stats.norm.ppf(uniform[number].numpy().astype(float))
        shift = np.array(EIGENVECTORS) @ (alpha * np.array(EIGENVALUES))  # [p1, p2, p3][a1 l1, a2 l2, a3 l3]^T
        expected = before[number].numpy() + 255 * shift[:, None, None]
        np.testing.assert_allclose(after[number], expected, atol=1e-3)


def test_pca_colour_is_finite_at_the_ends_of_the_draws() -> None:
    after = PCAColour().colour(images(2), torch.tensor([[0.0] * 3, [1.0] * 3]))
    assert torch.isfinite(after).all()


def test_pca_colour_of_no_width_changes_nothing() -> None:
    before = images(2)
    assert torch.equal(PCAColour(sigma=0).colour(before.clone(), torch.rand(2, 3)), before)


def test_the_components_are_those_of_real_photographs(real_photographs: list[Path]) -> None:
    colours = [np.asarray(Image.open(path).convert("RGB").resize((64, 64), 0)) for path in real_photographs]
    values, vectors = np.linalg.eigh(np.cov(np.concatenate(colours).reshape(-1, 3).T / 255))
    assert np.abs((vectors[:, ::-1] * np.array(EIGENVECTORS)).sum(axis=0)).min() > 0.99  # but for their signs
    np.testing.assert_allclose(values[::-1], EIGENVALUES, rtol=0.35)  # of 220 photographs


@pytest.mark.parametrize(
    ("number", "order"),
    [(0, (0, 1, 2)), (1, (0, 2, 1)), (2, (1, 0, 2)), (3, (1, 2, 0)), (4, (2, 0, 1)), (5, (2, 1, 0))],
)
def test_jitter_is_torchvisions_in_each_order(number: int, order: tuple[int, ...]) -> None:
    before = images(3)
    uniform = torch.rand(3, 4, generator=torch.Generator().manual_seed(number))
    uniform[:, 3] = (number + 0.5) / 6
    after = ColourJitter(brightness=[0.4, 1.6], contrast=[0.5, 1.5], saturation=[0.0, 2.0]).colour(before, uniform)
    low, width = np.array([0.4, 0.5, 0.0]), np.array([1.2, 1.0, 2.0])
    for index in range(3):
        expected = before[index] / 255
        for change in order:
            factor = low[change] + width[change] * uniform[index, change].item()
            expected = CHANGES[change](expected, factor)
        torch.testing.assert_close(after[index] / 255, expected, atol=2e-5, rtol=0)


def test_jitter_by_factors_of_one_changes_nothing() -> None:
    before = images(2)
    torch.testing.assert_close(ColourJitter().colour(before, torch.full((2, 4), 0.5)), before)


def test_jitter_of_one_image_does_not_depend_on_the_others() -> None:
    before, uniform = images(8), torch.rand(8, 4)
    together = ColourJitter().colour(before, uniform)
    assert torch.equal(ColourJitter().colour(before[3:4], uniform[3:4]), together[3:4])


def test_a_range_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ColourJitter: contrast=\[2, 1\] is no range"):
        ColourJitter(contrast=[2, 1])


def test_mean_std_is_torchvisions() -> None:
    expected = torchvision.normalize(images(2) / 255, MEAN, STD)
    torch.testing.assert_close(Normalize("mean_std")(images(2)), expected, atol=1e-5, rtol=0)


def test_bytes_are_normalized_as_numbers() -> None:
    whole = images(2).to(torch.uint8)
    assert torch.equal(Normalize("mean_std")(whole), Normalize("mean_std")(whole.float()))


def test_another_mean_image_takes_the_place_of_the_first() -> None:
    normalize = Normalize("mean_image")
    for mean in images(2):
        normalize.mean_image = mean
        assert torch.equal(normalize(mean[None]), torch.zeros(1, *mean.shape))


@pytest.mark.parametrize("by", ["mean_rgb", "mean_image"])
def test_means_are_subtracted_in_units_of_a_byte(by: Any) -> None:
    normalize = Normalize(by)
    normalize.mean_image = images(1)[0]
    mean = normalize.mean_image.numpy()
    mean = np.broadcast_to(mean.mean(axis=(1, 2))[:, None, None], mean.shape) if by == "mean_rgb" else mean
    before = images(3)
    np.testing.assert_allclose(normalize(before), before.numpy() - mean, atol=1e-4)


def grey(colour: Tensor) -> Tensor:
    """Luminance, [N, 1, H, W]."""
    return (colour * torch.tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)


def test_grey_images_are_shifted_by_the_luminance_of_the_colours_shift() -> None:
    colour, uniform = images(5), torch.rand(5, 3, generator=torch.Generator().manual_seed(1))
    shifted = PCAColour().colour(grey(colour), uniform)
    torch.testing.assert_close(shifted, grey(PCAColour().colour(colour.clone(), uniform)))


def test_grey_images_have_a_component_of_their_own() -> None:
    uniform = torch.rand(5, 3, generator=torch.Generator().manual_seed(1))
    step = PCAColour(statistics="training")
    step.components = principal_components(torch.tensor([[0.04]], dtype=torch.float64))
    shift = step.colour(grey(images(5)), uniform) - grey(images(5))
    expected = 0.1 * stats.norm.ppf(uniform[:, 0].numpy().astype(float)) * 0.04 * 255
    np.testing.assert_allclose(shift[:, 0, 0, 0], expected, rtol=1e-3, atol=1e-4)


def test_jitter_of_grey_images_has_no_saturation() -> None:
    given, uniform = grey(images(3)), torch.rand(3, 4, generator=torch.Generator().manual_seed(2))
    step = ColourJitter(brightness=(1, 1), contrast=(1, 1))
    torch.testing.assert_close(step.colour(given.clone(), uniform), given)


def test_mean_std_of_grey_images_is_in_the_middle_of_the_colours() -> None:
    given = grey(images(2))
    mean = sum(weight * value for weight, value in zip(LUMA, MEAN, strict=True))
    torch.testing.assert_close(Normalize("mean_std")(given), (given - 255 * mean) / (255 * sum(STD) / 3))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_lecun1998_is_the_scale_that_digits_are_padded_on(dtype: torch.dtype) -> None:
    given = images(2, side=28)[:, :1].to(torch.uint8)
    assert torch.equal(Normalize("lecun1998")(given.to(dtype)), pad(given[:, 0], 28))
