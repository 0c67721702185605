"""An object store, and a set in each form that is read from one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from data.remote.object_store import KINDS, SECRET, Proxy, object_store, url_of
from data.shards.sharded import parquet_shards, tar_shards

from cnnlit.data.remote import addresses, range_requests
from cnnlit.data.sources.layouts import find_images
from cnnlit.data.stores.store_writer import Preparation


@pytest.fixture(scope="module")
def served() -> Iterator[Proxy]:
    with object_store() as proxy:
        yield proxy


@pytest.fixture(scope="module")
def sets(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("sets")
    tar_shards(photographs, root / "tar", size=10)
    parquet_shards(photographs, root / "parquet", size=10, rows=3)
    listing = find_images(root / "tar")
    Preparation(to=str(root / "store"), side=32).run(listing)
    Preparation(to=str(root / "raw"), side=32, encoding="raw").run(listing)
    return {name: root / name for name in KINDS}


@pytest.fixture
def store(served: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    for name, value in (
        ("AWS_ENDPOINT_URL", url_of(served)),
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_MAX_ATTEMPTS", "1"),
        ("XDG_CACHE_HOME", str(tmp_path / "cache")),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(addresses, "PAUSE_SECONDS", 0.01)
    addresses._file_system.cache_clear()
    range_requests._signed.clear()
    served.faults.clear()
    served.seconds = 0
    return served
