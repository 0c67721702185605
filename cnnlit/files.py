"""The ground floor: files that are written whole or not at all, locks, progress bars."""

import errno
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeVar

from cnnlit.systems.markers import doubt_about, take_marker
from cnnlit.systems.portable import lock, sync_folder

T = TypeVar("T")

LOCK = ".lock"
"""The name of the file in a folder that a lock is held on."""

ATTEMPTS, PAUSE_SECONDS = 10, 0.1
"""A reader that asks whether a lock is held takes it for a moment, so one refusal says nothing."""

SHORTEST_BAR = 20
"""Items of work that are worth a progress bar."""


NO_PLACE = (
    errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EFBIG, errno.ENAMETOOLONG
)  # fmt: skip
"""What the system says of places at which nothing can be written, however often one tries."""


class UnwritableError(OSError):
    """A file or a folder cannot be made where it is wanted; one line says where, why, and what to do."""


class DiskFullError(UnwritableError):
    """There is no room left for a file."""


def shown(path: Path) -> Path:
    """A path as one would type it: from here, if it is below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def write_whole(path: Path, content: str | bytes | memoryview, *, previous: Path | None = None) -> None:
    """Write a file whole or not at all: a reader sees the old content or the new one, never half of it.

    Args:
        path: where the file goes; missing parent folders are made.
        content: of the file; text is encoded as UTF-8.
        previous: where the old content is kept, replacing what is there; None discards it.

    Raises:
        UnwritableError: if it cannot be, such as on a full disk; then everything is as it was.
    """
    content = content.encode() if isinstance(content, str) else content
    with writing(path, previous=previous, size=len(content)) as file:
        file.write(content)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write plain containers as indented JSON, whole or not at all."""
    write_whole(path, json.dumps(content, indent=2) + "\n")


@contextmanager
def writing(path: Path, *, previous: Path | None = None, size: int | None = None) -> Iterator[IO[bytes]]:
    """A new file that takes its place, synced to the disk, when the block ends without an error.

    Args:
        path: where it goes; missing parent folders are made.
        previous: see write_whole.
        size: of its content in bytes, for whoever has to make room; None if that is not known.

    Raises:
        UnwritableError: see write_whole.
    """
    aside = _aside(path)
    with saying_where(path, size):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if previous is not None and path.exists():
                _keep(path, previous)
            os.replace(aside, path)
            sync_folder(path.parent)
        finally:
            with suppress(OSError):
                aside.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, as far as they are missing.

    Raises:
        UnwritableError: if it cannot be made.
    """
    with saying_where(path):
        path.mkdir(parents=True, exist_ok=True)


def in_bytes(count: float) -> str:
    """A number of bytes as people read it: `12.3 GB`, `0.9 MB`, `0.7 kB`."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= 0.1 * size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 1e3:,.1f} kB"


def refuse_address(key: str, value: object) -> None:
    """Refuse an address where a folder is expected.

    Raises:
        ValueError: one line that names the option.
    """
    scheme, address, rest = str(value).partition(":/")  # a Path keeps one of the two strokes
    if address and scheme.isalnum() and len(scheme) > 1:
        said = f"{key}={scheme}://{rest.lstrip('/')}"
        raise ValueError(f"{said}: addresses are not read; copy it to a disk or mount it, and name that folder")


def check_place(path: Path, key: str) -> None:
    """Refuse a file or folder that could not be written, before the work that is to go there.

    Args:
        path: to be made.
        key: the option that names it.

    Raises:
        UnwritableError: one line with the option.
    """
    import tempfile

    place = next(each for each in (path, *path.absolute().parents) if each.exists())
    place = place.parent if place == path and path.is_file() else place
    try:
        with tempfile.TemporaryFile(dir=place):  # the only question that every system answers truly
            pass
    except OSError as error:
        raise UnwritableError(f"{key}={path}: {why_unwritable(error)}; {key}=... names another place") from None


def why_unwritable(error: OSError) -> str:
    """What the system said, as the end of a sentence about a place."""
    # A folder is made where there is none; that it exists says that a file is in its place.
    said = os.strerror(errno.ENOTDIR) if error.errno == errno.EEXIST else error.strerror or str(error)
    return f"cannot be written ({said.lower()})"


