"""The views of a test are those of the papers, image by image and pixel by pixel."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional as torchvision

from cnnlit.data.image_folders import ImageNet
from cnnlit.data.images import ImageData
from cnnlit.data.images_in_memory import SyntheticImages
from cnnlit.data.loading.image_set import LoadedImages
from cnnlit.data.loading.multi_view import ViewBatch, ViewsInMemory
from cnnlit.data.transforms.colours import PCAColour
from cnnlit.data.transforms.evaluation_crops import FiveCrops, Grid, Mirrored, Scales, ThreeSquares, Uncropped, ViewPlan
from cnnlit.data.transforms.geometry import CenterCrop, Flip, RandomCrop, ShorterSide

TEN = (ShorterSide(pixels=256), CenterCrop(pixels=256), FiveCrops(pixels=224), Mirrored())
GOOGLENET = (Scales(pixels=[256, 288, 320, 352]), ThreeSquares(), FiveCrops(pixels=224, whole=True), Mirrored())
VGG = (Scales(pixels=[256, 384, 512]), Grid(pixels=224), Mirrored())
DENSE = (Scales(pixels=[256, 384]), Mirrored(), Uncropped(pixels=224))
PROTOCOLS: dict[str, Any] = {"ten": TEN, "googlenet": GOOGLENET, "vgg": VGG, "dense": DENSE}


def windows(steps: Any, height: int, width: int, image_size: int = 224) -> tuple[np.ndarray, np.ndarray]:
    seen = ViewPlan(steps, image_size=image_size).windows(torch.tensor([[height, width]]))
    return seen.box.numpy(), seen.size.numpy()


@pytest.mark.parametrize(("name", "count"), [("ten", 10), ("googlenet", 144), ("vgg", 150), ("dense", 4)])
def test_a_protocol_has_the_papers_number_of_views(name: str, count: int) -> None:
    views = ViewPlan(PROTOCOLS[name], image_size=64)
    assert views.num_views == count
    assert len(views.windows(torch.tensor([[375, 500], [500, 400], [64, 64]])).box) == 3 * count


def test_the_views_of_an_image_follow_one_another_whatever_the_others() -> None:
    views = ViewPlan(GOOGLENET, image_size=64)
    sizes = torch.tensor([[375, 500], [500, 400], [64, 64]])
    together = views.windows(sizes)
    for number in range(3):
        alone = views.windows(sizes[number : number + 1])
        part = slice(144 * number, 144 * (number + 1))
        assert torch.equal(together.box[part], alone.box)
        assert torch.equal(together.size[part], alone.size)


def googlenet_by_hand(height: int, width: int) -> tuple[list[tuple[float, ...]], list[int]]:
    """Boxes in the image's own pixels, one by one as Sec. 7 tells it, and the side of what was cut out."""
    boxes, sides = [], []
    for scale in (256, 288, 320, 352):
        shorter = min(height, width)
        high, wide = height * scale // shorter, width * scale // shorter
        for square in range(3):
            x = [0, round((wide - scale) / 2), wide - scale][square] if wide > high else 0
            y = [0, round((high - scale) / 2), high - scale][square] if high >= wide else 0
            end, middle = scale - 224, round((scale - 224) / 2)
            crops = [(0, 0, 224), (end, 0, 224), (0, end, 224), (end, end, 224), (middle, middle, 224), (0, 0, scale)]
            for left, top, side in crops:
                near, far = (x + left) * width / wide, (x + left + side) * width / wide
                for first, last in ((near, far), (far, near)):
                    boxes.append((first, (y + top) * height / high, last, (y + top + side) * height / high))
                    sides.append(side)
    return boxes, sides


@pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 375), (333, 500), (256, 256)])
def test_googlenets_144_are_those_of_a_loop(height: int, width: int) -> None:
    box, size = windows(GOOGLENET, height, width)
    expected, sides = googlenet_by_hand(height, width)
    assert sides.count(224) == 120
    np.testing.assert_allclose(box, expected, atol=1e-4)
    assert (size == 224).all()


