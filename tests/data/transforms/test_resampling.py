"""Pixels are PIL's, wherever they are computed, and exact where nothing is resampled."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cnnlit.data.transforms.geometry import Windows
from cnnlit.data.transforms.resampling import copies, copy, resample, show

BOXES = {
    "magnified": (5.3, 2.1, 40.7, 30.9),
    "reduced": (0.0, 0.0, 64.0, 48.0),
    "mirrored": (60.25, 3.5, 10.75, 40.0),
    "wide": (0.5, 20.0, 63.5, 31.0),
    "over an edge": (-6.5, -3.25, 30.0, 20.0),
    "over all edges": (-8.0, -8.0, 72.0, 56.0),
    "mirrored over an edge": (70.5, 5.0, 30.5, 45.0),
}


def images(count: int, height: int = 48, width: int = 64) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, height, width), generator=random, dtype=torch.uint8)


def windows(*boxes: tuple[float, ...], size: tuple[int, int] = (24, 32)) -> Windows:
    uncut = torch.tensor([-torch.inf, -torch.inf, torch.inf, torch.inf]).expand(len(boxes), 4)
    return Windows(torch.tensor(boxes, dtype=torch.float64), torch.tensor([size]).expand(len(boxes), 2).double(), uncut)


def by_pil(image: Tensor, box: tuple[float, ...], size: tuple[int, int]) -> Tensor:
    """The window as PIL sees it on an image with wide black borders where it reaches over, mirrored by hand."""
    left, top, right, bottom = box
    pil = Image.fromarray(image.movedim(0, 2).numpy())
    near, far = min(left, right), max(left, right)
    over = [40 * (near < 0), 40 * (top < 0), 40 * (far > pil.width), 40 * (bottom > pil.height)]
    wide = Image.new("RGB", (pil.width + over[0] + over[2], pil.height + over[1] + over[3]))
    wide.paste(pil, (over[0], over[1]))
    seen_box = (near + over[0], top + over[1], far + over[0], bottom + over[1])
    seen = wide.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=seen_box)
    pixels = np.asarray(seen)
    return torch.from_numpy(pixels[:, ::-1].copy() if left > right else pixels.copy()).movedim(2, 0)


@pytest.mark.parametrize("size", [(24, 32), (60, 50), (7, 9)])
@pytest.mark.parametrize("name", BOXES)
def test_resident_images_are_resampled_as_pil_does(name: str, size: tuple[int, int]) -> None:
    (image,) = images(1)
    (ours,) = resample(image[None], windows(BOXES[name], size=size))
    # PIL rounds after each of its two passes.
    assert (ours - by_pil(image, BOXES[name], size).float()).abs().max() <= 1.01


@pytest.mark.parametrize("size", [(24, 32), (60, 50)])
@pytest.mark.parametrize("name", BOXES)
def test_a_decoded_image_is_resampled_as_a_resident_one(name: str, size: tuple[int, int]) -> None:
    (image,) = images(1)
    window = windows(BOXES[name], size=size)
    shown = show(image.movedim(0, 2).numpy(), window.box[0], window.size[0], window.cut[0])
    ours = resample(image[None], window)[0].movedim(0, 2)
    assert (ours - torch.from_numpy(shown.copy()).float()).abs().max() <= 1.01


def test_what_one_window_shows_does_not_depend_on_the_others() -> None:
    boxes = list(BOXES.values())
    batch = images(len(boxes))
    together = resample(batch, windows(*boxes))
    for number, box in enumerate(boxes):
        alone = resample(batch[number : number + 1], windows(box))
        torch.testing.assert_close(together[number : number + 1], alone, atol=1e-4, rtol=0)


def test_the_whole_image_at_its_own_size_is_the_image() -> None:
    batch = images(3)
    assert resample(batch, windows(*[(0, 0, 64, 48)] * 3, size=(48, 64))) is batch


def test_whole_pixels_are_moved_exactly_and_black_beyond() -> None:
    batch = images(4, 10, 12)
    boxes = [(2, 3, 8, 9), (-3, -2, 3, 4), (8, 1, 2, 7), (15, 7, 9, 13)]  # the latter two are mirrored
    shown = resample(batch, windows(*boxes, size=(6, 6)))
    assert shown.dtype == torch.uint8
    for number, (left, top, right, _) in enumerate(boxes):
        for y in range(6):
            for x in range(6):
                column, row = (left + x if left < right else left - 1 - x), top + y
                inside = 0 <= column < 12 and 0 <= row < 10
                expected = batch[number, :, row, column] if inside else torch.zeros(3, dtype=torch.uint8)
                assert torch.equal(shown[number, :, y, x], expected)


def test_the_same_window_for_all_is_computed_once_and_alike() -> None:
    batch = images(3)
    box: Any = (3.5, 2.5, 50.0, 40.0)
    same = resample(batch, windows(box, box, box))
    other = resample(batch, windows(box, (0.5, 0.5, 20.0, 20.0), box))
    torch.testing.assert_close(same[[0, 2]], other[[0, 2]], atol=1e-4, rtol=0)


def test_a_photograph_is_shown_as_pil_shows_it_whatever_the_window(real_photographs: list[Path]) -> None:
    image = np.array(Image.open(real_photographs[3]).convert("RGB"))
    height, width = image.shape[:2]
    step = height / 256
    boxes = {
        "at whole pixels of the result": (7 * step, 20 * step, 231 * step, 244 * step),
        "the same mirrored": (231 * step, 20 * step, 7 * step, 244 * step),
        "at whole pixels of the image": (31.0, 12.0, 200.0, 111.0),
        "magnified": (31.0, 12.0, 90.0, 61.0),
        "one at each": (31.0, 20 * step, 200.0, 244 * step),
        "anywhere": (31.3, 12.7, 200.1, 111.9),
        "as many pixels there as here": (10.0, 10.0, 232.0, 232.5),
        "to the end": (width - 224 * step, height - 224 * step, width, height),
        "one pixel": (5.0, 5.0, 6.0, 6.0),
    }
    for name, box in boxes.items():
        window = windows(box, size=(224, 224))
        shown = show(image, window.box[0], window.size[0], window.cut[0])
        expected = by_pil(torch.from_numpy(image).movedim(2, 0), box, (224, 224)).movedim(0, 2)
        assert np.abs(shown.astype(int) - expected.numpy()).max() <= 2, name


@pytest.mark.parametrize("height", [1, 2, 3, 40])
@pytest.mark.parametrize("width", [1, 2, 3, 40])
def test_the_smallest_images_are_shown_too(height: int, width: int) -> None:
    (image,) = images(1, height, width)
    for box in ((0.0, 0.0, float(width), float(height)), (width - 1.0, height - 1.0, float(width), float(height))):
        for size in ((1, 1), (1, 7), (5, 1), (24, 32)):
            window = windows(box, size=size)
            shown = show(image.movedim(0, 2).contiguous().numpy(), window.box[0], window.size[0], window.cut[0])
            expected = by_pil(image, box, size).movedim(0, 2)
            assert np.abs(shown.astype(int) - expected.numpy()).max() <= 2, (box, size)


def test_whole_pixels_are_cut_out_as_they_are() -> None:
    (image,) = images(1)
    window = windows((5.0, 3.0, 37.0, 27.0))
    shown = show(image.movedim(0, 2).numpy(), window.box[0], window.size[0], window.cut[0])
    assert np.array_equal(shown, image[:, 3:27, 5:37].movedim(0, 2).numpy())


@pytest.mark.parametrize("name", BOXES)
def test_a_grey_image_is_resampled_as_one_of_three_channels(name: str) -> None:
    given = images(2)
    shown = resample(given, windows(BOXES[name], BOXES[name]))
    assert torch.equal(resample(given[:, 1:2], windows(BOXES[name], BOXES[name])), shown[:, 1:2])


def test_copied_windows_of_chosen_images_are_the_resampled_ones() -> None:
    given, chosen = images(5), torch.tensor([4, 0, 4, 2])
    boxes = [(-4.0, -4.0, 28.0, 20.0), (30.0, 2.0, -2.0, 26.0), (90.0, 60.0, 122.0, 84.0), (68.0, 28.0, 36.0, 52.0)]
    seen = windows(*boxes)
    assert copies(seen)
    assert torch.equal(copy(given, chosen, seen.box.long(), 24, 32), resample(given[chosen], seen))
    assert not copies(windows(BOXES["magnified"]))
