"""Sets as arrays: npz files, Keras' and one's own, and SVHN's MATLAB files."""

from collections.abc import Iterable
from functools import cache, partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from cnnlit.data.loading.image_set import LoadedImages
from cnnlit.data.small_sets.contents import Contents, Located, images
from cnnlit.data.small_sets.idx_files import digest
from cnnlit.data.small_sets.published import SmallSet

NAMES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "train": (("train_images", "x_train"), ("train_labels", "y_train")),
    "val": (("val_images", "x_val"), ("val_labels", "y_val")),
    "test": (("test_images", "x_test"), ("test_labels", "y_test")),
}
"""Of each split the arrays of images and of labels; the second names are Keras'."""

EXPECTED = "train_images uint8 [N, H, W] or [N, H, W, C] and train_labels [N]; val_ and test_ likewise; class_names"


def locate_npz(published: SmallSet, folder: Path) -> Located | None:
    """A set in an npz file that is named after it, or KMNIST in its authors' four."""
    key = published.title.lower().replace(" ", "_")
    for name in dict.fromkeys((key, key.replace("-", "_"), key.replace("-", ""))):
        if (path := folder / f"{name}.npz").is_file():
            return Located("npz", path, read=partial(read_npz, path))
    parts = [folder / f"kmnist-{split}-{kind}.npz" for split in ("train", "test") for kind in ("imgs", "labels")]
    if published.title == "Kuzushiji-MNIST" and all(path.is_file() for path in parts):
        return Located("npz", folder, read=partial(_of_authors, parts))
    return None


def npz_in(root: Path) -> Path:
    """The npz file that data.root names, or the only one in that folder.

    Raises:
        FileNotFoundError: if there is none, or more than one.
    """
    if root.is_file():
        return root
    found = sorted(root.glob("*.npz")) if root.is_dir() else []
    if len(found) == 1:
        return found[0]
    said = f"holds {', '.join(path.name for path in found[:5])}: name one" if found else "holds no npz file"
    raise FileNotFoundError(f"data.root={root}: {said if root.exists() else 'is not there'}; expected {EXPECTED}")


def read_npz(path: Path) -> Contents:
    """Images and labels from an npz file.

    Raises:
        ValueError: one line that names the array that is missing or odd.
    """
    arrays = _load(path)
    parts = {split: _split(arrays, split, path) for split in NAMES}
    if parts["train"] is None:
        raise ValueError(f"{path} holds {', '.join(sorted(arrays)) or 'nothing'}; expected {EXPECTED}")
    shapes = {tuple(part.pixels.shape[1:]) for part in parts.values() if part}
    if len(shapes) > 1:
        raise ValueError(f"{path} holds images of several shapes, {' and '.join(map(str, sorted(shapes)))}")
    names = [str(name) for name in arrays["class_names"]] if "class_names" in arrays else []
    most = max(int(part.labels.max()) for part in parts.values() if part)
    if names and most >= len(names):
        raise ValueError(f"{path}: class_names has {len(names)} names, and there is a label {most}")
    return Contents(parts["train"], parts["test"], parts["val"], names)


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, BadZipFile, EOFError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read as an npz file ({error})") from None


def _split(arrays: dict[str, NDArray[Any]], split: str, path: Path) -> LoadedImages | None:
    image_names, label_names = NAMES[split]
    kinds = (_first(arrays, image_names), _first(arrays, label_names))
    if kinds == (None, None):
        return None
    if None in kinds:
        there, missing = (kinds[0], label_names[0]) if kinds[0] else (kinds[1], image_names[0])
        raise ValueError(f"{path} holds {there} and no {missing}")
    pixels, labels = (arrays[str(name)] for name in kinds)
    return images(_planes(pixels, f"{path}: {kinds[0]}"), _numbers(labels, f"{path}: {kinds[1]}"), path)


def _first(arrays: dict[str, NDArray[Any]], names: Iterable[str]) -> str | None:
    return next((name for name in names if name in arrays), None)


def _planes(pixels: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """uint8 [N, C, H, W] of images [N, H, W] or [N, H, W, C]; Keras may have kept [N, C, H, W]."""
    shape = "x".join(map(str, pixels.shape))
    if pixels.dtype != np.uint8:
        raise ValueError(f"{name} is {pixels.dtype}, and has to be uint8, 0 to 255")
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    if pixels.ndim == 4 and pixels.shape[3] not in (1, 3) and pixels.shape[1] in (1, 3):
        pixels = pixels.transpose(0, 2, 3, 1)
    if pixels.ndim != 4 or pixels.shape[3] not in (1, 3) or not pixels.size:
        raise ValueError(f"{name} is {shape}, and has to be images by height by width, or with 1 or 3 channels after")
    return pixels.transpose(0, 3, 1, 2)


def _numbers(labels: NDArray[Any], name: str) -> NDArray[np.int64]:
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels  # as Keras and MedMNIST have them
    if labels.ndim != 1:
        raise ValueError(f"{name} is {'x'.join(map(str, labels.shape))}, and has to be one number for each image")
    if labels.dtype.kind not in "iu" or (labels.size and labels.min() < 0):
        raise ValueError(f"{name} is {labels.dtype}, and has to be whole numbers from 0")
    return labels.astype(np.int64)


def _of_authors(paths: list[Path]) -> Contents:
    pixels, labels, test_pixels, test_labels = (_load(path)["arr_0"] for path in paths)
    return Contents(
        images(_planes(pixels, str(paths[0])), _numbers(labels, str(paths[1])), paths[0]),
        images(_planes(test_pixels, str(paths[2])), _numbers(test_labels, str(paths[3])), paths[2]),
    )


def locate_matlab(published: SmallSet, folder: Path) -> Located | None:
    """SVHN's two MATLAB files of cropped digits."""
    paths = [folder / file.name for file in published.files]
    if not all(path.is_file() for path in paths):
        return None
    sums = [file.md5 for file in published.files]
    contents = cache(lambda: [path.read_bytes() for path in paths])
    return Located(
        "MATLAB files",
        folder,
        read=lambda: Contents(_matlab(paths[0]), _matlab(paths[1]), class_names=published.class_names),
        verified=lambda: [digest(content) for content in contents()] == sums,
    )


def _matlab(path: Path) -> LoadedImages:
    from scipy.io import loadmat

    try:
        arrays = loadmat(path, variable_names=["X", "y"])
        pixels, labels = np.asarray(arrays["X"], np.uint8), np.asarray(arrays["y"]).reshape(-1)
        planes = pixels.transpose(3, 2, 0, 1)
    except Exception as error:  # a damaged file makes all sorts of errors
        raise ValueError(f"{path} is damaged, or holds no X and y ({type(error).__name__}: {error})") from None
    return images(planes, labels.astype(np.int64) % 10, path)  # a 0 is labelled 10
