"""Photographs from tar shards, parquet files and an object store, beside the same photographs in class folders.

Whole loaders on one core, with one worker (a thread), in batches of 64, AlexNet's transform; the files are in the page
cache, but where they are called cold: the kernel is then told to forget them before each round. The object store is an
S3 server on this machine that answers every request 50 ms later, in a process of its own; what it costs is not the
loader's, so its ratio is that of wall time, with both cores. An index is built of so many members: 32 shards of 40,000
images with their classes, of a pixel each.
"""

import io
import multiprocessing
import os
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import torch

from benchmarks.photographs import ALEXNET, BATCH, SIDE, one_core, photographs, threaded
from benchmarks.timing import Claim, Clock, interleaved, ratio, seconds
from cnnlit.data.loading.batch_sampler import BatchSampler
from cnnlit.data.loading.datasets import DecodedImages
from cnnlit.data.loading.image_set import ImageSet, blocks_of
from cnnlit.data.loading.read_ahead import ReadAhead
from cnnlit.data.loading.threads import ThreadLoader
from cnnlit.data.remote.remote_sets import find_remote
from cnnlit.data.sources.layouts import find_images
from cnnlit.data.transforms.augmentation import Augmentation
from cnnlit.data.transforms.colours import Normalize
from cnnlit.parallel.devices import keep_freed_memory

ROUNDS, FAR_ROUNDS, COPIES = 3, 2, 8
"""The photographs are written several times, so that a process does not keep all groups of rows that it has read."""
IN_SHARD, IN_GROUP = 110, 20
LATENCY_SECONDS = 0.05
SHARDS, MEMBERS = 32, 80_000


def measure(root: str) -> list[Claim]:
    """The claims on the photographs of imagenet-sample below `root`."""
    keep_freed_memory()
    every = photographs(Path(root) / "imagenet-sample")
    files = every.subset(torch.arange(len(every)).repeat(COPIES))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        _write_tar(files, folder / "tar")
        _write_parquet(files, folder / "parquet")
        sets = {"folders": files, **{name: find_images(folder / name).train for name in ("tar", "parquet")}}
        with one_core():
            costs = interleaved({name: _loading(images) for name, images in sets.items()}, ROUNDS)
        claims = [
            ratio("class folders / tar shards", costs, "folders", "tar", bound=0.95, at_most=False),
            ratio("class folders / parquet files", costs, "folders", "parquet", bound=0.9, at_most=False),
            *(seconds(f"  {name}, per image", costs, name, per=len(files) / 1000, unit="ms") for name in sets),
        ]
        return [*claims, *_cold(folder, files), *_far(folder, sets), *_index(folder / "many")]


def _loading(images: ImageSet, ahead: bool = False) -> Any:
    augmentation = Augmentation(ALEXNET, image_size=SIDE, normalize=Normalize("mean_std"), seed=0)
    batches: Any = BatchSampler(len(images), BATCH, order="fresh", blocks=blocks_of(images))
    dataset = DecodedImages(images, augmentation)
    if not ahead:
        return threaded(dataset, batches)
    loader = ThreadLoader(dataset, ReadAhead(batches, 1), num_threads=1, pin_memory=False)

    def measured() -> Any:
        clock = Clock()
        clock.start()
        sum(len(batch.labels) for batch in loader)
        return clock.stop()

    return measured


def _cold(folder: Path, files: Any) -> list[Claim]:
    """Shards and as many files as there are images, that lie on the disk alone; by the clock, for it is waited for."""
    for index in range(len(files)):
        path = folder / "folders" / "train" / f"{int(files.labels[index]):03d}" / f"{index:06d}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(Path(files.path(index)).read_bytes())
    os.sync()
    variants = {name: _forgotten(folder / name) for name in ("folders", "tar")}
    costs = interleaved(variants, ROUNDS)
    found = ratio("class folders / tar shards, both cold", costs, "folders", "tar", bound=None, at_most=False)
    walls = [a.wall / b.wall for a, b in zip(costs["folders"], costs["tar"], strict=True)]
    return [found._replace(value=found.by_the_clock, bound=1.1, spread=(min(walls), max(walls)))]


def _forgotten(folder: Path) -> Any:
    """A variant whose files are in no cache when it begins."""
    loading = _loading(find_images(folder).train)
    paths = [path for path in folder.rglob("*") if path.is_file() and ".cnnlit" not in path.parts]

    def measured() -> Any:
        for path in paths:
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return loading()

    return measured


