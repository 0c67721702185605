"""fsspec's coroutine that gets a range: only behind it can an answer be waited for so long and no longer."""

from cnnlit.data.remote.addresses import PATIENCE_SECONDS, file_system, protocol_of


class CutShortError(OSError):
    """An answer has fewer bytes than it should have."""


def bytes_at(address: str, offset: int, length: int) -> bytes:
    """A range of bytes, asked for once.

    Raises:
        CutShortError: if it is shorter.
        Exception: what the store's package raises.
    """
    from fsspec.asyn import sync

    files = file_system(protocol_of(address))
    end = offset + length
    content = sync(files.loop, files._cat_file, address, start=offset, end=end, timeout=PATIENCE_SECONDS)
    if len(content) != length:
        raise CutShortError(f"{len(content):,} of {length:,} bytes came")
    return bytes(content)
