"""MNIST: the four original files, found or downloaded, and checked."""

import gzip
import hashlib
import urllib.request
import zlib
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cnnlit.files import write_whole


class IdxFile(NamedTuple):
    """One of the four files: its name, the md5 of its unpacked content, and the shape of its array."""

    name: str
    md5: str
    shape: tuple[int, ...]


FILES = (
    IdxFile("train-images-idx3-ubyte", "6bbc9ace898e44ae57da46a324031adb", (60_000, 28, 28)),
    IdxFile("train-labels-idx1-ubyte", "a25bea736e30d166cdddb491f175f624", (60_000,)),
    IdxFile("t10k-images-idx3-ubyte", "2646ac647ad5339dbf082846283269ea", (10_000, 28, 28)),
    IdxFile("t10k-labels-idx1-ubyte", "27ae3e4e09519cfbb04c329615203637", (10_000,)),
)
"""The files as published, in the order of the results of `read_mnist`."""

FOLDERS = ("", "MNIST/raw", "raw", "MNIST", "mnist")
"""Where the files may be below the root: in itself, where torchvision keeps them, and in similar places."""

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)

# fmt: off
PUBLISHED_ERRORS = {
    247: 6, 449: 5, 582: 2, 659: 1, 674: 3, 829: 8, 926: 8, 938: 5, 1014: 5, 1039: 3, 1232: 4, 1319: 0, 1328: 8,
    1393: 3, 1530: 7, 1621: 6, 1681: 7, 1790: 7, 1878: 3, 1901: 4, 1955: 2, 2035: 3, 2043: 8, 2109: 9, 2118: 0,
    2129: 8, 2130: 9, 2135: 1, 2293: 4, 2387: 1, 2414: 4, 2462: 0, 2654: 1, 2921: 5, 2927: 2, 2939: 5, 3030: 0,
    3422: 0, 3520: 0, 3762: 8, 3780: 6, 3808: 3, 3869: 4, 3941: 6, 4176: 7, 4224: 7, 4265: 3, 4369: 4, 4405: 4,
    4425: 4, 4497: 7, 4575: 2, 4601: 4, 4740: 5, 4956: 4, 5736: 5, 5749: 5, 5955: 8, 5973: 8, 6091: 8, 6101: 5,
    6173: 8, 6538: 3, 6557: 2, 6558: 5, 6571: 5, 6597: 7, 6783: 6, 7434: 9, 8059: 1, 8094: 8, 8408: 5, 8527: 9,
    9009: 2, 9015: 2, 9679: 5, 9692: 7, 9698: 1, 9729: 6, 9770: 0, 9792: 9, 9904: 8,
}
# fmt: on
"""Test index -> answer of LeNet-5, for its 82 errors of 1998. Paper: Fig. 8, matched to the test set."""


def find_mnist(root: str | Path) -> list[Path]:
    """The four files below `root`, packed (.gz) or not, in the order of FILES.

    Raises:
        FileNotFoundError: if no folder holds all four; says what was looked for and where.
    """
    for folder in FOLDERS:
        found = [path for file in FILES if (path := _find(Path(root) / folder, file.name))]
        if len(found) == len(FILES):
            return found
    missing = [file.name for file in FILES if not any(_find(Path(root) / folder, file.name) for folder in FOLDERS)]
    raise FileNotFoundError(
        f"MNIST's {', '.join(missing or [FILES[0].name + ' …'])} (or .gz) not in {Path(root).absolute()} "
        f"or its {', '.join(folder for folder in FOLDERS if folder)}"
    )


def _find(folder: Path, name: str) -> Path | None:
    for candidate in (name, name + ".gz", name.replace("-idx", ".idx")):
        if (folder / candidate).is_file():
            return folder / candidate
    return None


def obtain_mnist(root: str | Path, mirrors: Sequence[str] = MIRRORS) -> None:
    """Make sure that the four files are below `root`: find them, or else download all of them.

    Raises:
        FileNotFoundError: if they are neither there nor on any mirror; one line that says what was tried.
    """
    try:
        find_mnist(root)
        return
    except FileNotFoundError as error:
        missing = error
    reasons = []
    for mirror in mirrors:
        try:
            packed = _download(mirror)
        except (OSError, ValueError, EOFError, zlib.error, HTTPException) as error:
            reasons.append(f"{mirror} ({getattr(error, 'reason', error)})")
        else:
            for file, content in zip(FILES, packed, strict=True):
                write_whole(Path(root) / "MNIST" / "raw" / f"{file.name}.gz", content)
            return
    raise FileNotFoundError(
        f"{missing}; no download from {', '.join(reasons)}; "
        "point data.root to the files, or use data=digits, which needs nothing"
    )


def _download(mirror: str) -> list[bytes]:
    """The four packed files from one mirror, checked; 12 MB."""
    packed = []
    for file in FILES:
        with urllib.request.urlopen(f"{mirror}{file.name}.gz", timeout=20) as response:
            from rich.console import Console
            from rich.progress import wrap_file

            size = int(response.headers.get("Content-Length") or 0)
            with wrap_file(response, size, description=file.name, console=Console(stderr=True)) as stream:
                packed.append(stream.read())
        _check(gzip.decompress(packed[-1]), file, mirror)
    return packed


def _check(content: bytes, file: IdxFile, where: str | Path) -> None:
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 != file.md5:
        raise ValueError(
            f"{where}: {file.name} has md5 {md5} ({len(content):,} bytes) in place of {file.md5}; "
            "it is damaged or not MNIST; remove it, and it will be downloaded again"
        )


def read_mnist(root: str | Path) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Read the four files, checked by md5 and so by count.

    Returns:
        Training images uint8 [60000, 28, 28] and labels int64 [60000], test images [10000, 28, 28] and labels
        [10000].

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is not the published one.
    """
    train_images, train_labels, test_images, test_labels = (
        _read(path, file) for path, file in zip(find_mnist(root), FILES, strict=True)
    )
    return train_images, train_labels.long(), test_images, test_labels.long()


def _read(path: Path, file: IdxFile) -> Tensor:
    content = path.read_bytes()
    try:
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be unpacked ({error}); remove it, and it will be downloaded again") from None
    _check(content, file, path)
    # The header is a magic number and one length per dimension, big-endian, 4 bytes each; the md5 vouches for it.
    values = np.frombuffer(content, np.uint8, offset=4 * (1 + len(file.shape)))
    return torch.from_numpy(values.reshape(file.shape).copy())
