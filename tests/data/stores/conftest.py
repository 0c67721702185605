"""A store of the images that the tests of data share."""

from pathlib import Path

import pytest
from data.stores.stored import store

from cnnlit.data.sources.folders import Listing
from cnnlit.data.sources.layouts import find_images
from cnnlit.data.stores import store_folder


@pytest.fixture
def few_images_in_a_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    """24 training images in five shards, 12 of validation in three."""
    monkeypatch.setattr(store_folder, "LEAST_IN_SHARD", 5)


@pytest.fixture
def listing(photographs: Path) -> Listing:
    return find_images(photographs)


@pytest.fixture(params=["jpeg", "raw"])
def encoding(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def made(photographs: Path, tmp_path: Path, encoding: str, few_images_in_a_shard: None) -> Path:
    return store(photographs, tmp_path / "store", encoding=encoding).folder
