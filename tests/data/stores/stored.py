"""Make a store as the command does, and open it."""

from pathlib import Path
from typing import Any

from cnnlit.data.sources.folders import Listing
from cnnlit.data.sources.layouts import find_images
from cnnlit.data.stores.store import find_prepared
from cnnlit.data.stores.store_writer import Preparation, PreparedStore

SIDE = 32


def store(root: Path, to: Path, **options: Any) -> PreparedStore:
    return Preparation(to=str(to), **{"side": SIDE, "num_threads": 1, **options}).run(find_images(root))


def found(folder: Path) -> Listing:
    listing = find_prepared(folder)
    assert listing is not None
    return listing