def test_vggs_grid_reaches_from_edge_to_edge_in_equal_steps() -> None:
    box, _ = windows((ShorterSide(pixels=384), Grid(pixels=224)), 384, 512)
    expected = [(x, y, x + 224, y + 224) for y in (0, 40, 80, 120, 160) for x in (0, 72, 144, 216, 288)]
    assert box.tolist() == [list(map(float, each)) for each in expected]


def test_uncropped_views_are_whole_and_of_the_scaled_size() -> None:
    box, size = windows(DENSE, 375, 500)
    assert box.tolist() == [[0, 0, 500, 375], [500, 0, 0, 375]] * 2
    assert size.tolist() == [[256, 341]] * 2 + [[384, 512]] * 2


def test_sizes_are_in_proportion_to_the_networks() -> None:
    _, size = windows(DENSE, 64, 80, image_size=64)
    assert size.tolist() == [[73, 91]] * 2 + [[110, 137]] * 2
    for name in ("ten", "googlenet", "vgg"):
        assert (windows(PROTOCOLS[name], 64, 80, image_size=64)[1] == 64).all()


def test_the_work_of_a_protocol_is_counted_in_images() -> None:
    assert ViewPlan(TEN, image_size=224).relative_pixels == 10
    assert ViewPlan(DENSE, image_size=224).relative_pixels == pytest.approx(2 * (256**2 + 384**2) / 224**2)


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ((RandomCrop(pixels=8),), "protocol.views: RandomCrop is random; a test must not be"),
        ((CenterCrop(pixels=8), Flip()), "protocol.views: Flip is random"),
        (
            (CenterCrop(pixels=8), PCAColour()),
            "PCAColour is no view of images; see transforms.evaluation_crops and .geometry",
        ),
        ((Scales(pixels=[8, 9]), Mirrored()), "ends with Scales; end with a crop, or with Uncropped"),
        ((Mirrored(),), "protocol.views shows nothing; end with a crop"),
    ],
)
def test_what_is_no_test_is_refused_in_one_line(steps: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refusal:
        ViewPlan(steps, image_size=8)
    assert "\n" not in str(refusal.value)


# Pixels


def in_views(viewed: ViewBatch, count: int) -> list[Tensor]:
    """The views of a batch by their number."""
    found: dict[int, Tensor] = {}
    for images, places in viewed.groups:
        assert not found.keys() & set(places.tolist())
        found |= dict(zip(places.tolist(), images, strict=True))
    assert sorted(found) == list(range(count * len(viewed.labels)))
    return [found[number] for number in range(len(found))]


def photographed(root: Path, steps: Any, **options: Any) -> ImageNet:
    data = ImageNet(root=str(root), num_classes=3, batch_size=1, num_workers=0, views=steps, **options)
    data.setup()
    return data


def views_of(data: ImageData[Any]) -> list[Tensor]:
    """All views of the test, one after the other."""
    assert data._views is not None
    shown = [in_views(batch, data._views.num_views) for batch in data.test_dataloader()]
    return [view for batch in shown for view in batch]


def test_ten_crops_of_photographs_are_torchvisions(photographs: Path) -> None:
    views = views_of(photographed(photographs, TEN, image_size=224))
    paths = sorted((photographs / "val").rglob("*.JPEG"))
    assert len(views) == 10 * len(paths)
    for number, path in enumerate(paths):
        square = torchvision.center_crop(torchvision.resize(Image.open(path), [256]), [256])
        expected = torchvision.ten_crop(square, [224])
        # torchvision mirrors the image and then cuts: its mirrored left corners are our right ones.
        order = [0, 6, 1, 5, 2, 8, 3, 7, 4, 9]
        for view, place in zip(views[10 * number : 10 * number + 10], order, strict=True):
            pixels = torchvision.pil_to_tensor(expected[place]).int()
            assert (view.int() - pixels).abs().max() <= 1


def test_dense_views_of_photographs_are_the_resized_photographs(photographs: Path) -> None:
    views = views_of(photographed(photographs, DENSE, image_size=224))
    for number, path in enumerate(sorted((photographs / "val").rglob("*.JPEG"))):
        for scale, pixels in enumerate((256, 384)):
            expected = torchvision.pil_to_tensor(torchvision.resize(Image.open(path), [pixels])).int()
            whole, mirrored = views[4 * number + 2 * scale : 4 * number + 2 * scale + 2]
            assert (whole.int() - expected).abs().max() <= 1
            assert (mirrored.int() - expected.flip(2)).abs().max() <= 1


@pytest.mark.parametrize("name", PROTOCOLS)
def test_loaded_and_decoded_images_are_viewed_alike(tmp_path: Path, draw: Any, name: str) -> None:
    for split in ("train", "val"):
        for label in range(3):
            (tmp_path / split / f"n0000000{label}").mkdir(parents=True)
            draw(64, 64, seed=label).save(tmp_path / split / f"n0000000{label}" / "a.png")
    decoded = photographed(tmp_path, PROTOCOLS[name], image_size=32)
    paths = sorted((tmp_path / "val").rglob("*.png"))
    pixels = torch.stack([torchvision.pil_to_tensor(Image.open(path)) for path in paths])
    loaded = ViewsInMemory(LoadedImages(pixels, torch.arange(3)), ViewPlan(PROTOCOLS[name], image_size=32))
    viewed = loaded[0, torch.arange(3)]
    assert viewed.labels.tolist() == [0, 1, 2]
    for one, other in zip(views_of(decoded), in_views(viewed, loaded.views.num_views), strict=True):
        assert (one.float() - other.float()).abs().max() <= 1.01


def test_the_view_of_the_validation_spelt_out_is_the_view_of_the_validation(photographs: Path) -> None:
    alexnet = (ShorterSide(pixels=256), CenterCrop(pixels=256), RandomCrop(pixels=224), Flip())
    spelt = (ShorterSide(pixels=256), CenterCrop(pixels=256), CenterCrop(pixels=224))
    views = views_of(photographed(photographs, spelt, image_size=24))
    default = photographed(photographs, None, image_size=24, augmentation=alexnet)
    expected = torch.cat([batch.images for batch in default.test_dataloader()])
    assert torch.equal(torch.stack(views), expected)


@pytest.mark.parametrize("eval_batch_size", [1, 7, 25, 2500])
@pytest.mark.parametrize("name", ["ten", "dense"])
def test_a_step_has_no_more_views_than_its_batch_size_and_each_image_comes_once(
    name: str, eval_batch_size: int
) -> None:
    data = SyntheticImages(
        drawn_images=60, num_classes=5, image_size=24, views=PROTOCOLS[name], eval_batch_size=eval_batch_size
    )
    data.hparams["batch_size"] = 1
    data.setup()
    batches = list(data.test_dataloader())
    assert torch.equal(torch.cat([batch.labels for batch in batches]), data._splits["test"].labels)
    for batch in batches:
        pixels = sum(images[:, 0].numel() for images, _ in batch.groups)
        assert pixels <= max(eval_batch_size, data._views.relative_pixels) * 24**2  # type: ignore[union-attr]


def test_a_share_of_no_images_is_empty(photographs: Path) -> None:
    nothing = torch.empty(0, dtype=torch.long)
    for data in (photographed(photographs, TEN), SyntheticImages(drawn_images=60, batch_size=1, views=TEN)):
        data.setup()
        assert data._views is not None
        viewed = data._several_views(data._splits["test"], data._views)[0, nothing]
        assert viewed.groups == []
        assert len(viewed.labels) == 0
        assert len(data._augmented("test", data._evaluation)[0, nothing][0]) == 0


def test_of_views_of_another_size_the_mean_colour_of_the_mean_image_is_subtracted() -> None:
    data = SyntheticImages(drawn_images=60, batch_size=1, image_size=24, views=DENSE, normalization="mean_image")
    data.setup()
    (viewed, *_) = data.test_dataloader()
    mean = data._normalize.mean_image
    assert mean is not None
    finished, _ = data.on_after_batch_transfer(viewed, 0)
    for (images, _), (before, _) in zip(finished, viewed.groups, strict=True):
        assert images.shape[2] != 24
        torch.testing.assert_close(images, before - mean.mean(dim=(1, 2), keepdim=True))
