"""Extract ImageNet's official archives into class folders beside them; interrupted at any moment, it can continue.

Images are written to .train.partial and .val.partial, which are renamed train and val once they are complete.
"""

import hashlib
import os
import shutil
import tarfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Literal

from cnnlit.data.sources.folders import WNID, some
from cnnlit.data.sources.validation_labels import find_labels
from cnnlit.files import Lock, in_bytes, progress, saying_where

Split = Literal["train", "val"]

ARCHIVES: dict[Split, str] = {"train": "ILSVRC2012_img_train.tar", "val": "ILSVRC2012_img_val.tar"}
"""The training archive holds one archive for each class, the other one the images."""

PUBLISHED: dict[Split, tuple[int, str]] = {
    "train": (147_897_477_120, "1d675b47d978889d74fa0da5fadfb00e"),
    "val": (6_744_924_160, "29b22e2961454d5413ddabcf34fc5622"),
}
"""Bytes and md5 of the archives as they are given out. Source: image-net.org, torchvision.datasets.imagenet."""

SPARE = 1.02
"""Bytes on the disk for each byte of an archive, as files begin on whole blocks."""


def unextracted(folder: Path) -> dict[Split, Path]:
    """The archives in a folder whose images have not been extracted beside them."""
    found = {split: folder / name for split, name in ARCHIVES.items() if (folder / name).is_file()}
    if "val" in found and _filled(folder / "validation"):
        del found["val"]
    return {split: path for split, path in found.items() if not _filled(folder / split)}


def class_archives(folder: Path) -> list[Path]:
    """The archives of single classes in train/, as the official one holds them, that have not been extracted."""
    found = sorted((folder / "train").glob("n*.tar"))
    return [path for path in found if WNID.fullmatch(path.stem) and not _filled(path.with_suffix(""))]


def extract_archives(folder: Path) -> None:
    """Extract what has not been extracted yet, into train/<wnid> and val/<wnid>; of several processes, one does it.

    The length of every file is compared with what the archive says.

    Raises:
        ValueError: if an archive is damaged or holds what it should not, such as a path out of the folder or a link; or
            if nothing tells the classes of the validation images, see find_labels.
        OSError: if the disk has no room for the images, or the folder cannot be written to.
    """
    if class_archives(folder):
        with alone(folder):
            _extract_classes(class_archives(folder))
    if not unextracted(folder):
        return
    with alone(folder):
        archives = unextracted(folder)
        classes = _classes_of_validation(archives["val"]) if "val" in archives else {}
        _check_space(folder, archives)
        for split, archive in archives.items():
            aside = folder / f".{split}.partial"
            aside.mkdir(exist_ok=True)
            if split == "train":
                _extract_train(archive, aside)
            else:
                _extract_val(archive, aside, classes)
            os.replace(aside, folder / split)


def count_archived(archive: Path, split: Split) -> Counter[str]:
    """The number of images of each class in an archive, from the headers of its members.

    Raises:
        ValueError: see extract_archives.
    """
    if split == "val":
        return Counter(_classes_of_validation(archive).values())
    with _opened(archive) as outer:
        return Counter(
            {
                Path(each.name).stem: sum(1 for _ in _members(inner, archive))
                for each in progress(_class_archives(outer, archive), f"counting in {archive.name}", 1000)
                if (inner := _inner(outer, each))
            }
        )


def count_classes(packed: list[Path]) -> Counter[str]:
    """The number of images in archives of a class each, from the headers of their members.

    Raises:
        ValueError: see extract_archives.
    """
    return Counter({path.stem: _count(path) for path in progress(packed, f"counting in {packed[0].parent}", 1000)})


