"""Find a small set wherever torchvision, Keras, the hub or its authors' archives leave it, and know that it is it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from cnnlit.data.small_sets.array_files import locate_matlab, locate_npz
from cnnlit.data.small_sets.cifar_files import locate_cifar
from cnnlit.data.small_sets.contents import Contents, Located, NotThisSetError
from cnnlit.data.small_sets.idx_files import SAME_MEAN, locate_idx, looks_like, missing_idx
from cnnlit.data.small_sets.image_files import locate_archive, locate_folders, locate_parquet
from cnnlit.data.small_sets.published import SmallSet
from cnnlit.files import refuse_address

PUBLISHED = {"idx": locate_idx, "cifar": locate_cifar, "matlab": locate_matlab}
FORMS = (locate_npz, locate_parquet, locate_folders, locate_archive)
"""What finds a set in a folder; the published form of its kind is tried first, everywhere."""


class Found(NamedTuple):
    """A set that was found, read and known."""

    contents: Contents
    located: Located
    remarks: tuple[str, ...]
    """What whoever reads a result on it has to know."""


def places(published: SmallSet, root: Path) -> list[Path]:
    """The folders in which to look: the root, those below it that are named after the set, Keras' and the hub's."""
    refuse_address("data.root", root)
    below = [root / name for name in published.folders]
    keras = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "datasets"
    outside = [keras, *(keras / name for name in published.folders), *_at_the_hub(published)]
    return [place for place in dict.fromkeys([root, *below, root / "raw", *outside]) if place.is_dir()]


def _at_the_hub(published: SmallSet) -> Iterator[Path]:
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    names = {published.title.lower().replace("-", separator) for separator in ("", "_", "-")}
    for snapshots in (home / "hub").glob("datasets--*/snapshots"):
        if snapshots.parent.name.rpartition("--")[2].lower() in names:
            yield from (path for path in sorted(snapshots.glob("*")) if path.is_dir())


def locate(published: SmallSet, root: str | Path) -> list[Located]:
    """All places and forms in which a set seems to be, the most likely first; nothing is read yet."""
    folders = places(published, Path(root).expanduser())
    finders = (PUBLISHED[published.kind], *FORMS)
    found = (finder(published, folder) for finder in finders for folder in folders)
    return [located for located in found if located]


def find(published: SmallSet, root: str | Path) -> Found:
    """Read a set.

    Args:
        published: its line of the table.
        root: the folder that holds it, or one in which a folder named after it does.

    Raises:
        FileNotFoundError: if it is nowhere; says what was looked for and where.
        ValueError: if what is there is damaged, or is another set.
    """
    refusals: list[ValueError] = []
    for located in locate(published, root):
        try:
            contents = located.read()
            return Found(contents, located, _judged(published, located, contents))
        except NotThisSetError as refusal:  # it may lie elsewhere
            refusals.append(refusal)
    if refusals:
        raise refusals[0]
    raise FileNotFoundError(missing(published, root))


def missing(published: SmallSet, root: str | Path) -> str:
    """What was looked for, and where."""
    root = Path(root).expanduser()
    files = ", ".join(file.name for file in published.files)
    if published.kind == "idx" and len(published.files) == 4:
        files = f"{', '.join(missing_idx(published, places(published, root)) or [published.files[0].name])} (or .gz)"
    return f"{published.title}'s {files} not in {root.absolute()} or its {', '.join(published.folders)}"


def _judged(published: SmallSet, located: Located, contents: Contents) -> tuple[str, ...]:
    """Remarks on what was read.

    Raises:
        NotThisSetError: if it is not what it is called.
    """
    verified = located.verified()
    counts = (len(contents.train), len(contents.test) if contents.test else 0)
    whole = counts == published.counts
    if verified:
        return ()
    if verified is False and whole:
        raise NotThisSetError(f"{located.path} differs from the published files by md5: {_seen(published, contents)}")
    if located.lossy:
        of = "" if whole else f", {counts[0]:,} training and {counts[1]:,} test images of them"
        return (f"{published.title} from JPEG files{of}: its pixels are not the published ones",)
    if not whole:
        there = f"{counts[0]:,} training and {counts[1]:,} test images"
        published_counts = " and ".join(f"{count:,}" for count in published.counts)
        return (f"{located.path} holds {there}, where {published.title} has {published_counts}: not the published set",)
    if published.mean is not None and abs(_mean(contents) - published.mean) > SAME_MEAN:
        raise NotThisSetError(f"{located.path}: {_seen(published, contents)}")
    return ()


def _seen(published: SmallSet, contents: Contents) -> str:
    count, _, *size = contents.train.pixels.shape
    return looks_like(_mean(contents), (count, *size), published)


def _mean(contents: Contents) -> float:
    """Of all bytes of the training images, 0 to 1."""
    pixels = contents.train.pixels
    return float(pixels.sum(dtype=torch.int64)) / max(1, pixels.numel()) / 255
