"""Padding and distortions are the paper's, and depend on nothing but seed, epoch and presentation."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from torch import Tensor
from torch.utils.data import DataLoader

from cnnlit.data.loading.batch_sampler import BatchSampler
from cnnlit.data.loading.datasets import DistortedImages
from cnnlit.data.loading.image_set import LoadedImages
from cnnlit.data.small_images import SmallImages
from cnnlit.data.transforms.distortions import AffineDistortion, ElasticField, pad, warp

RANGES: Any = {
    "scaling": (0.76, 1.41),
    "squeezing": (0.9, 1.1),
    "shear": (-0.14, 0.14),
    "translation_pixels": (-2.0, 2.0),
}
IDENTITY = (1.0, 0.0, 1.0, 0.0, 0.0)


def noise(count: int, side: int = 28) -> Tensor:
    """Images without any smoothness, up to their edges."""
    return torch.randint(0, 256, (count, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def distortion(num_images: int = 10, versions: int = 1, fixed: bool = False, seed: int = 0) -> AffineDistortion:
    return AffineDistortion(**RANGES, num_images=num_images, versions=versions, fixed=fixed, seeds=[seed])


def labelled(num_images: int) -> LoadedImages:
    return LoadedImages(noise(num_images)[:, None], torch.arange(num_images) % 10)


def resident(num_images: int = 40, **options: Any) -> DistortedImages:
    return DistortedImages(labelled(num_images), 32, distortion(num_images, **options))


def padded_by_numpy(image: Tensor) -> np.ndarray:
    """On the paper's scale, two pixels of background around it."""
    return np.pad(image.numpy().astype(np.float64), 2) / 255 * 1.275 - 0.1


def test_pad_runs_from_background_to_ink() -> None:
    images = torch.zeros(1, 28, 28, dtype=torch.uint8)
    images[0, 0, 0], images[0, 27, 27] = 255, 51
    padded = pad(images, 32)
    assert padded.dtype == torch.float32
    assert padded.shape == (1, 1, 32, 32)
    assert padded[0, 0, 2, 2].item() == pytest.approx(1.175)
    assert padded[0, 0, 29, 29].item() == pytest.approx(0.2 * 1.275 - 0.1)
    assert padded.flatten().sort().values[:-2].numpy() == pytest.approx(-0.1)


