"""CIFAR-10 and CIFAR-100 as their authors publish them: pickled batches for Python, binary records; packed or not."""

import io
import pickle
import tarfile
import zlib
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnnlit.data.loading.image_set import LoadedImages
from cnnlit.data.small_sets.contents import Contents, Located, images
from cnnlit.data.small_sets.idx_files import digest
from cnnlit.data.small_sets.published import SETS, SmallSet

PIXELS = 3 * 32 * 32


class Files(NamedTuple):
    """The files of a set in one of its two formats."""

    form: str
    below: str
    """The folder that its archive unpacks to."""
    train: dict[str, str]
    """Name -> md5; empty where none is published."""
    test: dict[str, str]
    archives: dict[str, str]
    """Name -> md5. Those without are Keras' copies under other names."""


CIFAR10 = (
    Files(
        "python batches",
        "cifar-10-batches-py",
        {
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        },
        {"test_batch": "40351d587109b95175f43aff81a1287e"},
        {
            "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
            "cifar-10-batches-py.tar.gz": "c58f30108f718f92721af3b95e74349a",
            "cifar-10-batches-py-target_archive": "c58f30108f718f92721af3b95e74349a",
        },
    ),
    Files(
        "binary batches",
        "cifar-10-batches-bin",
        {f"data_batch_{number}.bin": "" for number in range(1, 6)},
        {"test_batch.bin": ""},
        {"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"},
    ),
)
CIFAR100 = (
    Files(
        "python batches",
        "cifar-100-python",
        {"train": "16019d7e3df5f24257cddd939b257f8d"},
        {"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
        {
            "cifar-100-python.tar.gz": "eb9058c3a382ffc7106e4002c42a8d85",
            "cifar-100-python-target_archive": "eb9058c3a382ffc7106e4002c42a8d85",
        },
    ),
    Files(
        "binary batches",
        "cifar-100-binary",
        {"train.bin": ""},
        {"test.bin": ""},
        {"cifar-100-binary.tar.gz": "03b5dce01913d631647c71ecec9e9cb8"},
    ),
)


def locate_cifar(published: SmallSet, folder: Path) -> Located | None:
    """A set in a folder, or in one below it of the name that its archive unpacks to, or in its archive."""
    formats = CIFAR10 if published.class_names == SETS["cifar10"].class_names else CIFAR100
    for files in formats:
        for place in (folder, folder / files.below, folder / f"{files.below}-target" / files.below):
            if all((place / name).is_file() for name in (*files.train, *files.test)):
                return _located(files, place, published)
        for name, md5 in files.archives.items():
            if (folder / name).is_file():
                return _located_in_archive(files, folder / name, md5, published)
    return None


def _located(files: Files, place: Path, published: SmallSet) -> Located:
    contents = partial(_stored, files, place)
    return Located(
        files.form,
        place,
        read=lambda: _read(files, place, contents(), published),
        verified=lambda: _verified(files, contents()),
    )


def _located_in_archive(files: Files, archive: Path, md5: str, published: SmallSet) -> Located:
    return Located(
        f"{files.form}, in an archive",
        archive,
        read=lambda: _read(files, archive, _packed(files, archive), published),
        verified=lambda: digest(archive.read_bytes()) == md5,
    )


def _stored(files: Files, place: Path) -> dict[str, bytes]:
    return {name: (place / name).read_bytes() for name in (*files.train, *files.test)}


def _packed(files: Files, archive: Path) -> dict[str, bytes]:
    wanted, found = {*files.train, *files.test}, {}
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                name = Path(member.name).name
                if name in wanted and (stream := tar.extractfile(member)):
                    found[name] = stream.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{archive} is damaged or cut short ({error})") from None
    if missing := sorted(wanted - found.keys()):
        raise ValueError(f"{archive} lacks {', '.join(missing)}")
    return found


def _verified(files: Files, contents: dict[str, bytes]) -> bool | None:
    sums = {**files.train, **files.test}
    return None if not all(sums.values()) else all(digest(contents[name]) == md5 for name, md5 in sums.items())


def _read(files: Files, place: Path, contents: dict[str, bytes], published: SmallSet) -> Contents:
    labels = len(published.class_names)
    parse = _records if "binary" in files.form else _pickled

    def split(names: dict[str, str]) -> LoadedImages:
        parts = [parse(contents[name], place / name, labels) for name in names]
        pixels, numbers = (np.concatenate(each) for each in zip(*parts, strict=True))
        return images(pixels.reshape(-1, 3, 32, 32), numbers, place)

    return Contents(split(files.train), split(files.test), class_names=published.class_names)


def _records(content: bytes, path: Path, classes: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """One byte of label (CIFAR-100: the coarse one, then the fine one), then the pixels, plane by plane."""
    before = 2 if classes == 100 else 1
    if len(content) % (before + PIXELS):
        raise ValueError(f"{path} is damaged: {len(content):,} bytes are no records of {before + PIXELS}")
    rows = np.frombuffer(content, np.uint8).reshape(-1, before + PIXELS)
    return rows[:, before:], rows[:, before - 1]


def _pickled(content: bytes, path: Path, classes: int) -> tuple[NDArray[Any], NDArray[Any]]:
    try:
        batch = _Arrays(io.BytesIO(content), encoding="latin1").load()
        pixels, labels = np.asarray(batch["data"]), np.asarray(batch["fine_labels" if classes == 100 else "labels"])
    except Exception as error:  # a damaged pickle makes all sorts of errors
        raise ValueError(f"{path} is damaged, or no batch of CIFAR's ({type(error).__name__}: {error})") from None
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != PIXELS:
        raise ValueError(
            f"{path} holds {pixels.dtype} {pixels.shape} for images, where uint8 [N, {PIXELS}] is expected"
        )
    return pixels, labels


class _Arrays(pickle.Unpickler):
    """Builds NumPy's arrays and nothing else: a pickle could run anything."""

    ALLOWED = frozenset(
        {("ndarray", "numpy"), ("dtype", "numpy"), ("_reconstruct", "multiarray"), ("encode", "_codecs")}
    )

    def find_class(self, module: str, name: str) -> Any:
        if (name, module.rpartition(".")[2]) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a batch")
        return super().find_class(module, name)
