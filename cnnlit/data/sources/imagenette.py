"""Imagenette, ten easily classified classes of ImageNet that need no account: downloaded, checked, unpacked.

An interrupted download is kept beside the folder and continued the next time.
"""

import hashlib
import os
import shutil
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Literal, NamedTuple

from cnnlit.data.sources.archives import alone
from cnnlit.data.sources.class_names import IMAGENETTE
from cnnlit.data.sources.folders import folders_in
from cnnlit.data.stores.store import COMPLETE
from cnnlit.files import refuse_address

Size = Literal["full", "320px", "160px"]


class Archive(NamedTuple):
    """One of the archives as its authors publish it."""

    url: str
    md5: str


PUBLISHED: dict[Size, Archive] = {
    "full": Archive("https://s3.amazonaws.com/fast-ai-imageclas/imagenette2.tgz", "fe2fc210e6bb7c5664d602c3cd71e612"),
    "320px": Archive(
        "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-320.tgz", "3df6f0d01a2c9592104656642f5e78a3"
    ),
    "160px": Archive(
        "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz", "e793b78cc4c9e9a4ccc0c1155377a412"
    ),
}
"""By the shorter side of the images; full: as they are in ImageNet. Source: github.com/fastai/imagenette."""

CHUNK_BYTES = 2**20
TIMEOUT_SECONDS = 30


def imagenette_folder(root: str | Path, size: Size) -> Path:
    """The folder of Imagenette: the root, if that holds it or a store of it, or else where the archive unpacks to."""
    refuse_address("data.root", root)
    root = Path(root).expanduser()
    if (root / COMPLETE).is_file():
        return root
    if (root / "train").is_dir() and not IMAGENETTE.keys().isdisjoint(folders_in(root / "train")):
        return root
    return root / Path(PUBLISHED[size].url).stem


def obtain_imagenette(root: str | Path, size: Size) -> None:
    """Make sure that Imagenette is there; download it into the root if it is not.

    Raises:
        FileNotFoundError: if it is not there and cannot be downloaded; one line that says why.
        ValueError: if what was downloaded is not what was published.
    """
    folder = imagenette_folder(root, size)
    if folder.is_dir():
        return
    new = not folder.parent.exists()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with alone(folder.parent):
        if not folder.is_dir():
            archive = folder.parent / f".{folder.name}.partial.tgz"
            try:
                fetch(PUBLISHED[size].url, archive)
            except (OSError, HTTPException) as error:
                if new and not archive.exists():
                    shutil.rmtree(folder.parent)
                raise FileNotFoundError(
                    f"no Imagenette in {folder.absolute()}, and no download from {PUBLISHED[size].url} "
                    f"({getattr(error, 'reason', error)}); download it elsewhere and unpack it there, "
                    "or use data=synthetic, which needs nothing"
                ) from None
            _check(archive, size)
            _unpack(archive, folder)


def fetch(url: str, target: Path) -> None:
    """Download, or continue a download that was interrupted.

    Raises:
        OSError: if it cannot be reached or breaks off; what came so far stays.
    """
    from rich.console import Console
    from rich.progress import wrap_file

    done = target.stat().st_size if target.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if done and error.code == 416:  # nothing follows: it is complete
            return
        raise
    with response:
        size = int(response.headers.get("Content-Length") or 0)
        resumed = response.status == 206
        console = Console(stderr=True)
        with (
            target.open("ab" if resumed else "wb") as file,
            wrap_file(response, size, description=Path(url).name, console=console, transient=True) as stream,
        ):
            shutil.copyfileobj(stream, file, CHUNK_BYTES)
    whole = size + (done if resumed else 0)
    if size and target.stat().st_size != whole:
        raise OSError(f"it broke off after {target.stat().st_size:,} of {whole:,} bytes; the next try continues there")


def _check(archive: Path, size: Size) -> None:
    with archive.open("rb") as file:
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if md5 != PUBLISHED[size].md5:
        archive.unlink()
        raise ValueError(
            f"{PUBLISHED[size].url} has md5 {md5} in place of {PUBLISHED[size].md5}: it is damaged or has changed, "
            "and was removed; the next try downloads it again"
        )


def _unpack(archive: Path, folder: Path) -> None:
    """The folder appears whole or not at all."""
    from torchvision.datasets.utils import extract_archive

    aside = folder.parent / f".{folder.name}.partial"
    shutil.rmtree(aside, ignore_errors=True)
    extract_archive(str(archive), str(aside))
    os.replace(aside / folder.name, folder)
    aside.rmdir()
    archive.unlink()