def _far(folder: Path, sets: dict[str, Any]) -> list[Claim]:
    """The same files from an object store that takes its time."""
    claims = []
    with _served(folder) as bucket:
        for name in ("tar", "parquet"):
            far = find_remote(f"{bucket}/{name}").train
            costs = interleaved({"near": _loading(sets[name], True), "far": _loading(far, True)}, FAR_ROUNDS)
            what = f"{name} / {name} in S3, 50 ms away"
            found = ratio(what, costs, "near", "far", bound=None, at_most=False)
            walls = [a.wall / b.wall for a, b in zip(costs["near"], costs["far"], strict=True)]
            claims += [
                found._replace(value=found.by_the_clock, bound=0.9, spread=(min(walls), max(walls))),
                found._replace(what="  in CPU time"),
                seconds("  from S3, per image", costs, "far", per=len(far) / 1000, unit="ms"),
            ]
    return claims


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """The address of a folder in a bucket of a server in another process."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(str(folder), theirs), daemon=True)
    process.start()
    before = dict(os.environ)
    os.environ |= _account(ours.recv()) | {"XDG_CACHE_HOME": str(folder / "cache")}
    try:
        yield "s3://benchmark"
    finally:
        os.environ.clear()
        os.environ |= before
        process.kill()


def _account(url: str) -> dict[str, str]:
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
    return {"AWS_ENDPOINT_URL": url, **keys}


def _serve(folder: str, said: Any) -> None:
    """A bucket with the files of a folder, whose server answers LATENCY_SECONDS later.

    moto copies a whole object for each range of it, and closes every connection, which no store does. So ranges are
    read from the files here, and the other requests are moto's.
    """
    import logging

    import s3fs
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    os.environ |= _account(f"http://{host}:{port}")
    files = s3fs.S3FileSystem()
    files.mkdir("benchmark")
    for path in sorted(Path(folder).glob("*/train-*")):
        files.put_file(str(path), f"benchmark/{path.parent.name}/{path.name}")

    class Late(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            time.sleep(LATENCY_SECONDS)
            if "Range" in self.headers:
                self._range(*map(int, self.headers["Range"].removeprefix("bytes=").split("-")))
                return
            there = HTTPConnection(host, int(port))
            there.request("GET", self.path, headers=dict(self.headers))
            answer = there.getresponse()
            self._say(answer.status, answer.read(), {"Content-Type": answer.headers["Content-Type"]})

        def _range(self, first: int, last: int) -> None:
            path = Path(folder, *Path(urlsplit(self.path).path).parts[2:])
            with path.open("rb") as file:
                file.seek(first)
                content = file.read(last + 1 - first)
            told = f"bytes {first}-{first + len(content) - 1}/{path.stat().st_size}"
            self._say(206, content, {"Content-Range": told})

        def _say(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response_only(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Late)
    said.send(f"http://127.0.0.1:{server.server_port}")
    server.serve_forever()


def _index(folder: Path) -> list[Claim]:
    """How fast an index is built, and how much of it a process that maps it holds by itself."""
    folder.mkdir()
    first = folder / "train-0000.tar"
    sizes = {"cls": 1, "jpg": 600}
    members = {f"{number:06d}.{end}": b"7" * size for number in range(MEMBERS // 2) for end, size in sizes.items()}
    _tar(first, members)
    for number in range(1, SHARDS):
        os.link(first, folder / f"train-{number:04d}.tar")
    clock = Clock()
    clock.start()
    images = find_images(folder).train
    cost = clock.stop()
    count = SHARDS * MEMBERS
    assert len(images) == count / 2
    built = count / cost.cpu
    what = f"index of {count / 2e6:.2f} million images, members a second"
    return [Claim(what, built, 1e5, False, "", count / cost.wall, (built, built))]


def _write_tar(files: Any, folder: Path) -> None:
    folder.mkdir()
    for number, first in enumerate(range(0, len(files), IN_SHARD)):
        chosen = range(first, min(first + IN_SHARD, len(files)))
        contents = {f"{index:06d}.jpg": Path(files.path(index)).read_bytes() for index in chosen}
        labels = {f"{index:06d}.cls": str(int(files.labels[index])).encode() for index in chosen}
        _tar(folder / f"train-{number:04d}.tar", dict(sorted({**contents, **labels}.items())))


def _tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def _write_parquet(files: Any, folder: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    folder.mkdir()
    images = [{"bytes": Path(files.path(index)).read_bytes(), "path": None} for index in range(len(files))]
    table = pa.table({"image": images, "label": np.asarray(files.labels)})
    parquet.write_table(table, folder / "train-00000-of-00001.parquet", row_group_size=IN_GROUP)