@contextmanager
def saying_where(path: Path, size: int | None = None) -> Iterator[None]:
    """What the system refuses to write within this block is told with its place and what to do."""
    try:
        yield
    except UnwritableError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(_no_room(path, size, error)) from None
        if error.errno in NO_PLACE and _is_about(error, path):
            raise UnwritableError(f"{shown(path)} {why_unwritable(error)}; name another place for it") from None
        raise


def remove_leftovers(*folders: Path) -> None:
    """Remove what processes that were killed while writing left half-written in these folders."""
    for folder in folders:
        for path in folder.glob(".*.*.part"):
            path.unlink(missing_ok=True)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _keep(path: Path, previous: Path) -> None:
    """Give a file a second name, so that at any moment it has one of the two."""
    aside = _aside(previous)
    try:
        os.link(path, aside)
        os.replace(aside, previous)
    except OSError:  # some file systems have no hard links
        os.replace(path, previous)


def _is_about(error: OSError, path: Path) -> bool:
    """Whether an error is of writing this file, and not of reading another for its content."""
    place = Path(error.filename or path)
    return path.is_relative_to(place) or place.parent == path.parent


def _no_room(path: Path, needed: int | None, error: OSError) -> str:
    if needed is None:
        return f"no space left for {shown(path)}; make room, or name another place for it"
    if error.errno == errno.EDQUOT:
        return f"the quota of {path.parent} is used up: {path.name} needs {in_bytes(needed)}"
    free = shutil.disk_usage(path.parent).free
    return (
        f"No space left on the disk of {path.parent}: {path.name} needs {in_bytes(needed)}, "
        f"{in_bytes(free)} are free, {in_bytes(max(0, needed - free))} are missing"
    )


class Lock:
    """A lock on a folder, held from `take` to `give_back` or the end of the process, however it ends.

    A POSIX record lock, where the filelock package uses flock: a record lock belongs to one process, and not to the
    workers that it forks, which may outlive it by seconds; and anyone may ask whether it is held, also on another
    machine, without taking it. On file systems without locks, a file stands for it.

    Args:
        folder: that is locked; a file `.lock` in it is made.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK
        self._file: IO[bytes] | None = None
        self._marker: Any = None

    def take(self, *, wait: bool = False) -> bool:
        """Take the lock; False if another process holds it.

        Args:
            wait: for as long as another process holds it.
        """
        with saying_where(self.path):
            self._file = self.path.open("ab")
        while not self._granted(self._file):
            if not wait:
                self.give_back()
                return False
        return True

    def _granted(self, file: IO[bytes]) -> bool:
        for _ in range(ATTEMPTS):
            try:
                lock(file)
            except (BlockingIOError, PermissionError):
                time.sleep(PAUSE_SECONDS)
            except OSError:  # this file system has no locks
                return self._marked()
            else:
                return True
        return False

    def _marked(self) -> bool:
        self._marker = take_marker(self.path, ATTEMPTS * PAUSE_SECONDS)
        return self._marker is not None

    @property
    def doubt(self) -> str:
        """See doubt_about."""
        return doubt_about(self.path)

    def give_back(self) -> None:
        """Release the lock, if it is held."""
        if self._marker is not None:
            self._marker.release()
            self._marker = None
        if self._file is not None:
            self._file.close()
            self._file = None


def is_locked(folder: Path) -> bool | None:
    """Whether another process, here or on another machine, holds the lock on a folder; None if that cannot be known.

    The process that holds the lock must not ask: it would lose it.
    """
    try:
        with (folder / LOCK).open("rb") as file:
            lock(file, shared=True)
    except (BlockingIOError, PermissionError):
        return True
    except OSError:  # there is no such file, or the file system has no locks
        return None
    return False


def progress(work: Iterable[T], what: str, total: int) -> Iterator[T]:
    """The items of `work`, with a progress bar on stderr if that is a terminal and there is more than a moment's work.

    Args:
        work: items.
        what: is done with them, beside the bar.
        total: number of items.
    """
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if total < SHORTEST_BAR or not console.is_terminal:
        yield from work
    else:
        yield from track(work, what, total, console=console, transient=True)
