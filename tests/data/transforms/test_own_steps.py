"""Any callable on pictures is a step of an augmentation, torchvision's policies among them."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from presented import assert_same, by_presentation, drawn, run
from torch import Tensor
from torchvision.transforms import v2

from cnnlit.data.transforms.colours import PCAColour
from cnnlit.data.transforms.geometry import Flip
from cnnlit.data.transforms.own_steps import EachPicture

POLICIES = [v2.RandAugment(), v2.TrivialAugmentWide(), v2.AutoAugment(), v2.AugMix()]


class Shift:
    """Draws from all three of the global random numbers."""

    def __call__(self, picture: Tensor) -> Tensor:
        by = 50 * (random.random() + np.random.rand() + float(torch.rand(())))  # noqa: NPY002
        return picture.float().add(by).clamp(0, 255)


@pytest.mark.parametrize("step", [*POLICIES, Shift()], ids=lambda step: type(step).__name__)
def test_a_presentation_is_the_same_in_any_batch_and_each_epoch_has_others(step: Any) -> None:
    options: Any = {"augmentation": (Flip(), step), "normalization": "mean_rgb"}
    one, other = (by_presentation(drawn(batch_size=size, **options), 1) for size in (16, 7))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[number], other[number]) for number in one)
    later = by_presentation(drawn(**options), 2)
    assert not all(torch.equal(one[number], later[number]) for number in one)
    seeded = by_presentation(drawn(seed=1, **options), 1)
    assert not all(torch.equal(one[number], seeded[number]) for number in one)


def test_a_resumed_run_sees_the_same_pictures(tmp_path: Path) -> None:
    data: Any = {"augmentation": (Shift(), PCAColour())}
    whole = run(drawn(**data), tmp_path / "whole")
    with pytest.raises(SystemExit):
        run(drawn(**data), tmp_path / "cut", stop_after=2)
    resumed = run(drawn(**data), tmp_path / "cut", resume=True)
    assert_same(resumed.seen["train"], whole.seen["train"][2:])
    plain = run(drawn(), tmp_path / "plain")
    assert_same(plain.seen["test"], whole.seen["test"])


def test_a_step_is_called_with_bytes_and_leaves_the_random_numbers_as_they_were() -> None:
    seen: list[Tensor] = []
    step = EachPicture(lambda picture: seen.append(picture) or picture + 1)  # type: ignore[func-returns-value]
    torch.manual_seed(3)
    before = torch.get_rng_state()
    changed = step.colour(torch.full((2, 3, 4, 4), 7.6), torch.rand(2, 2, generator=torch.Generator()))
    assert torch.equal(torch.get_rng_state(), before)
    assert [each.dtype for each in seen] == [torch.uint8] * 2
    assert torch.equal(changed, torch.full((2, 3, 4, 4), 9.0))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda picture: picture[:, :2], r"makes \[3, 2, 24\] of a picture uint8 \[3, 24, 24\]"),
        (lambda picture: picture.numpy(), "makes ndarray of a picture"),
        (v2.ToDtype(torch.float32, scale=True), "ToDtype returns values up to 1; pictures are 0 to 255 here"),
    ],
)
def test_what_returns_no_picture_is_refused_in_one_line(change: Any, said: str) -> None:
    with pytest.raises(ValueError, match=rf"^data\.augmentation: .*{said}"):
        drawn(augmentation=(change,))
