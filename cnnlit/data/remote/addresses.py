"""Addresses of images in object stores and on the web, and the way to them."""

import asyncio
import os
import random
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

PACKAGES = {"s3": "s3", "gs": "gcs", "https": "http", "http": "http"}
"""Schemes of addresses, and the extra of cnnlit that reads each."""

ATTEMPTS, PAUSE_SECONDS, MOST_PAUSE_SECONDS = 6, 0.5, 8.0
PATIENCE_SECONDS = 60.0
"""For one answer; what takes longer is asked for again."""

FINAL = (FileNotFoundError, PermissionError, IsADirectoryError)
"""Answers that are the same however often one asks."""


if sys.platform == "win32":
    from pathlib import WindowsPath as PathHere
else:
    from pathlib import PosixPath as PathHere


class Address(PathHere):
    """A place in a store, whose address keeps both of its strokes. A path in name alone: it is for messages."""

    def __str__(self) -> str:
        return super().__str__().replace(os.sep, "/").replace(":/", "://", 1)

    def absolute(self) -> "Address":
        return self


class Cached(NamedTuple):
    """What a machine has of the images at an address."""

    folder: str | None = None
    """Where it keeps what it has read; None for cnnlit's cache."""
    gb: float = 0
    """What that may take, beside indices."""
    copies: str | None = None
    """A folder of copies of some shards."""


NOTHING_CACHED = Cached()


def is_address(root: object) -> bool:
    """Whether images are not on a disk."""
    scheme, stroke, _ = str(root).partition(":/")
    return bool(stroke) and scheme in PACKAGES


def protocol_of(address: str) -> str:
    """`s3` of `s3://bucket/folder`."""
    return address.partition(":")[0]


def as_address(root: object) -> str:
    """An address with both of its strokes, of which a path keeps one, and without one at its end."""
    scheme, _, rest = str(root).partition(":/")
    return f"{scheme}://{rest.strip('/')}"


def file_system(protocol: str) -> Any:
    """fsspec's way to addresses of a scheme, with its own configuration and credentials; one for each process.

    Raises:
        ValueError: one line, if what reads such addresses is not installed.
    """
    return _file_system(protocol, os.getpid())


def signing_file_system(protocol: str) -> Any:
    """The same, which signs addresses of S3 as every bucket has them: s3fs' first choice is for old ones alone."""
    return _file_system(protocol, os.getpid(), signs=True)


@cache
def _file_system(protocol: str, process: int, signs: bool = False) -> Any:
    try:
        import fsspec

        files = fsspec.filesystem(protocol, skip_instance_cache=True)
        if not signs:
            return files
        config = {"signature_version": "s3v4", **files.config_kwargs}
        told = {**files.storage_options, "config_kwargs": config, "skip_instance_cache": True}
        return fsspec.filesystem(protocol, **told)
    except ImportError:
        raise ValueError(f"{protocol}:// is read by fsspec: pip install 'cnnlit[{PACKAGES[protocol]}]'") from None


def asked(address: str, ask: Callable[[], T]) -> T:
    """An answer, asked for again where the store is slow, busy, or cuts it short.

    Args:
        address: what is asked for.
        ask: that gets it.

    Raises:
        OSError: one line that names the address and what was said last; FileNotFoundError and PermissionError if that.
    """
    for attempt in range(ATTEMPTS):
        try:
            return ask()
        except FINAL as error:
            raise type(error)(f"{address}: {_said(error)}") from None
        except Exception as error:  # stores' packages raise many kinds
            if _is_final(error):
                raise OSError(f"{address}: {_said(error)}") from None
            last = error
            if attempt + 1 < ATTEMPTS:
                time.sleep(random.uniform(0.5, 1) * min(MOST_PAUSE_SECONDS, PAUSE_SECONDS * 2**attempt))
    raise OSError(f"{address}: {_said(last)}; asked {ATTEMPTS} times") from None


def _is_final(error: Exception) -> bool:
    """Whether an error says that nobody is allowed in, or does not know who asks."""
    name = type(error).__name__
    status = getattr(error, "status", None)
    return "Credentials" in name or name == "NoSuchBucket" or status in (401, 403, 404, 416)


def _said(error: BaseException) -> str:
    """What an error says, in a line, without the end of an address, which has its keys where it is signed."""
    if isinstance(error, FileNotFoundError):
        return "there is nothing"
    if isinstance(error, PermissionError):
        return "access is denied; fsspec's settings or the environment hold credentials"
    if isinstance(error, asyncio.TimeoutError | TimeoutError) or "Timeout" in type(error).__name__:
        return f"no answer in {PATIENCE_SECONDS:g} s"
    text = " ".join(str(error).split()) or type(error).__name__
    return text.partition("?")[0][:200]
