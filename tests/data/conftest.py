"""Pictures that the tests of data share."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def real_tiny_imagenet() -> Path:
    """The folder that ten classes of Tiny ImageNet lie below."""
    if not (SHARED / "tiny-imagenet-10").is_dir():
        pytest.skip("no Tiny ImageNet in ../shared/data")
    return SHARED


@pytest.fixture(scope="session")
def real_photographs() -> list[Path]:
    """Photographs of ImageNet, one of each of 220 classes."""
    if not (SHARED / "imagenet-sample").is_dir():
        pytest.skip("no photographs in ../shared/data")
    return sorted((SHARED / "imagenet-sample").glob("*/*.JPEG"))


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth colours with some noise, as photographs have them."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return Image.fromarray((smooth + random.integers(-20, 21, smooth.shape)).clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def draw() -> Callable[..., Image.Image]:
    return picture


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ImageNet's class folders in small: 3 classes, 8 training and 4 validation pictures of each, of many sizes."""
    root = tmp_path_factory.mktemp("photographs")
    number = 0
    for split, count in (("train", 8), ("val", 4)):
        for wnid in ("n00000003", "n00000001", "n00000002"):
            (root / split / wnid).mkdir(parents=True)
            for index in range(count):
                number += 1
                shown = picture(40 + 7 * index, 60 - 5 * index, seed=number)
                shown.save(root / split / wnid / f"{wnid}_{index}.JPEG", quality=95)
    return root
