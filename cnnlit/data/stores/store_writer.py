"""Make a store: images resized once and written so that they stream. See store.py for what is in it."""

import shutil
import zlib
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
from cnnlit.data.loading.decoding import DecodableImage, UnreadableError, num_cores
from cnnlit.data.loading.image_set import ImageSet
from cnnlit.data.loading.threads import in_order
from cnnlit.data.remote.remote_writing import begin, deliver, place_of, shown_place
from cnnlit.data.sources.folders import Listing
from cnnlit.data.stores import store
from cnnlit.data.stores.store import COMPLETE, FORMAT
from cnnlit.data.stores.store_folder import (
    Shard,
    StoredBytes,
    claimed,
    write_about,
    write_index,
    write_shard,
)
from cnnlit.data.stores.store_shares import StoreShare, all_shards, at_work, missing_shards, splits_of, working
from cnnlit.data.transforms.geometry import CenterCrop, Geometry, ShorterSide, Windows
from cnnlit.data.transforms.resampling import show
from cnnlit.files import in_bytes, progress

SAMPLE = 64
"""Images that the size and the fidelity of a store are estimated from."""


LONGEST = 65_500
"""Most pixels of a side of a JPEG. Source: JPEG_MAX_DIMENSION of libjpeg-turbo."""


class PreparedStore(NamedTuple):
    """A store that is complete."""

    folder: Path
    about: dict[str, Any]
    """The content of prepared.json."""
    was_there: bool
    """Whether it was complete before."""
    num_verified: int | None
    """How many images were compared with their checksums; None if that was not asked for."""
    replaced: list[str]
    """Paths of the images that were damaged and were made anew."""
    num_missing: int = 0
    """How many shards other shares have to make; `about` is then empty."""


