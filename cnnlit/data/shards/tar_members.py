"""The members of a tar file, from its headers alone.

tarfile makes an object of thirty fields for each member, 20,000 a second; an index of ImageNet needs a name, a place
and a length of two million. Formats: ustar, GNU (long names) and pax (long names). Source: POSIX.1-2001, pax, and
www.gnu.org/software/tar/manual/html_node/Standard.html.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

BLOCK = 512
WINDOW = 4096
"""Bytes that are read at a header: small members and the header behind them come along."""

REGULAR, FOLDER = (b"0", b"\0", b"7"), b"5"
LONG_NAME, PAX, PAX_FOR_ALL = b"L", b"x", b"g"
EMPTY = bytes(BLOCK)

Read = Callable[[int, int], bytes]
"""Bytes of a file, from an offset, as many as asked for or as there are."""


class Member(NamedTuple):
    """A file in a tar file."""

    name: str
    offset: int
    """Of its content, in bytes."""
    length: int


class DamagedTarError(ValueError):
    """A tar file is damaged; the message says how."""


class HeaderBlocks:
    """Bytes of a file, read a window at a time by whoever goes through it from its beginning.

    Args:
        read: of the file.
        size: of a window, in bytes.
    """

    def __init__(self, read: Read, size: int = WINDOW) -> None:
        self._read = read
        self._size = size
        self._start, self._window = 0, b""

    def __call__(self, offset: int, length: int) -> bytes:
        """So many bytes from an offset; fewer at the end of the file."""
        at = offset - self._start
        if at < 0 or at + length > len(self._window):
            self._start, self._window, at = offset, self._read(offset, max(length, self._size)), 0
        return self._window[at : at + length]


def members(read: Read) -> Iterator[Member]:
    """The files in a tar file, in their order; folders are passed over.

    Args:
        read: of the tar file.

    Raises:
        DamagedTarError: if its headers do not add up, or if it ends before its end; links and devices likewise.
    """
    place, long_name = 0, None
    headers: list[bytes] = []
    while (header := read(place, BLOCK)) != EMPTY:
        if len(header) < BLOCK:
            raise DamagedTarError("its end is missing")
        headers.append(header)
        content, length, kind = place + BLOCK, _number(header[124:136]), header[156:157]
        if length < 0:
            raise DamagedTarError("a header in it is none")
        place = content + -(-length // BLOCK) * BLOCK
        if kind in REGULAR:
            yield Member(long_name or _name(header), content, length)
            long_name = None
        elif kind == LONG_NAME:
            long_name = _text(read(content, length))
        elif kind == PAX:
            long_name = _path_in(read(content, length)) or long_name
        elif kind not in (FOLDER, PAX_FOR_ALL):
            raise DamagedTarError(f"{_name(header)} in it is a link or a device, where files are expected")
    _check(headers)


def _check(headers: list[bytes]) -> None:
    """Compare all headers with their sums at once."""
    if not headers:
        raise DamagedTarError("it is empty")
    table = np.frombuffer(b"".join(headers), np.uint8).reshape(-1, BLOCK)
    # The sum is taken with spaces where it stands itself.
    sums = table.sum(axis=1, dtype=np.int64) - table[:, 148:156].sum(axis=1, dtype=np.int64) + 8 * ord(" ")
    told = (table[:, 148:154].astype(np.int64) - ord("0")) @ 8 ** np.arange(5, -1, -1)
    for place in (sums != told).nonzero()[0].tolist():  # a few programs write these digits in another way
        if _number(headers[place][148:156]) != sums[place]:
            raise DamagedTarError(f"the header of {_name(headers[place])} does not add up")


def _number(field: bytes) -> int:
    """Octal digits; or, of numbers that these do not hold, bytes behind a first bit of one."""
    try:
        return int(field.rstrip(b" \0") or b"0", 8)
    except ValueError:
        if field[0] & 0x80:
            return int.from_bytes(field, "big") & ~(0x80 << 8 * (len(field) - 1))
        raise DamagedTarError("a header in it is none") from None


def _name(header: bytes) -> str:
    name = _text(header[:100])
    if header[345] and header[257:263] == b"ustar\0":
        return f"{_text(header[345:500])}/{name}"
    return name


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _path_in(records: bytes) -> str | None:
    """The path that pax records tell: lines of a length, a key and a value, `30 path=...`.

    Raises:
        DamagedTarError: if they are no such lines, or tell another size than the header has room for.
    """
    path = None
    while records:
        digits, _, _ = records.partition(b" ")
        if not digits.isdigit() or not 0 < int(digits) <= len(records):
            raise DamagedTarError("a header in it is none")
        key, _, value = records[len(digits) + 1 : int(digits)].rstrip(b"\n").partition(b"=")
        if key == b"size" or key.startswith(b"GNU.sparse"):
            raise DamagedTarError("a member in it is sparse or larger than 8 GB: no image")
        path = value.decode("utf-8", "surrogateescape") if key == b"path" else path
        records = records[int(digits) :]
    return path
