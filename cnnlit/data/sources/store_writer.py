"""Photographs are brought to a chosen size and stored so that they stream. See store.py for what is stored."""

import json
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import metadata
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import simplejpeg
import torch
from annotated_types import Ge, Le
from numpy.typing import NDArray
from torch import Tensor

import cnnlit
from cnnlit.data.loading.decoding import DecodableImage, num_cores
from cnnlit.data.loading.image_set import ImageSet
from cnnlit.data.loading.threads import in_order
from cnnlit.data.sources import store
from cnnlit.data.sources.folders import Listing
from cnnlit.data.sources.store import COMPLETE, FORMAT, HALF_MADE, RECORD, Split, shard_name
from cnnlit.data.transforms.geometry import CenterCrop, Geometry, ShorterSide, Windows
from cnnlit.data.transforms.random_numbers import generator
from cnnlit.data.transforms.resampling import show
from cnnlit.files import progress

SHARDS = 128
"""Of a split at most, for a process that reads has each of them open."""
LEAST_IN_SHARD = 4096
"""ImageSet, unless there are no more; so many are made again at most after an interruption."""
SAMPLE = 64
"""ImageSet that the store's size and fidelity are estimated from."""
PIECE = np.dtype([("number", "<u8"), *RECORD.descr])
"""Of one image in a shard that is being made: its place in the listing, and its record."""


class Prepared(NamedTuple):
    """A store, and what it came to."""

    folder: Path
    about: dict[str, Any]
    """Of store.json."""
    was_there: bool
    """It was complete before."""
    num_verified: int | None


class _Made(NamedTuple):
    number: int
    """In the listing."""
    content: bytes
    height: int
    width: int