def compared(archive: Path, split: Split, *, read: bool) -> str:
    """Whether an archive is the published one, in a sentence.

    Args:
        archive: one of the official ones, by its name.
        split: that it holds.
        read: whether to read all of it for its md5; its length is always compared.
    """
    size, md5 = PUBLISHED[split]
    found = archive.stat().st_size
    if found != size:
        return f"{archive.name} has {found:,} bytes where the published one has {size:,}: a part of it, or cut short."
    if not read:
        return f"{archive.name} is as long as the published one; doctor.scan=all compares its md5."
    with archive.open("rb") as file:
        same = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == md5
    return f"{archive.name} {'is the published one' if same else 'is damaged: it is not the published one'}, by md5."


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes waiting while this one writes to a folder."""
    lock = Lock(folder)
    try:
        lock.take(wait=True)
    except OSError as error:
        raise OSError(
            f"{folder} cannot be written to ({error.strerror}); point data.root to a folder of your own, with links to "
            "what is there"
        ) from None
    try:
        yield
    finally:
        lock.give_back()


def _extract_classes(packed: list[Path]) -> None:
    """Extract archives of a class each beside them; a folder takes its name once it is complete."""
    folder = packed[0].parent
    _check_free(folder, packed, sum(map(_size_of_members, packed)) * SPARE)
    for archive in progress(packed, f"extracting {folder.name}", len(packed)):
        aside = folder / f".{archive.stem}.partial"
        aside.mkdir(exist_ok=True)
        with _opened(archive) as tar:
            _extract(tar, archive, dict.fromkeys(_members(tar, archive), aside))
        os.replace(aside, folder / archive.stem)


def _extract_train(archive: Path, aside: Path) -> None:
    with _opened(archive) as outer:
        for each in progress(_class_archives(outer, archive), f"extracting {archive.name}", 1000):
            folder = aside / Path(each.name).stem
            folder.mkdir(exist_ok=True)
            inner = _inner(outer, each)
            _extract(inner, archive, dict.fromkeys(_members(inner, archive), folder))


def _extract_val(archive: Path, aside: Path, classes: dict[str, str]) -> None:
    for wnid in set(classes.values()):
        (aside / wnid).mkdir(exist_ok=True)
    with _opened(archive) as tar:
        named = {each: aside / classes[_name(each)] for each in _members(tar, archive) if _name(each) in classes}
        _extract(tar, archive, named, "extracting " + archive.name)


def _extract(tar: tarfile.TarFile, archive: Path, places: dict[tarfile.TarInfo, Path], what: str = "") -> None:
    """Write members to their folders, except those that are there at full length: an interrupted file is shorter."""
    folders = set(places.values())
    there = {entry.path: entry.stat().st_size for folder in folders for entry in os.scandir(folder)}
    _check_room(archive, [member for member in places if there.get(str(places[member] / _name(member))) != member.size])
    for member in progress(places, what, len(places)) if what else places:
        target = places[member] / _name(member)
        if there.get(str(target)) == member.size:
            continue
        source = tar.extractfile(member)
        assert source is not None
        with source, saying_where(target, member.size), target.open("wb") as file:
            shutil.copyfileobj(source, file)
        if target.stat().st_size != member.size:
            raise _damaged(archive, f"{member.name} has {target.stat().st_size:,} bytes of {member.size:,}")


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(archive, "r:") as tar:
            yield tar
    except (tarfile.TarError, EOFError) as error:
        raise _damaged(archive, error) from None


def _count(archive: Path) -> int:
    with _opened(archive) as tar:
        return sum(1 for _ in _members(tar, archive))


def _inner(outer: tarfile.TarFile, member: tarfile.TarInfo) -> tarfile.TarFile:
    return tarfile.open(fileobj=outer.extractfile(member), mode="r:")


def _class_archives(outer: tarfile.TarFile, archive: Path) -> list[tarfile.TarInfo]:
    members = list(_members(outer, archive))
    for member in members:
        if not (_name(member).endswith(".tar") and WNID.fullmatch(Path(member.name).stem)):
            raise ValueError(f"{archive} holds {member.name}, where there should be an archive for each class")
    return members


def _members(tar: tarfile.TarFile, archive: Path) -> Iterator[tarfile.TarInfo]:
    """All files in an archive, without its folders.

    Raises:
        ValueError: for a path that leads out of the folder, a link, a device, a name that comes twice, a missing end.
    """
    names = set()
    for member in tar:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{archive} is refused: {member.name} leads out of the folder that it is extracted to")
        if member.isdir():
            continue
        if not member.isreg():
            raise ValueError(f"{archive} is refused: {member.name} is a link or a device, where files are expected")
        if path.name in names:
            raise ValueError(f"{archive} is refused: it holds {path.name} twice")
        names.add(path.name)
        if not path.name.startswith("."):
            yield member
    # An archive ends with empty blocks; nothing else reveals that one was cut off between two files.
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise _damaged(archive, "its end is missing")


def _classes_of_validation(archive: Path) -> dict[str, str]:
    """The class of each image, by its name."""
    with _opened(archive) as tar:
        names = [_name(member) for member in _members(tar, archive)]
    if not names:
        raise _damaged(archive, "it is empty")
    return find_labels(archive, names, [archive.parent]).class_of


def _check_space(folder: Path, archives: dict[Split, Path]) -> None:
    done = sum(path.stat().st_size for split in archives for path in folder.glob(f".{split}.partial/*/*"))
    needed = sum(map(_size_of_members, archives.values())) * SPARE - done
    _check_free(folder, list(archives.values()), needed)


def _check_free(folder: Path, archives: list[Path], needed: float) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            f"{folder}: extracting {' and '.join(path.name for path in archives[:2])} takes "
            f"{in_bytes(needed)}, and {in_bytes(free)} are free; make room, or point data.root to a folder on "
            "another disk with links to the archives"
        )


def _size_of_members(archive: Path) -> int:
    """Bytes of all files in an archive, which is smaller than they are where they are sparse."""
    with _opened(archive) as tar:
        return sum(member.size for member in _members(tar, archive))


def _check_room(archive: Path, members: list[tarfile.TarInfo]) -> None:
    """Refuse sparse files that the disk has no room for; the archive's own size was checked before."""
    sparse = sum(member.size for member in members if member.issparse())
    if sparse and (free := shutil.disk_usage(archive.parent).free) < sparse:
        names = some(member.name for member in members if member.issparse())
        raise OSError(
            f"{archive}: {names} in it would take {in_bytes(sparse)}, and {in_bytes(free)} are free: a sparse file is "
            "no image"
        )


def _filled(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _name(member: tarfile.TarInfo) -> str:
    return PurePosixPath(member.name).name


def _damaged(archive: Path, why: object) -> ValueError:
    return ValueError(f"{archive} is damaged or cut short ({why}); download it again")
