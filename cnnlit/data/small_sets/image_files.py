"""Sets as encoded images: class folders, archives of them, and the hub's parquet files."""

import lzma
import os
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnnlit.data.loading.decoding import EncodedImage
from cnnlit.data.loading.image_set import ImageSet, LoadedImages, load
from cnnlit.data.small_sets.contents import Contents, Located, as_labels
from cnnlit.data.small_sets.published import SmallSet
from cnnlit.data.sources.folders import ImageFiles, folders_in, some
from cnnlit.data.sources.found_files import files_below, is_image, is_lossy

TRAINING, TEST = ("train", "training"), ("test", "testing", "t10k", "val", "validation")
SPLITS = (TRAINING, TEST)
"""Names of folders and files of each split, the first that is there."""

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")
IMAGE_COLUMNS, LABEL_COLUMNS = ("image", "img"), ("fine_label", "label", "labels", "digit")


class EncodedImages(NamedTuple):
    """Encoded images in memory. See ImageSet."""

    folder: Path
    paths: Sequence[str]
    contents: Sequence[bytes]
    labels: Tensor
    """int64 [N]."""

    def __len__(self) -> int:
        return len(self.contents)

    @property
    def names(self) -> NDArray[np.bytes_]:
        return np.array([os.fsencode(path) for path in self.paths], np.bytes_)

    def path(self, index: int) -> str:
        return self.paths[index]

    def open(self, index: int) -> EncodedImage:
        return EncodedImage(self.contents[index], self.paths[index])

    def subset(self, indices: Tensor) -> "EncodedImages":
        chosen = indices.tolist()
        paths, contents = [self.paths[index] for index in chosen], [self.contents[index] for index in chosen]
        return EncodedImages(self.folder, paths, contents, self.labels[indices])


def locate_folders(published: SmallSet, folder: Path) -> Located | None:
    """Class folders in a folder for each split, named after the classes, or numbered."""
    train = next((folder / name for name in TRAINING if (folder / name).is_dir()), None)
    if train is None or not _labels(published, folders_in(train)):
        return None
    test = next((folder / name for name in TEST if (folder / name).is_dir()), None)
    splits = [part for part in (train, test) if part]
    lossy = any(_is_lossy(files_below(train / each).images) for each in folders_in(train))
    return Located(
        f"class folders of {'JPEG' if lossy else 'image'} files",
        folder,
        read=lambda: _decoded([_listed(published, part) for part in splits], published),
        lossy=lossy,
    )


def locate_archive(published: SmallSet, folder: Path) -> Located | None:
    """A tar archive of class folders that is named after the set."""
    name = _plain(published.title)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.endswith(ARCHIVES) and _plain(path.name).startswith(name):
            with _reading(path), tarfile.open(path) as tar:
                place = next((found for member in tar if (found := _place(member.name))), None)
            if place and _labels(published, [place[1]]):
                lossy = _is_lossy([place[2]])
                form = f"an archive of class folders of {'JPEG' if lossy else 'image'} files"
                return Located(form, path, read=partial(_unpacked, published, path), lossy=lossy)
    return None


def locate_parquet(published: SmallSet, folder: Path) -> Located | None:
    """Parquet files as Hugging Face's hub has them, in the folder or in one or two below it."""
    for place in (folder, *(path for path in sorted(folder.glob("*")) if path.is_dir())):
        splits = [sorted(file for name in names for file in place.glob(f"{name}-*.parquet")) for names in SPLITS]
        if splits[0]:
            return Located("parquet files", place, read=partial(_read_parquet, published, splits))
    return None


def _read_parquet(published: SmallSet, splits: Sequence[Sequence[Path]]) -> Contents:
    return _decoded([_rows(published, files) for files in splits if files], published)


def _decoded(sets: Sequence[ImageSet], published: SmallSet) -> Contents:
    parts = [_as_grey(part) if published.shape[0] == 1 else part for part in load(sets)]
    return Contents(parts[0], parts[1] if len(parts) > 1 else None, class_names=published.class_names)