class Preparation:
    """How images are stored.

    Their shorter side is reduced to `side` by the filter that training uses (a triangle as wide as a pixel of the
    result), so a network trained at this size sees what it would see of the originals. Smaller images are kept as they
    are.

    `jpeg` stores each as a JPEG of that quality. For crops of random size, which show a smaller part of the image,
    a `side` of 384 loses less than one of 256.
    `raw` stores the central square byte by byte, as AlexNet's input is defined: exactly the pixels of the originals
    (Krizhevsky et al. 2012, Sec. 2). Smaller images are enlarged, as there.

    Args:
        to: the folder of the store, or an address; a half-made store is completed.
        encoding: see above.
        side: shorter side of the stored images, in pixels.
        quality: of the JPEG.
        subsampling: of the JPEG; 420 stores colours at half the resolution, as most images have them, 444 at full.
        verify: compare the whole store with its checksums at the end.
        replace_damaged: make the images of a store that is complete, and do not match their checksums, anew from their
            originals.
        shard: the share of the store that this process makes, `3/16` for the third of sixteen; others make the rest, at
            the same time or not, on any machine that has the folder. Whoever makes the last shard completes the store.
        num_threads: that decode and encode; None for one per core. The store does not depend on it.
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
        replace_damaged: bool = False,
        shard: str | None = None,
        num_threads: Annotated[int, Ge(1)] | None = None,
    ) -> None:
        if to is None:
            raise ValueError("prepare.to=FOLDER must say where the prepared images go")
        self.to, self.folder = to, place_of(to, by_hand=bool(shard or verify or replace_damaged))
        self.encoding = encoding
        self.side = side
        self.quality = quality
        self.subsampling = subsampling
        self.verify = verify
        self.replace_damaged = replace_damaged
        self.share = None if shard is None else StoreShare.of_text(shard)
        if self.share and (verify or replace_damaged):
            key = "verify" if verify else "replace_damaged"
            raise ValueError(f"prepare.{key}=true: is for a complete store; say it without prepare.shard")
        self.num_threads = num_threads or num_cores()

    def run(self, listing: Listing, on_unreadable: Literal["stop", "skip"] = "stop") -> PreparedStore:
        """Make the store, or what is missing of it; may be interrupted at any moment and run again.

        Args:
            listing: the images.
            on_unreadable: stop at an image that cannot be read, or leave it out and say so in prepared.json.

        Raises:
            ValueError: for an image that cannot be read, and for a folder that holds something else.
            OSError: if the disk is too small.
        """
        begin(self.to, self.folder)
        if self.replace_damaged and not (self.folder / COMPLETE).is_file():
            raise ValueError(f"prepare.replace_damaged=true: {self.folder} is no complete store; leave it out")
        settings = self._settings(listing)
        if self.share:
            return self._make_share(self.share, listing, settings, on_unreadable)
        if at_work(self.folder):
            raise ValueError(f"prepare.to={self.folder}: other processes are making shares of this store")
        with claimed(self.folder, settings) as was_there:
            if not was_there:
                sample = self._make(missing_shards(self.folder, listing), listing, on_unreadable)
                self._complete(listing, settings, sample)
        replaced = self._replace(listing) if self.replace_damaged and was_there else []
        num_verified = store.verify(self.folder) if self.verify else None
        about = store.read_about(self.folder)
        deliver(self.to, self.folder)
        return PreparedStore(shown_place(self.to), about, was_there, num_verified, replaced)

    def _settings(self, listing: Listing) -> dict[str, Any]:
        """What determines every byte of the store, apart from the content of the images."""
        jpeg = {"quality": self.quality, "subsampling": self.subsampling} if self.encoding == "jpeg" else {}
        return {
            "format": FORMAT,
            "encoding": self.encoding,
            "side": self.side,
            **jpeg,
            "classes": listing.classes,
            "class_names": listing.class_names,
            "listed": {split: _fingerprint(images) for split, images in splits_of(listing).items()},
        }

    def _make_share(
        self, share: StoreShare, listing: Listing, settings: dict[str, Any], on_unreadable: str
    ) -> PreparedStore:
        """Make a share of the shards, and complete the store if no other shard is missing."""
        with claimed(self.folder, settings, shared=True) as was_there:
            pass
        if not was_there:
            with working(self.folder, share):
                own = {shard.name for shard in share.shards(all_shards(listing))}
                mine = [shard for shard in missing_shards(self.folder, listing) if shard.name in own]
                sample = self._make(mine, listing, on_unreadable)
            with claimed(self.folder, settings, shared=True) as completed:
                if not completed and (missing := len(missing_shards(self.folder, listing))):
                    return PreparedStore(self.folder, {}, False, None, [], missing)
                if not completed:
                    self._complete(listing, settings, sample)
        return PreparedStore(self.folder, store.read_about(self.folder), was_there, None, [])

    def _make(self, missing: list[Shard], listing: Listing, on_unreadable: str) -> dict[str, Any]:
        """Write shards; returns what a sample of the images says."""
        sample = self._sample(listing.train, on_unreadable)
        self._check_space(sum(len(shard.numbers) for shard in missing), sample["bytes_per_image"])

        def make(job: tuple[int, int]) -> tuple[int, StoredBytes | None]:
            place, number = job
            try:
                content, pixels = self._stored(missing[place].images, number)
            except ValueError:
                if on_unreadable == "stop":
                    raise
                return place, None
            return place, StoredBytes(number, content, *pixels.shape[:2])

        jobs = ((place, number) for place, shard in enumerate(missing) for number in shard.numbers.tolist())
        total = sum(len(shard.numbers) for shard in missing)
        made = progress(in_order(make, jobs, self.num_threads, ahead=32 * self.num_threads), "preparing", total)
        for place, images in groupby(made, key=itemgetter(0)):
            write_shard(self.folder, missing[place], (image for _, image in images if image))
        return sample

    def _complete(self, listing: Listing, settings: dict[str, Any], sample: dict[str, Any]) -> None:
        splits = {split: write_index(self.folder, split, images) for split, images in splits_of(listing).items()}
        source = {"from": str(Path(listing.train.folder).absolute()), "versions": _versions()}
        write_about(self.folder / COMPLETE, {**settings, **source, "sample": sample, "splits": splits})

    def _replace(self, listing: Listing) -> list[str]:
        """Make damaged images anew; their paths."""
        replaced = []
        for split, originals in splits_of(listing).items():
            stored = store.StoredImages(self.folder, split)
            number_of = {name: number for number, name in enumerate(originals.names.tolist())}
            checked = progress(stored.damaged(), "verifying", len(stored))
            for index in [index for index, is_damaged in enumerate(checked) if is_damaged]:
                content, _ = self._stored(originals, number_of[stored.names[index]])
                stored.replace(index, content)
                replaced.append(stored.path(index))
        return replaced

    def _stored(self, images: ImageSet, number: int) -> tuple[bytes, NDArray[np.uint8]]:
        """An image as it is stored, and its pixels before they are encoded.

        Raises:
            UnreadableError: one line that names it, if it cannot be read, or cannot be stored.
        """
        try:
            pixels = np.ascontiguousarray(self.pixels(images.open(number)))
            height, width, _ = pixels.shape
            if self.encoding == "jpeg" and max(height, width) > LONGEST:
                raise UnreadableError(
                    f"{images.path(number)} cannot be stored as a JPEG: it would have {width:,}x{height:,} pixels, and "
                    f"a JPEG has at most {LONGEST:,} in a row; prepare.encoding=raw stores its middle, "
                    "data.on_unreadable=skip leaves it out"
                )
            return self._encoded(pixels), pixels
        except UnreadableError:
            raise
        except ValueError as error:
            path = images.path(number)
            raise UnreadableError(str(error) if path in str(error) else f"{path} cannot be stored: {error}") from None

    def pixels(self, image: DecodableImage) -> NDArray[np.uint8]:
        """An image as it is stored, before it is encoded: uint8 [height, width, 3]."""
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
        """The average size of a stored image in bytes, and its PSNR against the pixels that were encoded."""
        sizes, ratios = [], []
        for number in np.unique(np.linspace(0, len(images) - 1, SAMPLE).astype(int)).tolist():
            try:
                content, pixels = self._stored(images, number)
            except ValueError:
                if on_unreadable == "stop":
                    raise
                continue
            sizes.append(len(content))
            if self.encoding == "jpeg":
                ratios.append(psnr(pixels, simplejpeg.decode_jpeg(content)))
        if not sizes:
            raise ValueError(f"none of {SAMPLE} images in {images.folder} can be stored")
        decibels = round(float(np.mean(ratios)), 2) if ratios else None
        return {"images": len(sizes), "bytes_per_image": round(float(np.mean(sizes)), 1), "psnr_db": decibels}

    def _check_space(self, count: int, bytes_per_image: float) -> None:
        needed, free = 1.05 * count * bytes_per_image, shutil.disk_usage(self.folder).free
        if needed > free:
            raise OSError(
                f"prepare.to={self.folder}: about {in_bytes(needed)} are needed and {in_bytes(free)} are free; "
                "free some, name another disk, or lower prepare.side or prepare.quality"
            )


def psnr(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio of two images of one size, in decibels."""
    error = np.square(one.astype(np.float64) - other).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-10)))


def _fingerprint(images: ImageSet) -> dict[str, int]:
    """What tells one listing from another."""
    labels: Tensor = images.labels
    names = np.ascontiguousarray(images.names)
    return {"images": len(images), "crc32": zlib.crc32(labels.numpy().tobytes(), zlib.crc32(names.tobytes()))}


def _versions() -> dict[str, str]:
    packages = ("simplejpeg", "pillow", "numpy", "torch")
    return {"cnnlit": cnnlit.__version__, **{package: metadata.version(package) for package in packages}}
