"""Own arrays are read as documented, and whatever is odd about them is named in one line."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cnnlit.data.small_images import SmallImages
from cnnlit.data.small_sets.array_files import read_npz

RANDOM = np.random.default_rng(0)


def arrays(shape: tuple[int, ...] = (28, 28), **others: Any) -> dict[str, Any]:
    """40 training and 20 test images of four classes."""
    made: dict[str, Any] = {}
    for split, count in (("train", 40), ("test", 20)):
        made[f"{split}_images"] = RANDOM.integers(0, 256, (count, *shape), dtype=np.uint8)
        made[f"{split}_labels"] = np.arange(count) % 4
    return {name: value for name, value in (made | others).items() if value is not None}


def saved(folder: Path, content: dict[str, Any]) -> Path:
    np.savez(folder / "own.npz", **content)
    return folder / "own.npz"


def read(path: Path, **options: Any) -> SmallImages:
    chosen: Any = {"source": "npz", "num_classes": 4, "batch_size": 8, "val_split": None}
    data = SmallImages(root=str(path), **chosen | options)
    data.prepare_data()
    data.setup()
    return data


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 1), (30, 20, 3)])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_any_shape_reach_the_network_at_its_size(tmp_path: Path, shape: Any, channels: Any) -> None:
    data = read(saved(tmp_path, arrays(shape)), in_channels=channels, image_size=32, augmentation=[])
    assert data.num_images == {"train": 36, "val": 4, "test": 20}
    images, labels = next(iter(data.train_dataloader()))
    assert images.shape == (8, channels, 32, 32)
    assert data.class_names == ["0", "1", "2", "3"]
    assert labels.dtype == torch.int64


def test_validation_images_of_its_own_are_used_and_nothing_is_held_out(tmp_path: Path) -> None:
    own = arrays(val_images=np.zeros((6, 28, 28), np.uint8), val_labels=np.arange(6) % 4)
    path = saved(tmp_path, own | {"class_names": np.array(["a", "b", "c", "d"])})
    data = read(path)
    assert data.num_images == {"train": 40, "val": 6, "test": 20}
    assert data.class_names == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match=r"data\.val_split=5: .* say data\.val_split=null"):
        read(path, val_split=5)


def test_without_test_images_a_tenth_is_the_test(tmp_path: Path) -> None:
    data = read(saved(tmp_path, arrays(test_images=None, test_labels=None)), val_split=4)
    assert data.num_images == {"train": 32, "val": 4, "test": 4}


def test_the_folder_of_the_only_file_will_do(tmp_path: Path) -> None:
    saved(tmp_path, arrays())
    assert read(tmp_path).num_images["test"] == 20
    np.savez(tmp_path / "other.npz", **arrays())
    with pytest.raises(FileNotFoundError, match=r"other\.npz, own\.npz: name one"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"train_images": None, "train_labels": None}, "expected train_images uint8"),
        ({"train_labels": None}, "holds train_images and no train_labels"),
        ({"test_images": None}, "holds test_labels and no test_images"),
        ({"train_images": np.zeros((40, 28, 28))}, "train_images is float64, and has to be uint8"),
        ({"train_images": np.zeros((40, 784), np.uint8)}, "train_images is 40x784"),
        ({"train_images": np.zeros((40, 9, 9, 7), np.uint8)}, "train_images is 40x9x9x7"),
        ({"train_images": np.zeros((39, 28, 28), np.uint8)}, "39 images and 40 labels"),
        ({"train_images": np.zeros((40, 9, 9), np.uint8)}, "images of several shapes"),
        ({"train_labels": np.arange(40) / 4}, "train_labels is float64, and has to be whole numbers"),
        ({"train_labels": np.arange(40) - 1}, "whole numbers from 0"),
        ({"train_labels": np.eye(40, 4, dtype=int)}, "train_labels is 40x4"),
        ({"class_names": np.array(["a", "b"])}, "class_names has 2 names, and there is a label 3"),
    ],
)
def test_odd_arrays_are_refused_by_name(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as refusal:
        read_npz(saved(tmp_path, arrays(**changed)))
    assert "\n" not in str(refusal.value)
    assert "own.npz" in str(refusal.value)


def test_another_number_of_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"found 4 classes in .*say data\.num_classes=4"):
        read(saved(tmp_path, arrays()), num_classes=10)


def test_what_is_no_npz_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.npz").write_bytes(b"PK\3\4 and no more")
    with pytest.raises(ValueError, match=r"own\.npz cannot be read as an npz file"):
        read_npz(tmp_path / "own.npz")
    np.savez(tmp_path / "own.npz", train_images=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"own\.npz cannot be read as an npz file"):
        read_npz(tmp_path / "own.npz")
