"""Write a store to an address: it is made on this machine's disk, and taken there once it is whole."""

import hashlib
import shutil
from pathlib import Path

from cnnlit.data.remote.addresses import Address, as_address, asked, file_system, is_address, protocol_of
from cnnlit.data.shards.shard_index import cache_folder
from cnnlit.data.stores.store import COMPLETE
from cnnlit.files import LOCK, progress, write_whole


def place_of(to: str, *, by_hand: bool) -> Path:
    """Where a store that is to go somewhere is made: there, or for an address, in this machine's cache.

    Args:
        to: where it goes.
        by_hand: whether something is asked for that only a folder offers.

    Raises:
        ValueError: for an address that cannot be written to.
    """
    if not is_address(to):
        return Path(to)
    if protocol_of(to).startswith("http"):
        raise ValueError(f"prepare.to={to}: a server on the web is only read; name a folder, s3://... or gs://...")
    if by_hand:
        raise ValueError(f"prepare.to={to}: shares, verify and replace_damaged are for a folder; leave them out")
    return cache_folder() / "preparing" / hashlib.sha256(as_address(to).encode()).hexdigest()[:20]


def shown_place(to: str) -> Path:
    """The same, for messages."""
    return Address(as_address(to)) if is_address(to) else Path(to)


def begin(to: str, folder: Path) -> None:
    """Learn whether a store is there, if it goes to an address: `folder` then says so as well.

    Raises:
        OSError: one line, if the address does not answer.
    """
    if is_address(to):
        address = f"{as_address(to)}/{COMPLETE}"
        files = file_system(protocol_of(to))
        if asked(address, lambda: files.exists(address)):
            write_whole(folder / COMPLETE, asked(address, lambda: files.cat_file(address)))


def deliver(to: str, folder: Path) -> None:
    """Take a store that is whole to its address, and remove it here; again and again, it takes what is not there yet.

    Raises:
        OSError: one line, if the address does not take it.
    """
    if not is_address(to):
        return
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name not in (COMPLETE, LOCK))
    for name in progress([*names, COMPLETE], f"copying to {as_address(to)}", len(names) + 1):
        _copy(folder / name, f"{as_address(to)}/{name}")
    shutil.rmtree(folder)


def _copy(path: Path, address: str) -> None:
    files = file_system(protocol_of(address))
    size = path.stat().st_size
    if path.name == COMPLETE or not _is_there(address, size):
        asked(address, lambda: files.put_file(str(path), address))
    if not _is_there(address, size):
        raise OSError(f"{address}: is not as long as what was written; say the same again")


def _is_there(address: str, size: int) -> bool:
    files = file_system(protocol_of(address))
    files.invalidate_cache()
    return bool(asked(address, lambda: files.exists(address)) and files.info(address)["size"] == size)
