"""A balanced order shows each class equally often, its rare images in other versions each time."""

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor

from cnnlit.data.loading.balance import most_shown
from cnnlit.data.loading.batch_sampler import BatchSampler

COUNTS = (70, 20, 3)
LABELS = torch.repeat_interleave(torch.arange(3), torch.tensor(COUNTS))
IMAGES = len(LABELS)  # 93, of which each class is a third
VERSIONS = 11  # an image of the last class is shown 31 times in three, 10 or 11 each


def sampler(**options: Any) -> BatchSampler:
    return BatchSampler(IMAGES, 10, **{"order": "balanced", "labels": LABELS, "versions": VERSIONS, **options})


def test_each_class_is_shown_equally_often_and_its_images_too() -> None:
    assert most_shown(LABELS, IMAGES, 3) == VERSIONS
    for epoch in range(3):
        images = sampler().presentations(epoch) % IMAGES
        assert torch.bincount(LABELS[images]).tolist() == [31, 31, 31]
        for number, count in enumerate(COUNTS):
            times = Counter(images[LABELS[images] == number].tolist())
            assert set(times.values()) <= {31 // count, -(-31 // count)}


def test_a_remainder_goes_to_classes_that_change() -> None:
    passes = sampler(passes_per_epoch=1, labels=torch.cat([LABELS, torch.tensor([0])]))
    passes = BatchSampler(IMAGES + 1, 10, order="balanced", labels=passes.labels, versions=VERSIONS)
    counts = {tuple(torch.bincount(passes.labels[passes.presentations(each) % 94]).tolist()) for each in range(20)}
    assert counts == {(32, 31, 31), (31, 32, 31), (31, 31, 32)}


def test_an_image_that_is_shown_again_is_another_version() -> None:
    presentations = sampler().presentations(0)
    assert len(presentations.unique()) == IMAGES
    assert int(presentations.max()) < IMAGES * VERSIONS
    few = sampler(versions=2).presentations(0)
    assert int(few.max()) < IMAGES * 2


def test_the_order_is_random_and_a_function_of_seed_and_epoch() -> None:
    first = sampler().presentations(0)
    assert torch.equal(first, sampler().presentations(0))
    assert not torch.equal(first, sampler().presentations(1))
    assert not torch.equal(first, sampler(seed=1).presentations(0))
    assert len(LABELS[first[:30] % IMAGES].unique()) == 3


def shown(batches: BatchSampler) -> list[Tensor]:
    batches.set_epoch(2)
    return [presentations for _, presentations in batches]


def test_devices_share_the_batches_of_one_device_and_a_resumed_epoch_goes_on() -> None:
    whole = shown(sampler())
    shares = [shown(sampler(rank=rank, num_replicas=2)) for rank in range(2)]
    for batch, one, other in zip(whole, *shares, strict=True):
        assert torch.equal(batch[::2], one)
        assert torch.equal(batch[1::2], other)
    resumed = sampler()
    resumed.skip(4)
    assert all(map(torch.equal, shown(resumed), whole[4:]))


def test_a_class_without_an_image_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^recipe\.order=balanced: there are no training images of class 3$"):
        most_shown(LABELS, IMAGES, 4)