def _as_grey(part: LoadedImages) -> LoadedImages:
    """The one channel of grey images, which decode to three equal ones."""
    return LoadedImages(part.pixels[:, :1].contiguous(), part.labels)


def _labels(published: SmallSet, names: Iterable[str]) -> dict[str, int]:
    """The label of each name that is one of the set's: a class, or its number."""
    known = {_plain(name): label for label, name in enumerate(published.class_names)}
    numbers = {str(label): label for label in range(len(published.class_names))}
    labels = {**numbers, **known} if not known.keys() >= numbers.keys() else known
    return {name: labels[plain] for name in names if (plain := _plain(name)) in labels}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _is_lossy(names: Iterable[str]) -> bool:
    return any(is_lossy(name) for name in names)


def _listed(published: SmallSet, folder: Path) -> ImageFiles:
    names = folders_in(folder)
    labels = _labels(published, names)
    if unknown := [name for name in names if name not in labels]:
        raise ValueError(f"{folder} holds {some(unknown)}, which {published.title} has no class of")
    names = sorted(names, key=lambda name: labels[name])
    files = [(f"{name}/{image}", labels[name]) for name in names for image in files_below(folder / name).images]
    if not files:
        raise ValueError(f"{folder} holds no images")
    paths, numbers = zip(*files, strict=True)
    return ImageFiles(folder, np.array([os.fsencode(path) for path in paths], np.bytes_), as_labels(np.array(numbers)))


def _place(name: str) -> tuple[str, str, str] | None:
    """The split, the class and the file's name of a member of an archive."""
    parts = PurePosixPath(name).parts
    split = next((number for number, part in enumerate(parts[:-2]) if part in (*TRAINING, *TEST)), None)
    return None if split is None or not is_image(name) else (parts[split], parts[split + 1], parts[-1])


def _unpacked(published: SmallSet, archive: Path) -> Contents:
    splits: dict[bool, list[tuple[str, bytes, int]]] = {}
    with _reading(archive):
        for name, content in _members(archive):
            if place := _place(name):
                split, folder, _ = place
                if (label := _labels(published, [folder]).get(folder)) is None:
                    raise ValueError(f"{archive} holds {name}, which {published.title} has no class of")
                splits.setdefault(split in TRAINING, []).append((f"{archive}/{name}", content, label))
    sets = []
    for part in (splits[key] for key in (True, False) if key in splits):
        paths, contents, labels = zip(*sorted(part, key=lambda each: (each[2], each[0])), strict=True)
        sets.append(EncodedImages(archive, paths, contents, torch.tensor(labels)))
    return _decoded(sets, published)


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isreg() and not Path(member.name).name.startswith(".") and (stream := tar.extractfile(member)):
                yield member.name, stream.read()


@contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """Turn the errors of a damaged archive into one line that names it."""
    try:
        yield
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise ValueError(f"{archive} is damaged or cut short ({error})") from None


def _rows(published: SmallSet, files: Sequence[Path]) -> EncodedImages:
    try:
        from pyarrow import parquet
    except ImportError:
        raise ValueError(f"{files[0]}: parquet files are read by pyarrow; pip install 'cnnlit[parquet]'") from None
    paths: list[str] = []
    contents: list[bytes] = []
    labels: list[int] = []
    for file in files:
        try:
            table = parquet.read_table(file)
        except Exception as error:  # pyarrow's errors are of many kinds
            raise ValueError(f"{file} cannot be read as a parquet file ({error})") from None
        image, label = (_column(table, names, file) for names in (IMAGE_COLUMNS, LABEL_COLUMNS))
        contents += [row["bytes"] if isinstance(row, dict) else row for row in table[image].to_pylist()]
        labels += table[label].to_pylist()
        paths += [f"{file}, row {number}" for number in range(table.num_rows)]
    return EncodedImages(files[0].parent, paths, contents, torch.tensor(labels, dtype=torch.int64))


def _column(table: Any, names: Sequence[str], file: Path) -> str:
    for name in names:
        if name in table.column_names:
            return name
    raise ValueError(f"{file} has the columns {', '.join(table.column_names)}; one of {', '.join(names)} is expected")
