"""Download files as they are published: from one mirror after another, continued where it broke off, checked, whole."""

import os
import shutil
import tarfile
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path

from cnnlit.data.small_sets.finding import locate, missing
from cnnlit.data.small_sets.idx_files import digest
from cnnlit.data.small_sets.published import File, SmallSet
from cnnlit.data.sources.archives import alone
from cnnlit.data.sources.imagenette import fetch


def obtain(published: SmallSet, root: str | Path) -> None:
    """Make sure that a set is below `root`, or where other programs keep it: find it, or else download it.

    Raises:
        FileNotFoundError: if it is neither there nor on any mirror; one line that says what was tried.
    """
    if locate(published, root):
        return
    root = Path(root).expanduser()
    new = not root.exists()
    root.mkdir(parents=True, exist_ok=True)
    try:
        with alone(root):
            if not locate(published, root):
                _download(published, root)
    finally:
        if new and not any(path.name != ".lock" for path in root.rglob("*") if path.is_file()):
            shutil.rmtree(root)


def _download(published: SmallSet, root: Path) -> None:
    """All files of a set, which take their names once all are there; until then they are hidden, for the next try."""
    folder = root if published.kind == "cifar" else root / published.folders[0]
    absent = missing(published, root)
    folder.mkdir(parents=True, exist_ok=True)
    parts = [_from_any_mirror(file, published.mirrors, folder, absent) for file in published.files]
    for part, file in zip(parts, published.files, strict=True):
        os.replace(part, folder / file.name)
    if published.kind == "cifar":
        _unpack(folder / published.files[0].name)


def _from_any_mirror(file: File, mirrors: Sequence[str], folder: Path, absent: str) -> Path:
    part = folder / f".{file.name}.partial"
    if part.is_file() and digest(part.read_bytes()) == file.md5:
        return part
    reasons = []
    for mirror in mirrors:
        try:
            fetch(f"{mirror}{file.name}", part)
            _check(part, file)
        except (OSError, ValueError, HTTPException) as error:
            reasons.append(f"{mirror} ({getattr(error, 'reason', error)})")
        else:
            return part
    raise FileNotFoundError(
        f"{absent}; no download from {', '.join(reasons)}; "
        "point data.root to the files, or use data=digits, which needs nothing"
    )


def _check(part: Path, file: File) -> None:
    md5 = digest(part.read_bytes())
    if md5 != file.md5:
        size = part.stat().st_size
        part.unlink()  # it cannot be continued
        raise ValueError(f"{file.name} has md5 {md5} ({size:,} bytes) in place of {file.md5}")


def _unpack(archive: Path) -> None:
    """The folder in an archive appears beside it, whole or not at all; the archive goes."""
    aside = archive.with_name(f".{archive.name}.unpacked")
    shutil.rmtree(aside, ignore_errors=True)
    with tarfile.open(archive) as tar:
        tar.extractall(aside, filter="data")
    for folder in aside.iterdir():
        os.replace(folder, archive.parent / folder.name)
    aside.rmdir()
    archive.unlink()
