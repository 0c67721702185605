"""Images that the tests of data share."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data.presented import drawn, photographed
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


def image(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth colours with some noise, as photographs have them."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return Image.fromarray((smooth + random.integers(-20, 21, smooth.shape)).clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def draw() -> Callable[..., Image.Image]:
    return image


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ImageNet's class folders in small: 3 classes, 8 training and 4 validation images of each, of many sizes."""
    root = tmp_path_factory.mktemp("photographs")
    number = 0
    for split, count in (("train", 8), ("val", 4)):
        for wnid in ("n00000003", "n00000001", "n00000002"):
            (root / split / wnid).mkdir(parents=True)
            for index in range(count):
                number += 1
                shown = image(40 + 7 * index, 60 - 5 * index, seed=number)
                shown.save(root / split / wnid / f"{wnid}_{index}.JPEG", quality=95)
    return root


def encoded(seed: int = 0) -> bytes:
    """A JPEG file of a few pixels."""
    stream = io.BytesIO()
    image(9, 8, seed).save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture(scope="session")
def jpeg() -> Callable[..., bytes]:
    return encoded


def archive(path: Path, members: dict[str, bytes]) -> Path:
    """A tar of these files; packed, if the path says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture(scope="session")
def pack() -> Callable[..., Path]:
    return archive


def development_kit(wnids: list[str], answers: list[str]) -> dict[str, bytes]:
    """The two files of ImageNet's development kit, whose numbers of classes are not in the order of WordNet ids.

    Args:
        wnids: the classes, in the order of the kit's numbers.
        answers: the class of each validation image.
    """
    from scipy.io import savemat

    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    rows = [(float(number), wnid, f"name of {wnid}, synonym", "", 0.0) for number, wnid in enumerate(wnids, 1)]
    rows.append((float(len(wnids) + 1), "n99999999", "animal", "", 3.0))  # no class: it has children
    stream = io.BytesIO()
    savemat(stream, {"synsets": np.array(rows, kinds)[:, None]})
    truth = "".join(f"{wnids.index(wnid) + 1}\n" for wnid in answers)
    return {"data/meta.mat": stream.getvalue(), "data/ILSVRC2012_validation_ground_truth.txt": truth.encode()}


@pytest.fixture(scope="session")
def kit() -> Callable[..., dict[str, bytes]]:
    return development_kit


@pytest.fixture(params=["drawn", "photographed"])
def source(request: pytest.FixtureRequest, photographs: Path) -> Any:
    """Both ways in which images come."""
    return drawn if request.param == "drawn" else lambda **options: photographed(photographs, **options)