def test_pad_centres_the_image() -> None:
    images = noise(3)
    expected = np.stack([padded_by_numpy(image) for image in images])[:, None]
    np.testing.assert_allclose(pad(images, 32).numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(pad(images, 28).numpy(), expected[:, :, 2:-2, 2:-2], atol=1e-6)


@pytest.mark.parametrize("image_size", [28, 32, 40])
def test_a_warp_by_nothing_is_padding(image_size: int) -> None:
    images = noise(5)
    warped = warp(images, torch.tensor([IDENTITY] * 5), image_size)
    assert warped.dtype == torch.float32
    torch.testing.assert_close(warped, pad(images, image_size), atol=1e-5, rtol=0)


def warped_by_scipy(image: Tensor, a00: float, a01: float, a11: float, tx: float, ty: float) -> np.ndarray:
    # In pixels of the padded image, 0..31: X the column and Y the row.
    rows, columns = np.mgrid[:32, :32].astype(np.float64)
    x = 15.5 + a00 * (columns - 15.5) + a01 * (rows - 15.5) + tx
    y = 26 + a11 * (rows - 26) + ty
    return ndimage.map_coordinates(padded_by_numpy(image), [y, x], order=1, mode="constant", cval=-0.1)


def test_warp_is_scipys() -> None:
    random = np.random.default_rng(1)
    images = noise(60)
    g, q, s = random.uniform(0.76, 1.41, 60), random.uniform(0.9, 1.1, 60), random.uniform(-0.14, 0.14, 60)
    affine = np.stack([g * q, s * g / q, g / q, random.uniform(-2, 2, 60), random.uniform(-2, 2, 60)], axis=1)
    warped = warp(images, torch.tensor(affine, dtype=torch.float32), 32)[:, 0]
    for image, row, result in zip(images, affine, warped, strict=True):
        np.testing.assert_allclose(result.numpy(), warped_by_scipy(image, *row), atol=1e-4)


def test_a_distortion_applies_its_own_maps() -> None:
    images, drawn = noise(20), distortion(20, versions=3)
    presentations = torch.tensor([59, 3, 20, 41])
    result = drawn(images[presentations % 20], 7, presentations, 32)[:, 0]
    for presentation, image in zip(presentations, result, strict=True):
        expected = warped_by_scipy(images[presentation % 20], *drawn.affine(7)[presentation].tolist())
        np.testing.assert_allclose(image.numpy(), expected, atol=1e-4)


def test_scaling_keeps_the_foot_of_the_digit() -> None:
    images = noise(2)
    before = pad(images, 32)
    for g in (0.76, 1.41):
        after = warp(images, torch.tensor([[1, 0, g, 0, 0]] * 2), 32)
        torch.testing.assert_close(after[:, :, 26], before[:, :, 26], atol=1e-5, rtol=0)
        assert (after[:, :, 20] - before[:, :, 20]).abs().max() > 0.1


def test_a_large_scaling_makes_the_digit_small() -> None:
    square = torch.zeros(1, 28, 28, dtype=torch.uint8)
    square[0, 8:20, 8:20] = 255
    ink = [(warp(square, torch.tensor([[g, 0, g, 0, 0]]), 32) + 0.1).sum() for g in (0.8, 1.0, 1.4)]
    assert [(part / ink[1]).item() for part in ink] == pytest.approx([1 / 0.8**2, 1, 1 / 1.4**2], rel=0.05)


def test_shear_turns_about_the_middle_row() -> None:
    # With b = 2 the rows 15 and 16, half a pixel from the middle, move one pixel each.
    images = noise(2)
    before = pad(images, 32)
    after = warp(images, torch.tensor([[1.0, 2, 1, 0, 0]] * 2), 32)
    torch.testing.assert_close(after[..., 16, :-1], before[..., 16, 1:], atol=1e-5, rtol=0)
    torch.testing.assert_close(after[..., 15, 1:], before[..., 15, :-1], atol=1e-5, rtol=0)


def test_translation_moves_pixels() -> None:
    images = noise(2)
    after = warp(images, torch.tensor([[1.0, 0, 1, 2, -1]] * 2), 32)
    torch.testing.assert_close(after[..., 1:, :-2], pad(images, 32)[..., :-1, 2:], atol=1e-5, rtol=0)


def test_draws_are_uniform_in_their_ranges_and_independent() -> None:
    a, b, d, tx, ty = distortion(4000).affine(3).double().unbind(1)
    drawn = [(a * d).sqrt(), (a / d).sqrt(), b / d, tx, ty]
    ranges = [*RANGES.values(), RANGES["translation_pixels"]]
    for values, (low, high) in zip(drawn, ranges, strict=True):
        assert values.min() >= low - 1e-6
        assert values.max() <= high + 1e-6
        assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-4
    correlation = np.corrcoef(torch.stack(drawn)) - np.eye(5)
    assert np.abs(correlation).max() < 5 / 4000**0.5


def test_fresh_distortions_differ_by_epoch_presentation_and_seed() -> None:
    maps = torch.cat([distortion(20, versions=2, seed=seed).affine(epoch) for seed in range(3) for epoch in range(3)])
    assert len(maps.unique(dim=0)) == 3 * 3 * 40


def test_the_same_presentation_has_the_same_pixels_in_any_batch() -> None:
    presentations = torch.randperm(80, generator=torch.Generator().manual_seed(2))
    whole, labels = resident(versions=2)[4, presentations]
    for size in (1, 3, 7):
        pieces = [resident(versions=2)[4, piece] for piece in presentations.split(size)]
        assert torch.equal(torch.cat([images for images, _ in pieces]), whole)
        assert torch.equal(torch.cat([labels for _, labels in pieces]), labels)
    backwards, _ = resident(versions=2)[4, presentations.flip(0)]
    assert torch.equal(backwards.flip(0), whole)


def test_a_distortion_forgets_the_epoch_before() -> None:
    used, presentations = resident(), torch.arange(40)
    first = used[0, presentations][0]
    assert not torch.equal(used[1, presentations][0], first)
    assert torch.equal(used[0, presentations][0], first)


def test_the_pixels_are_the_same_with_any_number_of_workers() -> None:
    batches = BatchSampler(40, 16, order="fresh", versions=2, passes_per_epoch=2)
    results = []
    for num_workers in (0, 2):
        loader = DataLoader(resident(versions=2), batch_size=None, sampler=batches, num_workers=num_workers)
        for epoch in range(2):
            batches.set_epoch(epoch)
            results.append([torch.cat(parts) for parts in zip(*loader, strict=True)])
    assert results[0][0].shape == (80, 1, 32, 32)
    assert not torch.equal(results[0][0], results[1][0])
    for alone, with_workers in zip(results[:2], results[2:], strict=True):
        assert all(map(torch.equal, alone, with_workers))


def test_fixed_copies_begin_with_the_original_and_stay() -> None:
    digits = resident(versions=4, fixed=True)
    everything = torch.arange(160)
    images = digits[0, everything][0]
    torch.testing.assert_close(images[:40], pad(digits.images.pixels[:, 0], 32), atol=1e-5, rtol=0)
    assert len(images.flatten(1).unique(dim=0)) == 160
    for epoch in (1, 5):
        assert torch.equal(digits[epoch, everything][0], images)


def test_an_original_and_its_copies_are_each_shown_once_in_as_many_epochs() -> None:
    data = SmallImages(distortion="affine1998", distortion_copies=3, batch_size=100)
    data.setup()
    loader = data.train_dataloader()
    images = []
    for epoch in range(4):
        loader.sampler.set_epoch(epoch)
        images += [images for images, _ in loader]
        assert sum(map(len, images)) == 1437 * (epoch + 1)
    drawn = AffineDistortion(**RANGES, num_images=1437, versions=4, fixed=True, seeds=[0])
    everything = DistortedImages(data._splits["train"], 32, drawn)[0, torch.arange(4 * 1437)][0]
    by_ink = [torch.cat(part).flatten(1).double().sum(1).sort().values for part in (images, [everything])]
    assert torch.equal(*by_ink)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("scaling", (1.4, 0.8)),
        ("scaling", (0.0, 1.0)),
        ("squeezing", (-0.9, 1.1)),
        ("shear", (0.1, -0.1)),
        ("translation_pixels", (2, -2)),
    ],
)
def test_a_range_that_is_none_is_refused(name: str, bad: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=rf"distortion_{name}=\[{bad[0]}, {bad[1]}\] is no range") as refusal:
        AffineDistortion(**{**RANGES, name: bad}, num_images=1, versions=1, fixed=False, seeds=[0])
    assert "\n" not in str(refusal.value)


