"""CIFAR on the device: cropped and mirrored as the paper says, the same split for every seed, seeds as each alone."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cnnlit.data.loading.image_set import LoadedImages
from cnnlit.data.small_images import SmallImages
from cnnlit.data.small_sets.contents import Contents
from cnnlit.data.transforms.geometry import Flip, RandomCrop

RECIPE = (RandomCrop(pixels=32, padding=4), Flip())


class Made(SmallImages):
    """CIFAR-10 of 200 and 40 random images."""

    def _read_whole(self) -> Contents:
        random = torch.Generator().manual_seed(0)
        parts = [
            LoadedImages(torch.randint(1, 256, (count, 3, 32, 32), generator=random, dtype=torch.uint8),
                         torch.arange(count) % 10)
            for count in (200, 40)
        ]  # fmt: skip
        return Contents(*parts)


def made(replicas: int = 1, **options: Any) -> Made:
    chosen: Any = {"source": "cifar10", "in_channels": 3, "batch_size": 50, "val_split": 20, "augmentation": RECIPE}
    data = Made(**chosen | {"normalization": "mean_image"} | options)
    data.replicas = replicas
    data.setup()
    return data


def shown(data: Made, epoch: int = 0) -> tuple[Tensor, Tensor]:
    loader: Any = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    images, labels = (torch.cat(parts) for parts in zip(*loader, strict=True))
    return images, labels


def test_every_presentation_is_a_crop_of_the_padded_image_and_half_are_mirrored() -> None:
    data = made()
    images, _ = shown(data)
    loader: Any = data.train_dataloader()
    order = torch.cat([presentations for _, presentations in loader.sampler])
    train = data._splits["train"].pixels
    mean = train.float().mean(dim=0)
    seen = (images + mean).round().to(torch.uint8)
    mirrored, corners = 0, set()
    for image, index in zip(seen, order, strict=True):
        crops = functional.pad(train[index], (4, 4, 4, 4)).unfold(1, 32, 1).unfold(2, 32, 1)  # [3, 9, 9, 32, 32]
        plain = (crops == image[:, None, None]).all(dim=(0, 3, 4)).nonzero().tolist()
        flipped = (crops.flip(4) == image[:, None, None]).all(dim=(0, 3, 4)).nonzero().tolist()
        ((top, left),) = plain + flipped
        mirrored += bool(flipped)
        corners.add((top, left))
    assert 60 < mirrored < 120
    assert {top for top, _ in corners} == {left for _, left in corners} == set(range(9))


def test_the_images_held_out_are_the_same_for_every_seed() -> None:
    first, second = made(seed=0), made(seed=7)
    assert torch.equal(first._splits["val"].pixels, second._splits["val"].pixels)
    assert first._splits["val"].labels.bincount().tolist() == [2] * 10
    assert not torch.equal(shown(first)[0], shown(second)[0])


@pytest.mark.parametrize("options", [{}, {"passes_per_epoch": 2}])
def test_seeds_in_lock_step_see_what_each_sees_alone(options: Any) -> None:
    together: Any = made(replicas=2, seed=3, **options).train_dataloader()
    together.sampler.set_epoch(1)
    alone = [shown(made(seed=seed, **options), 1) for seed in (3, 4)]
    batches = [(images.chunk(2), labels.chunk(2)) for images, labels in together]
    for replica, (images, labels) in enumerate(alone):
        assert torch.equal(torch.cat([each[replica] for each, _ in batches]), images)
        assert torch.equal(torch.cat([each[replica] for _, each in batches]), labels)


def test_reflections_are_left_out_where_a_mirrored_image_is_another() -> None:
    assert [type(step).__name__ for step in made(flips=False)._augmentation.geometry] == ["RandomCrop"]


def test_grey_is_the_luminance() -> None:
    colour, grey = made(), made(in_channels=1)
    expected = (colour._splits["train"].pixels.float() * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=1)
    assert (grey._splits["train"].pixels[:, 0].float() - expected).abs().max() <= 0.51
    assert shown(grey)[0].shape == (180, 1, 32, 32)


def test_a_photograph_is_brought_to_the_sets_size_whole() -> None:
    data = made()
    photograph = torch.zeros(3, 300, 500, dtype=torch.uint8)
    photograph[:, :150] = 200  # its upper half
    (seen,) = data.as_seen([photograph])
    assert seen.shape == (3, 32, 32)
    assert (seen[:, :15] == 200).all()
    assert (seen[:, 17:] == 0).all()
    shown(data)  # finds the mean image
    assert data.as_input([photograph]).shape == (1, 3, 32, 32)
    assert data.class_names[0] == "airplane"


def test_what_excludes_one_another_is_refused() -> None:
    with pytest.raises(ValueError, match=r"data\.distortion=affine1998 takes the place of crops.*augmentation=\[\]"):
        made(distortion="affine1998", normalization="lecun1998")
    with pytest.raises(ValueError, match=r"data\.num_classes=7: CIFAR-10 has 10 classes"):
        made(num_classes=7)
