"""Inspect a set of images before hours are spent on it: its classes, unreadable files, loading speed."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from cnnlit.data.datamodule import ResumableData
from cnnlit.data.decoded_images import DecodedImageData
from cnnlit.data.duplicates import tells_sizes, twins
from cnnlit.data.findings import Finding, Speed
from cnnlit.data.images import ImageData
from cnnlit.data.images_in_memory import SyntheticImages
from cnnlit.data.loading.batch_sampler import BatchSampler
from cnnlit.data.loading.datasets import DecodedImages
from cnnlit.data.loading.decoding import num_cores
from cnnlit.data.loading.image_set import ImageSet, blocks_of
from cnnlit.data.shards.sharded_images import ShardedImages
from cnnlit.data.small_images import SmallImages
from cnnlit.data.sources.archives import Split, class_archives, compared, count_archived, count_classes, unextracted
from cnnlit.data.sources.class_names import class_names
from cnnlit.data.sources.folders import Listing, class_folders
from cnnlit.data.sources.found_files import files_below
from cnnlit.data.sources.layouts import places
from cnnlit.data.sources.named_splits import is_called_test
from cnnlit.data.transforms.random_numbers import generator
from cnnlit.files import in_bytes, progress

BATCH = 32
"""Images that are decoded between two looks at the clock."""

LONG = 1_000_000
"""Images that no measurement of the speed comes to the end of."""

CHUNK = 64
"""Files that a thread reads before the progress bar moves."""


class Inspection:
    """How closely to look.

    Args:
        scan: which files to decode: `none`; `sample`, a random choice; `all`.
        sample: number of files in a sample, of each split.
        seconds: how long to measure the speed of one core, and that of all workers; 0 not to measure.
        images_per_second: how fast the accelerator trains, if that is known.
    """

    def __init__(
        self,
        *,
        scan: Literal["none", "sample", "all"] = "sample",
        sample: Annotated[int, Ge(1)] = 1000,
        seconds: Annotated[float, Ge(0)] = 3.0,
        images_per_second: Annotated[float, Gt(0)] | None = None,
    ) -> None:
        self.scan = scan
        self.sample = sample
        self.seconds = seconds
        self.images_per_second = images_per_second

    def examine(self, data: ResumableData) -> Finding:
        """Inspect the set of a data module; changes nothing on the disk but for an index of shards.

        Raises:
            FileNotFoundError: if nothing is found.
            ValueError: if what is there is incomplete or contradicts itself.
        """
        if isinstance(data, SmallImages):
            return _small(data)
        if not isinstance(data, ImageData) or isinstance(data, SyntheticImages):
            return _in_memory(data)
        finding = self._examine(data)
        found, asked = len(finding.class_names), data.hparams["num_classes"]
        if found != asked:
            finding.problems.append(f"{found:,} classes, and data.num_classes={asked}: say data.num_classes={found}")
        if not finding.train:
            finding.problems.append("There are no training images, only images to test with.")
        return finding

    def _examine(self, data: ImageData[Any]) -> Finding:
        try:
            listing = data.find()
        except FileNotFoundError:
            for folder in places(data.hparams["root"], data.source):
                archives, packed = unextracted(folder), class_archives(folder)
                if archives or packed:
                    return _archived(folder, archives, packed, read=self.scan == "all")
            raise
        splits = [part for part in (listing.train, listing.val, listing.test) if part is not None]
        tested = "test" if listing.val or data.hparams.get("test") or _is_called_test(listing.test) else "val"
        parts = {"val": listing.val, "test": None, tested: listing.test}
        finding = Finding(
            listing.layout,
            _common(splits),
            listing.class_names,
            train=_counts(listing.train, listing.classes),
            val=_counts(parts["val"], listing.classes),
            test=_counts(parts["test"], listing.classes),
            notes=[*listing.remarks, *(note for files in splits if (note := _shards(files)))],
        )
        if listing.test is None:
            share = data.hparams["test_split"]
            finding.notes.append(f"There is no test set: data.test_split={share} of the images is for the test.")
        if self.scan == "none":
            finding.notes.append(
                "Unreadable files and files that are there twice were not looked for: doctor.scan=none."
            )
        self._find_twins(listing, finding)
        sound = [self._scan(files, finding) for files in splits]
        self._measure(data, next((files for files in sound if len(files)), splits[0]), finding)
        return finding

    def _find_twins(self, listing: Listing, finding: Finding) -> None:
        """Record images that are trained on and tested."""
        if self.scan == "none":
            return
        parts = {part: images for part in ("train", "val", "test") if (images := getattr(listing, part)) is not None}
        if self.scan != "all" and not all(map(tells_sizes, parts.values())):
            finding.notes.append("Parquet files hide what is in them twice: doctor.scan=all reads all of them for it.")
            return
        within = listing.test is None or listing.val is None
        finding.twice = twins(parts, within=within, most=None if self.scan == "all" else self.sample)

    def _scan(self, files: ImageSet, finding: Finding) -> ImageSet:
        """Decode files, record those that cannot be read, and return all others."""
        if self.scan == "none":
            return files
        count = len(files) if self.scan == "all" else min(self.sample, len(files))
        chosen = torch.randperm(len(files), generator=generator(0))[:count].sort().values
        with ThreadPoolExecutor(num_cores()) as threads:
            chunks = torch.split(chosen, CHUNK)
            read = threads.map(lambda chunk: [_reason(files, index) for index in chunk.tolist()], chunks)
            reasons = [each for chunk in progress(read, "reading images", len(chunks)) for each in chunk]
        bad = [index for index, reason in zip(chosen.tolist(), reasons, strict=True) if reason]
        finding.scanned += count
        finding.unreadable |= {
            files.path(index): why for index, why in zip(chosen.tolist(), reasons, strict=True) if why
        }
        kept = torch.ones(len(files), dtype=torch.bool)
        kept[bad] = False
        return files.subset(kept.nonzero()[:, 0])

    def _measure(self, data: ImageData[Any], files: ImageSet, finding: Finding) -> None:
        if not isinstance(data, DecodedImageData):
            finding.notes.append("Training reads all images into memory once: no accelerator waits for them.")
        elif self.seconds and len(files):
            try:
                finding.speed = self._speed(data, files)
            except ValueError as error:  # from a file that was not scanned
                finding.notes.append(f"The speed was not measured: {error}")

    def _speed(self, data: DecodedImageData, files: ImageSet) -> Speed:
        """Measured on images in random order, as in training: most files of a large set are not cached yet."""
        random = _as_trained(files)
        with _one_thread():
            one_core = _rate(_decoded(data.decoded(files), random), self.seconds)
            workers = max(1, data.num_workers)
            repeated = data.decoded(files.subset(random))
            batches = BatchSampler(len(repeated), BATCH, order="sequential")
            loader = data.loader(repeated, batches)
            of_all = _rate((len(batch.labels) for batch in loader), self.seconds)
        return Speed(round(one_core, 1), round(of_all, 1), workers, self.images_per_second)


def _small(data: SmallImages) -> Finding:
    """A small set: the form in which it was found, and how many images of each class it has."""
    data.setup("fit")
    finding = _in_memory(data)
    located, names = data.located, list(data.class_names)
    if located:
        finding.layout, finding.folder = located.form, str(located.path)
    for part, labels in _parts(data).items():
        counts = labels.bincount(minlength=len(names)).tolist()
        setattr(finding, part, Counter(dict(zip(names, counts, strict=True))))
    return finding


def _parts(data: SmallImages) -> dict[str, Tensor]:
    """The labels of the parts that a small set has itself; what is held out of its training images is of these."""
    train, val, test = (data.labels_of(split) for split in ("train", "val", "test"))
    own = not data.hparams["val_split"]
    return {"train": train if own else torch.cat([train, val]), "val": val if own else val[:0], "test": test}


def _in_memory(data: ResumableData) -> Finding:
    """The counts of a set in memory, as the data module splits it."""
    data.setup("fit")
    counts = data.num_images
    return Finding(
        f"{data.source}, in memory",
        "",
        list(data.class_names),
        Counter({"": counts["train"] + counts["val"]}),
        Counter(),
        Counter({"": counts["test"]}),
        notes=[*data.remarks, "Training has all images in memory: no accelerator waits for them."],
    )


def _archived(folder: Path, archives: dict[Split, Path], packed: list[Path], *, read: bool) -> Finding:
    """The counts in ImageNet's official archives, and in those of a class each, before they are extracted."""
    counts: dict[Split, Counter[str]] = {}
    for split in ("train", "val"):
        if split in archives:
            counts[split] = count_archived(archives[split], split)
        elif (folder / split).is_dir():
            places = {name: folder / split / name for name in class_folders(folder / split)}
            counts[split] = Counter({name: len(files_below(place).images) for name, place in places.items()})
    if packed:
        counts["train"] += count_classes(packed)
    classes = sorted(set().union(*counts.values()))
    size = sum(path.stat().st_size for path in [*archives.values(), *packed])
    layout = [*(["official archives"] if archives else []), *(["archives of a class each"] if packed else [])]
    same = [compared(path, split, read=read) for split, path in archives.items()]
    return Finding(
        " and ".join(layout),
        str(folder),
        class_names(classes, [folder]),
        counts.get("train", Counter()),
        counts.get("val", Counter()),
        notes=[f"Not extracted yet: training does so, to {folder}; it takes {in_bytes(size)}.", *same],
    )