class Preparation:
    """How photographs are stored.

    Their shorter side is brought to `side` by the filter that they are shown with (a triangle as wide as the pixels of
    the result), so that a network that is trained on this side sees what it would see of the photographs themselves.
    Smaller ones stay as they are.

    `jpeg` keeps each as a JPEG of that quality. For crops of random size, which show a smaller part of the image,
    a `side` of 384 loses less than one of 256.
    `raw` keeps the square in the middle, byte by byte, as AlexNet's input is defined: exactly what the photographs
    themselves would show (Krizhevsky et al. 2012, Sec. 2). Smaller photographs are enlarged, as there.

    Args:
        to: the folder to make; a half-made one is gone on with.
        encoding: see above.
        side: shorter side of the stored images, in pixels.
        quality: of the JPEG.
        subsampling: 420 stores colours at half the resolution, as most photographs have them; 444 at the whole.
        verify: read all of it against its checksums in the end.
        num_threads: that decode and encode; null for one per core. The store does not depend on it.
    """

    def __init__(
        self,
        *,
        to: str | None,
        encoding: Literal["jpeg", "raw"] = "jpeg",
        side: Annotated[int, Ge(8), Le(4096)] = 256,
        quality: Annotated[int, Ge(1), Le(100)] = 90,
        subsampling: Literal[420, 444] = 420,
        verify: bool = False,
        num_threads: Annotated[int, Ge(1)] | None = None,
    ) -> None:
        if to is None:
            raise ValueError("prepare.to=FOLDER must say where the prepared images go")
        self.folder = Path(to)
        self.encoding = encoding
        self.side = side
        self.quality = quality
        self.subsampling = subsampling
        self.verify = verify
        self.num_threads = num_threads or num_cores()

    def run(self, listing: Listing, on_unreadable: Literal["stop", "skip"] = "stop") -> Prepared:
        """Make the store, or what is missing of it; can be cut off at any moment and run again.

        Args:
            listing: the photographs.
            on_unreadable: stop, or leave out what cannot be read and say so in store.json.

        Raises:
            ValueError: for a photograph that cannot be read, and a folder that holds something else.
            OSError: if the disk is too small.
        """
        settings = self._settings(listing)
        with _claimed(self.folder, settings) as was_there:
            if not was_there:
                self._make(listing, settings, on_unreadable)
        num_verified = store.verify(self.folder) if self.verify else None
        return Prepared(self.folder, store.read_about(self.folder), was_there, num_verified)

    def _settings(self, listing: Listing) -> dict[str, Any]:
        """What decides every byte of the store, beside the content of the photographs."""
        jpeg = {"quality": self.quality, "subsampling": self.subsampling} if self.encoding == "jpeg" else {}
        return {
            "format": FORMAT,
            "encoding": self.encoding,
            "side": self.side,
            **jpeg,
            "classes": listing.classes,
            "class_names": listing.class_names,
            "listed": {split: _fingerprint(images) for split, images in _splits(listing).items()},
        }

    def _make(self, listing: Listing, settings: dict[str, Any], on_unreadable: str) -> None:
        sample = self._sample(listing.train, on_unreadable)
        shards = [shard for split, images in _splits(listing).items() for shard in _shards(split, images)]
        missing = [shard for shard in shards if not (self.folder / shard.name).is_file()]
        self._check_space(sum(len(shard.numbers) for shard in missing), sample["bytes_per_image"])

        def make(job: tuple[int, int]) -> tuple[int, _Made | None]:
            place, number = job
            try:
                pixels = np.ascontiguousarray(self.pixels(missing[place].images.open(number)))
            except ValueError:
                if on_unreadable == "stop":
                    raise
                return place, None
            return place, _Made(number, self._encoded(pixels), *pixels.shape[:2])

        jobs = ((place, number) for place, shard in enumerate(missing) for number in shard.numbers.tolist())
        total = sum(len(shard.numbers) for shard in missing)
        made = progress(in_order(make, jobs, self.num_threads, ahead=32 * self.num_threads), "preparing", total)
        for place, images in groupby(made, key=itemgetter(0)):
            _write_shard(self.folder, missing[place], (image for _, image in images if image))
        splits = {split: _merge(self.folder, split, images) for split, images in _splits(listing).items()}
        source = {"from": str(Path(listing.train.folder).absolute()), "versions": _versions()}
        _write_whole(self.folder / COMPLETE, _as_json({**settings, **source, "sample": sample, "splits": splits}))

    def pixels(self, image: DecodableImage) -> NDArray[np.uint8]:
        """What is stored of a photograph before it is encoded: uint8 [height, width, 3]."""
        if self.encoding == "jpeg" and min(image.height, image.width) <= self.side:
            return image.rgb()
        windows = Windows.whole(torch.tensor([[image.height, image.width]]))
        steps: list[Geometry] = [
            ShorterSide(pixels=self.side),
            *([CenterCrop(pixels=self.side)] if self.encoding == "raw" else []),
        ]
        for step in steps:
            windows = step(windows, torch.empty(1, 0, dtype=torch.float64), 1.0)
        return show(image.rgb(), *(part[0] for part in windows))

    def _encoded(self, pixels: NDArray[np.uint8]) -> bytes:
        if self.encoding == "raw":
            return pixels.tobytes()
        content: bytes = simplejpeg.encode_jpeg(pixels, self.quality, "RGB", str(self.subsampling))
        return content

    def _sample(self, images: ImageSet, on_unreadable: str) -> dict[str, Any]:
        """Bytes for each image, and how far the stored ones are from the pixels that were encoded, in decibels."""
        sizes, ratios = [], []
        for number in np.unique(np.linspace(0, len(images) - 1, SAMPLE).astype(int)).tolist():
            try:
                pixels = np.ascontiguousarray(self.pixels(images.open(number)))
            except ValueError:
                if on_unreadable == "stop":
                    raise
                continue
            content = self._encoded(pixels)
            sizes.append(len(content))
            if self.encoding == "jpeg":
                ratios.append(psnr(pixels, simplejpeg.decode_jpeg(content)))
        if not sizes:
            raise ValueError(f"none of {SAMPLE} images in {images.folder} can be read")
        decibels = round(float(np.mean(ratios)), 2) if ratios else None
        return {"images": len(sizes), "bytes_per_image": round(float(np.mean(sizes)), 1), "psnr_db": decibels}

    def _check_space(self, count: int, bytes_per_image: float) -> None:
        needed, free = 1.05 * count * bytes_per_image, shutil.disk_usage(self.folder).free
        if needed > free:
            raise OSError(
                f"prepare.to={self.folder}: about {needed / 1e9:,.1f} GB are needed and {free / 1e9:,.1f} GB are free; "
                "free some, name another disk, or lower prepare.side or prepare.quality"
            )


