"""Windows are the crops that torchvision cuts, and chance is as the papers have it."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import stats
from torch import Tensor
from torchvision.transforms import RandomResizedCrop as TorchvisionRandomResizedCrop
from torchvision.transforms import functional as torchvision

from cnnlit.data.transforms.geometry import (
    CenterCrop,
    Flip,
    Geometry,
    RandomCrop,
    RandomResizedCrop,
    ShorterSide,
    TenPositions,
    Windows,
)
from cnnlit.data.transforms.random_numbers import uniform
from cnnlit.data.transforms.resampling import resample, show

SIZES = [(97, 60), (60, 97), (500, 375), (333, 251), (256, 256), (41, 300)]  # width, height


def after(image: Image.Image, *steps: Geometry, draws: list[float] | None = None, factor: float = 1) -> NDArray[Any]:
    """The pixels that one image shows after the steps, each of which is given its share of the draws."""
    windows = Windows.whole(torch.tensor([[image.height, image.width]]))
    remaining = draws or []
    for step in steps:
        drawn, remaining = remaining[: step.num_draws], remaining[step.num_draws :]
        windows = step(windows, torch.tensor([drawn], dtype=torch.float64), factor)
    windows = windows._replace(box=(windows.box * 65536).round() / 65536)
    return show(np.asarray(image), windows.box[0], windows.size[0], windows.cut[0])


def difference(shown: NDArray[Any], expected: Image.Image) -> int:
    assert shown.shape == np.asarray(expected).shape
    return int(np.abs(shown.astype(int) - np.asarray(expected).astype(int)).max())


@pytest.mark.parametrize("size", SIZES)
def test_shorter_side_is_torchvisions_resize(draw: Any, size: tuple[int, int]) -> None:
    for pixels in (64, 50, 100):
        image = draw(*size)
        assert difference(after(image, ShorterSide(pixels=pixels)), torchvision.resize(image, [pixels])) <= 1


@pytest.mark.parametrize("size", SIZES)
def test_shorter_side_and_center_crop_are_torchvisions(draw: Any, size: tuple[int, int]) -> None:
    image = draw(*size)
    expected = torchvision.center_crop(torchvision.resize(image, [73]), [64])
    assert difference(after(image, ShorterSide(pixels=73), CenterCrop(pixels=64)), expected) <= 1


def test_a_center_crop_of_a_smaller_image_is_bordered_in_black(draw: Any) -> None:
    image = draw(40, 70)
    assert difference(after(image, CenterCrop(pixels=60)), torchvision.center_crop(image, [60])) == 0


def test_the_longer_side_is_in_proportion_and_rounded_down() -> None:
    sizes = torch.tensor([[375, 500], [500, 375], [256, 256], [100, 301]])
    windows = ShorterSide(pixels=256)(Windows.whole(sizes), torch.empty(4, 0), 1)
    assert windows.size.tolist() == [[256, 341], [341, 256], [256, 256], [256, 770]]


def test_all_lengths_of_a_range_are_as_frequent_and_none_beyond() -> None:
    uniform = ((torch.arange(2250) + 0.5) / 2250)[:, None].double()
    windows = ShorterSide(pixels=[256, 480])(Windows.whole(torch.full((2250, 2), 300)), uniform, 1)
    lengths, counts = windows.size[:, 0].unique(return_counts=True)
    assert lengths.tolist() == list(range(256, 481))
    assert counts.tolist() == [10] * 225


def test_alexnets_crops_are_torchvisions(draw: Any) -> None:
    image = draw(500, 375)
    square = torchvision.center_crop(torchvision.resize(image, [256]), [256])
    for vertical, horizontal, top, left in [(0.0, 0.0, 0, 0), (1 - 1e-9, 0.5, 32, 16), (0.1, 0.9, 3, 29)]:
        shown = after(
            image,
            ShorterSide(pixels=256),
            CenterCrop(pixels=256),
            RandomCrop(pixels=224),
            draws=[vertical, horizontal],
        )
        assert difference(shown, torchvision.crop(square, top, left, 224, 224)) <= 1


def test_a_random_crop_is_anywhere_as_often() -> None:
    uniform = torch.rand(33 * 33 * 50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    windows = RandomCrop(pixels=224)(Windows.whole(torch.full((len(uniform), 2), 256)), uniform, 1)
    left, top, right, bottom = windows.box.long().unbind(1)
    assert torch.equal(windows.box, windows.box.floor())
    assert bool((right - left == 224).all())
    assert bool((bottom - top == 224).all())
    assert windows.box.min() == 0
    assert windows.box.max() == 256
    assert stats.chisquare((top * 33 + left).bincount(minlength=33 * 33)).pvalue > 1e-3


def test_a_padded_crop_is_torchvisions_with_black(draw: Any) -> None:
    image = draw(32, 32)
    padded = torchvision.pad(image, [4])
    for (vertical, top), (horizontal, left) in zip([(0.0, 0), (0.99, 8)], [(0.5, 4), (0.2, 1)], strict=True):
        shown = after(image, RandomCrop(pixels=32, padding=4), draws=[vertical, horizontal])
        assert difference(shown, torchvision.crop(padded, top, left, 32, 32)) == 0


def test_the_ten_positions_are_torchvisions_ten_crops(draw: Any) -> None:
    image = draw(60, 50)  # of odd sizes the middle of the mirrored one lies a pixel beside
    shown = {after(image, TenPositions(pixels=24), draws=[place / 10 + 0.01]).tobytes() for place in range(10)}
    assert shown == {np.asarray(crop).tobytes() for crop in torchvision.ten_crop(image, [24])}


def test_a_flip_is_left_for_right_in_half_of_the_cases(draw: Any) -> None:
    image = draw(30, 20)
    assert difference(after(image, Flip(), draws=[0.49]), torchvision.hflip(image)) == 0
    assert difference(after(image, Flip(), draws=[0.5]), image) == 0


def test_a_crop_of_a_mirrored_image_is_counted_from_its_own_left(draw: Any) -> None:
    image = draw(50, 40)
    shown = after(image, Flip(), RandomCrop(pixels=20), draws=[0.0, 0.0, 0.0])
    assert difference(shown, torchvision.crop(torchvision.hflip(image), 0, 0, 20, 20)) == 0


def random_resized(count: int, height: int, width: int, **options: Any) -> Tensor:
    """Boxes (top, left, height, width) of random resized crops."""
    step = RandomResizedCrop(pixels=224, **options)
    uniform = torch.rand(count, step.num_draws, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    windows = step(Windows.whole(torch.tensor([[height, width]]).expand(count, 2)), uniform, 1)
    assert bool((windows.size == 224).all())
    left, top, right, bottom = windows.box.unbind(1)
    return torch.stack([top, left, bottom - top, right - left], dim=1)


@pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 500), (500, 200)])
def test_random_resized_crops_are_distributed_as_torchvisions(height: int, width: int) -> None:
    ours = random_resized(4000, height, width)
    torch.manual_seed(1)
    blank = torch.empty(3, height, width)
    theirs = torch.tensor(
        [TorchvisionRandomResizedCrop.get_params(blank, [0.08, 1.0], [0.75, 4 / 3]) for _ in range(4000)]
    ).double()
    assert bool(((ours[:, :2] >= 0) & (ours[:, :2] + ours[:, 2:] <= torch.tensor([height, width]))).all())
    quantities = [*range(4), lambda box: box[:, 2] * box[:, 3], lambda box: box[:, 3] / box[:, 2]]
    for quantity in quantities:
        a, b = (box[:, quantity] if isinstance(quantity, int) else quantity(box) for box in (ours, theirs))
        assert stats.ks_2samp(a.numpy(), b.numpy()).pvalue > 1e-3


@pytest.mark.parametrize(("height", "width"), [(400, 30), (30, 400)])
def test_a_random_resized_crop_that_fits_nowhere_is_the_largest_in_the_middle(height: int, width: int) -> None:
    options: Any = {"area": (1.0, 1.0)}
    blank = torch.empty(3, height, width)
    expected = TorchvisionRandomResizedCrop.get_params(blank, [1.0, 1.0], [0.75, 4 / 3])
    assert random_resized(1, height, width, **options)[0].tolist() == list(expected)


def test_pixels_of_a_random_resized_crop_are_torchvisions(draw: Any) -> None:
    image = draw(300, 200)
    draws = [0.3] * 10 + [0.6] * 10 + [0.4, 0.7]
    windows = RandomResizedCrop(pixels=64)(Windows.whole(torch.tensor([[200, 300]])), torch.tensor([draws]).double(), 1)
    left, top, right, bottom = (int(edge) for edge in windows.box[0])
    cut = image.crop((left, top, right, bottom)).resize((64, 64), Image.Resampling.BILINEAR)
    shown = after(image, RandomResizedCrop(pixels=64), draws=draws)
    # At its edges torchvision's sees nothing beyond the crop, where there is an image.
    assert difference(shown[1:-1, 1:-1], cut.crop((1, 1, 63, 63))) <= 1


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (ShorterSide(pixels=256), [(ShorterSide, (256, 256))]),
        (ShorterSide(pixels=[256, 512]), [(ShorterSide, (384, 384))]),
        (RandomCrop(pixels=32, padding=4), [(CenterCrop, 32)]),
        (TenPositions(pixels=224), [(CenterCrop, 224)]),
        (RandomResizedCrop(pixels=224), [(ShorterSide, (256, 256)), (CenterCrop, 224)]),
        (Flip(), []),
    ],
    ids=lambda value: type(value).__name__,
)
def test_evaluation_is_without_chance(step: Geometry, expected: Any) -> None:
    steps: list[Any] = step.for_evaluation()
    assert [
        (type(each), (each.low, each.high) if isinstance(each, ShorterSide) else each.crop_pixels) for each in steps
    ] == expected
    assert all(each.num_draws == 0 for each in steps)


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (lambda: ShorterSide(pixels=[480, 256]), r"ShorterSide: pixels=\[480, 256\] is no range"),
        (lambda: RandomResizedCrop(pixels=224, area=[0.5, 0.1]), r"RandomResizedCrop: area=\[0.5, 0.1\] is no range"),
        (lambda: RandomResizedCrop(pixels=224, area=[0.5, 1.1]), r"RandomResizedCrop: area=\[0.5, 1.1\] is no range"),
        (lambda: RandomResizedCrop(pixels=9, aspect_ratio=[2, 1]), r"RandomResizedCrop: aspect_ratio=\[2, 1\] is no"),
    ],
)
def test_what_is_no_range_is_refused(step: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        step()


def test_a_random_resized_crop_is_cut_out_and_then_resized_as_torchvision_does() -> None:
    noise = torch.randint(0, 256, (90, 130, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    step, presentations = RandomResizedCrop(pixels=32), torch.arange(12)
    windows = step(Windows.whole(torch.tensor([[90, 130]]).expand(12, 2)), uniform(presentations, step.num_draws, 0), 1)
    assert windows.cut.isfinite().all()
    for window, (left, top, right, bottom) in enumerate(windows.box.tolist()):
        image = Image.fromarray(noise.numpy())
        place = int(top), int(left), int(bottom - top), int(right - left)
        expected = np.asarray(torchvision.resized_crop(image, *place, [32, 32])).astype(int)
        alone = Windows(*(part[window : window + 1] for part in windows))
        shown = show(noise.numpy(), *(part[0] for part in alone))
        assert abs(shown - expected).max() <= 1
        resident = resample(noise.movedim(2, 0)[None], alone)[0].movedim(0, 2)
        assert abs(resident.numpy() - expected).max() <= 1
