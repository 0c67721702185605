"""The digits are split exactly, disjointly, and always in the same way."""

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cnnlit.data.small_images import SmallImages
from cnnlit.data.small_sets.sklearn_digits import read_digits
from cnnlit.data.transforms.evaluation_crops import Mirrored, Shifted

MNIST_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def digits(**options: Any) -> SmallImages:
    data = SmallImages(**options)
    data.prepare_data()
    data.setup()
    return data


def split(data: SmallImages, name: str) -> tuple[Tensor, Tensor]:
    """All images and labels that a loader yields."""
    loaders: Any = {
        "train": data.train_dataloader,
        "val": lambda: data.val_dataloader()[0],
        "test": data.test_dataloader,
    }
    images, labels = (torch.cat(parts) for parts in zip(*loaders[name](), strict=True))
    return images, labels


def contents(images: Tensor) -> Counter[bytes]:
    return Counter(image.numpy().tobytes() for image in images)


def test_the_digits_are_28_pixels_with_20_in_the_middle() -> None:
    for images, labels in (read_digits()[:2], read_digits()[2:]):
        assert images.dtype == torch.uint8
        assert labels.dtype == torch.int64
        assert images.shape == (len(labels), 28, 28)
        assert images.max() == 255
        edge = torch.ones(28, 28, dtype=torch.bool)
        edge[4:24, 4:24] = False
        assert not images[:, edge].any()


def test_the_splits_have_1257_180_and_360_images() -> None:
    data = digits(val_split=180, passes_per_epoch=1)
    assert data.num_images == {"train": 1257, "val": 180, "test": 360}
    for name, count in data.num_images.items():
        images, labels = split(data, name)
        assert images.shape == (count, 1, 32, 32)
        assert images.dtype == torch.float32
        assert labels.shape == (count,)


def test_the_splits_are_disjoint_and_complete() -> None:
    data = digits(val_split=180)
    parts = [contents(split(data, name)[0]) for name in ("train", "val", "test")]
    whole = digits()
    assert sum(parts, Counter()) == contents(split(whole, "train")[0]) + contents(split(whole, "test")[0])
    assert sum(sum(parts, Counter()).values()) == 1797
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]


def test_the_splits_are_stratified() -> None:
    data = digits(val_split=180)
    everything = torch.cat([split(data, name)[1] for name in ("train", "val", "test")]).bincount()
    for name, count in data.num_images.items():
        np.testing.assert_allclose(split(data, name)[1].bincount(), everything * count / 1797, atol=1.5)


def test_the_split_depends_on_split_seed_alone() -> None:
    def held_out(**options: Any) -> Tensor:
        return split(digits(val_split=180, **options), "val")[0]

    assert torch.equal(held_out(seed=0), held_out(seed=5, batch_size=32, order="constant", distortion="affine1998"))
    assert contents(held_out()) != contents(held_out(split_seed=1))
    test = split(digits(), "test")[0]
    assert torch.equal(split(digits(split_seed=1, seed=2, val_split=100), "test")[0], test)


def test_validation_and_test_are_in_order_and_undistorted() -> None:
    data = digits(val_split=180, eval_batch_size=70, distortion="affine1998")
    assert [len(labels) for _, labels in data.test_dataloader()] == [70] * 5 + [10]
    images, labels = split(data, "test")
    _, _, published, published_labels = read_digits()
    torch.testing.assert_close(images[:, 0, 2:-2, 2:-2], published / 255 * 1.275 - 0.1)
    assert torch.equal(labels, published_labels)
    assert torch.equal(data.test_images, published)
    assert torch.equal(split(data, "val")[0], split(data, "val")[0])


def test_images_keep_their_labels() -> None:
    images, labels, *_ = read_digits()
    label_of = {image.numpy().tobytes(): label.item() for image, label in zip(images, labels, strict=True)}
    shown, shown_labels = split(digits(val_split=180), "train")
    pixels = ((shown[:, 0, 2:-2, 2:-2] + 0.1) / 1.275 * 255).round().to(torch.uint8)
    assert [label_of[image.numpy().tobytes()] for image in pixels] == shown_labels.tolist()


def test_without_a_validation_split_there_is_no_loader() -> None:
    data = digits(val_split=0)
    assert data.num_images == {"train": 1437, "val": 0, "test": 360}
    assert data.val_dataloader() == []


def test_distorted_passes_show_every_image_as_often_and_each_time_otherwise() -> None:
    data = digits(val_split=180, passes_per_epoch=3, distortion="affine1998", batch_size=500)
    images, labels = split(data, "train")
    assert torch.equal(labels.bincount(), 3 * split(digits(val_split=180), "train")[1].bincount())
    assert len(contents(images)) == 3 * 1257


def test_the_curvature_sample_is_drawn_anew_each_epoch_from_the_training_images() -> None:
    data = digits(val_split=180)
    sample, labels = data.curvature_sample(500, 2)
    assert sample.shape == (500, 1, 32, 32)
    assert labels.shape == (500,)
    assert contents(sample) <= contents(split(data, "train")[0])
    assert torch.equal(data.curvature_sample(500, 2)[0], sample)
    assert contents(data.curvature_sample(500, 3)[0]) != contents(sample)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"batch_size": 1258, "val_split": 180}, "recipe.batch_size=1258 is more than the 1257 training images"),
        ({"val_split": 9}, "data.val_split=9"),
        ({"val_split": 1430}, "data.val_split=1430"),
        ({"val_split": 5000}, "data.val_split=5000"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_in_one_line(options: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named) as refusal:
        digits(**options)
    assert "\n" not in str(refusal.value)


def test_the_largest_sizes_that_fit_are_accepted() -> None:
    assert digits(batch_size=1257, val_split=180).num_images["train"] == 1257
    assert digits(val_split=1427, batch_size=10).num_images["train"] == 10
    assert digits(val_split=10).num_images["val"] == 10


def test_mnist_has_55000_5000_and_10000_images(real_mnist: Path) -> None:
    data = digits(source="mnist", root=str(real_mnist), val_split=5000)
    assert data.num_images == {"train": 55_000, "val": 5_000, "test": 10_000}
    labels = [data._splits[name].labels.bincount() for name in ("train", "val")]
    assert (labels[0] + labels[1]).tolist() == MNIST_COUNTS
    np.testing.assert_allclose(labels[1], np.array(MNIST_COUNTS) / 12, atol=1)
    assert not contents(data._splits["train"].pixels) & contents(data._splits["val"].pixels)


def test_a_test_by_shifts_shows_each_digit_in_nine_places() -> None:
    plain, answers = split(digits(), "test")
    data = digits(eval_batch_size=100, views=[Shifted(pixels=1)])
    views, labels = zip(*data.test_dataloader(), strict=True)
    assert torch.equal(torch.cat(labels), answers)
    assert all(len(images) <= 100 for [(images, _)] in views), "as many at a time as without views"
    shown = torch.cat([images[places.argsort()] for [(images, places)] in views]).view(-1, 3, 3, 1, 32, 32)
    assert torch.equal(shown[:, 1, 1], plain)
    for down, right in itertools.product(range(3), range(3)):
        moved = functional.pad(plain, (1, 1, 1, 1), value=-0.1)[..., down : down + 32, right : right + 32]
        torch.testing.assert_close(shown[:, down, right], moved)


def test_views_that_show_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"protocol\.views shows nothing"):
        SmallImages(views=[Mirrored()])