def _counts(files: ImageSet | None, classes: list[str]) -> Counter[str]:
    if not files:
        return Counter()
    return Counter(dict(zip(classes, files.labels.bincount(minlength=len(classes)).tolist(), strict=True)))


def _common(splits: list[ImageSet]) -> str:
    """The folder of all parts."""
    folders = {str(files.folder) for files in splits}
    return folders.pop() if len(folders) == 1 else os.path.commonpath(folders)


def _shards(files: ImageSet) -> str | None:
    """A word on shards: how many, and how large."""
    if not isinstance(files, ShardedImages):
        return None
    sizes = sorted(shard.size for shard in files.shards)
    return f"{len(sizes):,} shards from {in_bytes(sizes[0])} to {in_bytes(sizes[-1])}, {in_bytes(sum(sizes))} in all."


def _as_trained(files: ImageSet) -> Tensor:
    """A million images in the order of training: any, or blocks of those that are read together."""
    if (blocks := blocks_of(files)) is None:
        return torch.randint(len(files), (LONG,), generator=generator(1))
    epoch = BatchSampler(len(files), BATCH, order="fresh", blocks=blocks).presentations(0)
    return epoch.repeat(-(-LONG // len(epoch)))[:LONG]


def _is_called_test(files: ImageSet | None) -> bool:
    return files is not None and is_called_test(Path(files.folder))


def _reason(files: ImageSet, index: int) -> str | None:
    """Why an image cannot be read."""
    try:
        files.open(index).rgb()
    except ValueError as error:
        return str(error).removeprefix(files.path(index)).strip()
    return None


def _decoded(images: DecodedImages, order: Tensor) -> Iterator[int]:
    """The number of images in each batch, once it is decoded."""
    for batch in torch.split(order, BATCH):
        yield len(images.accept(images[0, batch]).labels)


def _rate(counts: Iterator[int], seconds: float) -> float:
    """Images per second, not counting the first batch, which waits for workers to start."""
    next(counts)
    began, total = time.perf_counter(), 0
    for count in counts:
        total += count
        if time.perf_counter() - began >= seconds:
            break
    return total / (time.perf_counter() - began)


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