def test_elastic_fields_are_blurred_noise_times_34() -> None:
    # By the paper's own steps, with scipy's Gaussian, on a ground large enough that its edges do not matter.
    field = ElasticField(34, 4, 32)
    fields = field.displacement(field.draw(3000, torch.Generator().manual_seed(0)))
    assert fields.dtype == torch.float32
    assert fields.shape == (3000, 32, 32, 2)
    random = np.random.default_rng(0)
    blurred = [34 * ndimage.gaussian_filter(random.uniform(-1, 1, (80, 80)), 4)[24:56, 24:56] for _ in range(1500)]
    ours, theirs = fields[..., 0].double().numpy(), np.stack(blurred)
    assert ours.std() == pytest.approx(theirs.std(), rel=0.03)
    for down, across in [(0, 1), (0, 5), (4, 4), (8, 0), (0, 12)]:  # how alike the field is at some distance
        alike = [(each[:, 10, 10] * each[:, 10 + down, 10 + across]).mean() / each.var() for each in (ours, theirs)]
        assert alike[0] == pytest.approx(np.exp(-(down**2 + across**2) / (4 * 4**2)), abs=0.08)
        assert alike[1] == pytest.approx(alike[0], abs=0.12)
    assert abs((fields[..., 0] * fields[..., 1]).mean()) < 0.1  # the two directions know nothing of each other
    assert stats.kstest(ours[:, 16, 16] / ours.std(), "norm").pvalue > 1e-3


def test_few_coefficients_are_the_field_to_a_thousandth_of_a_pixel() -> None:
    field = ElasticField(34, 4, 32)
    distance = torch.arange(32)[:, None] - torch.arange(32)
    expected = (34 / 3**0.5 * torch.exp(-(distance**2) / 64.0) / (8 * torch.pi**0.5)).double()
    factor = field.factor.value.double()
    assert factor.shape[1] < 16
    missing = (expected.diagonal() - (factor @ factor.T).diagonal()).clamp(min=0)
    assert (missing * expected.diagonal()).sqrt().max() < 2e-3


def test_a_displaced_image_is_scipys() -> None:
    images = noise(4)
    displacement = 2 * torch.randn(4, 32, 32, 2, generator=torch.Generator().manual_seed(1))
    warped = warp(images, torch.tensor([IDENTITY] * 4), 32, displacement)[:, 0]
    rows, columns = np.mgrid[:32, :32].astype(np.float64)
    for image, (x, y), result in zip(images, displacement.movedim(-1, 1).numpy(), warped, strict=True):
        expected = ndimage.map_coordinates(
            padded_by_numpy(image), [rows + y, columns + x], order=1, mode="constant", cval=-0.1
        )
        np.testing.assert_allclose(result.numpy(), expected, atol=1e-3)


def test_elastic_images_are_those_of_their_presentation_in_any_batch() -> None:
    def elastic(fixed: bool = False) -> DistortedImages:
        drawn = AffineDistortion(
            **RANGES, num_images=40, versions=2, fixed=fixed, seeds=[0], elastic=ElasticField(34, 4, 32)
        )
        return DistortedImages(labelled(40), 32, drawn)

    presentations = torch.randperm(80, generator=torch.Generator().manual_seed(2))
    whole, _ = elastic()[4, presentations]
    pieces = [elastic()[4, piece][0] for piece in presentations.split(7)]
    torch.testing.assert_close(torch.cat(pieces), whole, atol=1e-5, rtol=0)
    assert not torch.allclose(whole, resident(versions=2)[4, presentations][0], atol=0.1)
    assert not torch.allclose(whole, elastic()[5, presentations][0], atol=0.1)
    originals, _ = elastic(fixed=True)[4, torch.arange(40)]
    torch.testing.assert_close(originals, pad(noise(40), 32), atol=1e-5, rtol=0)


def test_digits_are_distorted_elastically_where_that_is_said() -> None:
    affine, elastic = (SmallImages(distortion=kind, batch_size=50) for kind in ("affine1998", "elastic2003"))
    batches = []
    for datamodule in (affine, elastic):
        datamodule.setup("fit")
        batches.append(next(iter(datamodule.train_dataloader())))
    assert torch.equal(batches[0][1], batches[1][1])
    moved = (batches[0][0] - batches[1][0]).abs().mean()
    assert 0.02 < moved < 0.3
