"""Ranges of bytes by the shortest way: a request to an address that is signed once, on a connection that stays open.

s3fs signs each request anew, and botocore parses each answer: 3 ms of an image, where decoding it takes as much. An
object's signed address is good for any of its ranges, and http.client gets one in half a millisecond. Credentials,
regions and endpoints are still fsspec's; and whatever the short way is refused, fsspec is asked for.
"""

import http.client
import os
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from threading import local
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from cnnlit.data.remote.addresses import PATIENCE_SECONDS, file_system, protocol_of, signing_file_system
from cnnlit.data.remote.fsspec_internals import CutShortError, NoRangesError, bytes_by_fsspec

SIGNED_SECONDS = 3600
FRESH_SECONDS = 60
"""What is refused so soon after it was signed has not expired."""

BUSY = {408, 429, 500, 502, 503, 504}
"""Answers that are others a moment later."""

USER_AGENT = "cnnlit"


class BusyError(OSError):
    """A server has no time."""


class _RefusedError(Exception):
    """What fsspec may know a way for: other credentials, certificates, another place."""


class _Signed(NamedTuple):
    """An address that answers without credentials."""

    url: str | None
    """None if there is none such."""
    at: float
    """When it was signed, in the seconds of time.monotonic."""


class _OfProcess(local):
    """The connections of a thread; those that a process inherits are not its own."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.connections: dict[tuple[str, str], http.client.HTTPConnection] = {}


_threads = _OfProcess()
_signed: dict[tuple[int, str], _Signed] = {}


def bytes_at(address: str, offset: int, length: int) -> bytes:
    """A range of bytes, asked for once.

    Raises:
        CutShortError: if it is shorter.
        NoRangesError: if the server knows of none.
        Exception: what the store's package raises.
    """
    key = os.getpid(), address
    known = _signed.get(key)
    if known is None or (time.monotonic() - known.at > SIGNED_SECONDS / 2 and known.url):
        known = _signed[key] = _Signed(_url_of(address), time.monotonic())
    if known.url:
        try:
            return _range_of(known.url, offset, length)
        except _RefusedError:
            is_fresh = time.monotonic() - known.at < FRESH_SECONDS
            _signed[key] = _Signed(None, 0) if is_fresh else _Signed(_url_of(address), time.monotonic())
    return bytes_by_fsspec(address, offset, length)


def _url_of(address: str) -> str | None:
    """An address with a signature, where it needs one; None where only fsspec knows the way."""
    protocol = protocol_of(address)
    if protocol == "s3":
        files = signing_file_system(protocol)
        url = None if files.requester_pays else str(files.url(address, expires=SIGNED_SECONDS))
    elif protocol in ("http", "https"):
        files = file_system(protocol)
        url = None if files.kwargs or files.client_kwargs else str(files.encode_url(address))
    else:
        return None
    return url if url and not _needs_proxy(url) else None


def _needs_proxy(url: str) -> bool:
    scheme, host, *_ = urlsplit(url)
    proxies = getproxies()
    return bool((scheme in proxies or "all" in proxies) and not proxy_bypass(host))


def _range_of(url: str, offset: int, length: int) -> bytes:
    parts = urlsplit(url)
    connection = _connection(parts.scheme, parts.netloc)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        return _content(_answer(connection, target, offset, length), offset, length)
    except BaseException as error:
        connection.close()  # of what comes after an error nobody knows what it belongs to
        if isinstance(error, ssl.SSLCertVerificationError | http.client.InvalidURL):
            raise _RefusedError from None
        raise


def _connection(scheme: str, host: str) -> http.client.HTTPConnection:
    if _threads.process != os.getpid():
        _threads.__init__()  # type: ignore[misc]
    if (connection := _threads.connections.get((scheme, host))) is None:
        kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
        connection = _threads.connections[scheme, host] = kind(host, timeout=PATIENCE_SECONDS)
    return connection


def _answer(connection: http.client.HTTPConnection, target: str, offset: int, length: int) -> http.client.HTTPResponse:
    headers = {"Range": f"bytes={offset}-{offset + length - 1}", "User-Agent": USER_AGENT}
    if connection.sock is not None:
        with suppress(ConnectionError):  # a server may close what it has not heard of for a while
            connection.request("GET", target, headers=headers)
            return connection.getresponse()
        connection.close()
    connection.request("GET", target, headers=headers)
    return connection.getresponse()


def _content(answer: http.client.HTTPResponse, offset: int, length: int) -> bytes:
    """The bytes of an answer, if they are those that were asked for."""
    if answer.status in BUSY:
        raise BusyError(f"{answer.status} {answer.reason}")
    if answer.status == 200 and (offset, answer.length) != (0, length):
        raise NoRangesError
    if answer.status not in (200, 206):
        raise _RefusedError
    told = answer.headers.get("Content-Range", "")
    if answer.status == 206 and not told.startswith(f"bytes {offset}-{offset + length - 1}/"):
        raise CutShortError(f"other bytes came: {told or 'it is not said which'}")
    content = b"".join(_pieces(answer, length))
    if len(content) != length:
        raise CutShortError(f"{len(content):,} of {length:,} bytes came")
    answer.close()  # the connection is free for the next
    return content


def _pieces(answer: http.client.HTTPResponse, length: int) -> Iterator[bytes]:
    """What comes of an answer as it comes, so that it is waited for so long and no longer."""
    end = time.monotonic() + PATIENCE_SECONDS
    while length and (piece := answer.read1(length)):
        length -= len(piece)
        yield piece
        if time.monotonic() > end:
            raise TimeoutError