def psnr(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio of two images of one size, in decibels."""
    error = np.square(one.astype(np.float64) - other).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-10)))


class _Shard(NamedTuple):
    name: str
    split: Split
    place: int
    images: ImageSet
    numbers: NDArray[np.int64]
    """Which images of the listing, in the order in which they are stored."""


def _splits(listing: Listing) -> dict[Split, ImageSet]:
    splits: dict[Split, ImageSet | None] = {"train": listing.train, "val": listing.test}
    return {split: images for split, images in splits.items() if images is not None}


def _shards(split: Split, images: ImageSet) -> Iterator[_Shard]:
    """Training images in an order that is random and always the same: neighbours are of different classes."""
    count = len(images)
    order = torch.randperm(count, generator=generator(count)) if split == "train" else torch.arange(count)
    size = max(LEAST_IN_SHARD, -(-count // SHARDS))
    for place, numbers in enumerate(torch.split(order, size) if count else ()):
        yield _Shard(shard_name(split, place), split, place, images, numbers.numpy())


def _write_shard(folder: Path, shard: _Shard, images: Iterable[_Made]) -> None:
    """A shard's images beside its place; when all of them are written, first their records are put there, then it."""
    records, offset = [], 0
    with _aside(folder / shard.name) as path, path.open("wb") as file:
        for number, content, height, width in images:
            file.write(content)
            label = int(shard.images.labels[number])
            records.append((number, shard.place, len(content), offset, zlib.crc32(content), height, width, label))
            offset += len(content)
        file.flush()
        os.fsync(file.fileno())
        _save(_piece(folder, shard.name), np.array(records, PIECE))


def _merge(folder: Path, split: Split, images: ImageSet) -> dict[str, Any]:
    """All records of a split as its index, in the order of the listing; what store.json says about it."""
    shards = [shard.name for shard in _shards(split, images)]
    pieces = np.concatenate([np.empty(0, PIECE), *(np.load(_piece(folder, name)) for name in shards)])
    pieces.sort(order="number")
    numbers = pieces["number"].astype(np.int64)
    index = np.empty(len(pieces), RECORD)
    for field in RECORD.names or ():
        index[field] = pieces[field]
    _save(folder / f"{split}.index.npy", index)
    _save(folder / f"{split}.names.npy", images.names[numbers])
    tables = [f"{split}.index.npy", f"{split}.names.npy"]
    unreadable = np.setdiff1d(np.arange(len(images)), numbers).tolist()
    return {
        "images": len(index),
        "bytes": int(index["length"].sum(dtype=np.int64)),
        "unreadable": [os.fsdecode(images.names[number]) for number in unreadable],
        "files": {name: (folder / name).stat().st_size for name in [*shards, *tables]},
        "crc32": {name: zlib.crc32((folder / name).read_bytes()) for name in tables},
    }


@contextmanager
def _claimed(folder: Path, settings: dict[str, Any]) -> Iterator[bool]:
    """Make the folder this preparation's, or make sure that it is; whether the store is complete.

    Raises:
        ValueError: if the folder holds something else, or another process is at it.
    """
    import fcntl

    complete, half_made = folder / COMPLETE, folder / HALF_MADE
    if complete.is_file():
        _check_same(folder, "holds images that were prepared", json.loads(complete.read_bytes()), settings)
        _clear(folder)
        yield True
        return
    folder.mkdir(parents=True, exist_ok=True)
    if not half_made.is_file():
        if any(not path.name.endswith(".part") for path in folder.iterdir()):
            raise ValueError(f"prepare.to={folder}: there is something else; name a new folder")
        _write_whole(half_made, _as_json(settings))
    with half_made.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"prepare.to={folder}: another process is preparing this store") from None
        _check_same(folder, "is half made", json.loads(file.read()), settings)
        yield False
        _clear(folder)


def _clear(folder: Path) -> None:
    """Remove what a complete store does not need."""
    for left in (*folder.glob("*.piece.npy"), *folder.glob(".*.part"), folder / HALF_MADE):
        left.unlink(missing_ok=True)


def _check_same(folder: Path, how: str, before: dict[str, Any], settings: dict[str, Any]) -> None:
    for key, value in settings.items():
        if before.get(key) != value:
            short = isinstance(value, str | int)
            different = f"{key}={before.get(key)}, this is {key}={value}" if short else f"other {key}"
            raise ValueError(
                f"prepare.to={folder} {how} with {different}: say the same again, or name another folder, or remove it"
            )


def _fingerprint(images: ImageSet) -> dict[str, int]:
    """Tells one listing from another."""
    labels: Tensor = images.labels
    names = np.ascontiguousarray(images.names)
    return {"images": len(images), "crc32": zlib.crc32(labels.numpy().tobytes(), zlib.crc32(names.tobytes()))}


def _versions() -> dict[str, str]:
    packages = ("simplejpeg", "pillow", "numpy", "torch")
    return {"cnnlit": cnnlit.__version__, **{package: metadata.version(package) for package in packages}}


def _piece(folder: Path, shard: str) -> Path:
    return folder / f"{shard}.piece.npy"


def _as_json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """A path beside the place, from which the file is put there in the end, if nothing goes wrong."""
    aside = path.with_name(f".{path.name}.part")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def _save(path: Path, array: NDArray[Any]) -> None:
    with _aside(path) as aside, aside.open("wb") as file:
        np.save(file, array)
        file.flush()
        os.fsync(file.fileno())


def _write_whole(path: Path, content: bytes) -> None:
    with _aside(path) as aside, aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
