"""fsspec's coroutine that gets a range: only behind it can an answer be waited for so long and no longer."""

from cnnlit.data.remote.addresses import PATIENCE_SECONDS, file_system, protocol_of


class CutShortError(OSError):
    """An answer has fewer bytes than it should have."""


class NoRangesError(OSError):
    """A server sends all of a file, whatever is asked for of it."""

    status = 416
    """So that it is not asked again."""

    def __init__(self) -> None:
        super().__init__("the server sends whole files, and no parts of them, of which images are read")


def bytes_by_fsspec(address: str, offset: int, length: int) -> bytes:
    """A range of bytes, asked for once.

    Raises:
        CutShortError: if it is shorter.
        NoRangesError: if it is longer.
        Exception: what the store's package raises.
    """
    from fsspec.asyn import sync

    files = file_system(protocol_of(address))
    end = offset + length
    content = sync(files.loop, files._cat_file, address, start=offset, end=end, timeout=PATIENCE_SECONDS)
    if len(content) > length:
        raise NoRangesError
    if len(content) != length:
        raise CutShortError(f"{len(content):,} of {length:,} bytes came")
    return bytes(content)
