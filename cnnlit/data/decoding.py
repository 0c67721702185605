"""Picture files into pixels. What reads the bytes is here and nowhere else."""

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

T = TypeVar("T")


def read_picture(path: str | Path) -> Image.Image:
    """A picture file, read; its size is known, its pixels are decoded when they are needed.

    Raises:
        ValueError: one line that names the file, if it cannot be read.
    """
    try:
        # The content, and not the file, which would stay open: a batch has more than a process may have open.
        return Image.open(io.BytesIO(Path(path).read_bytes()))
    except (OSError, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from None


def in_rgb(picture: Image.Image, path: str | Path) -> Image.Image:
    """The picture decoded, in red, green and blue whatever it was in.

    Raises:
        ValueError: one line that names the file, if it cannot be decoded.
    """
    try:
        return picture.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from None


def read_all(paths: Sequence[str]) -> Tensor:
    """Many small pictures of one size, decoded by as many threads as there are cores.

    Args:
        paths: of N pictures.

    Returns:
        uint8 [N, 3, H, W].

    Raises:
        ValueError: one line that names the file, if one cannot be read or is of another size than the first.
    """
    first = np.asarray(in_rgb(read_picture(paths[0]), paths[0]))
    pictures = np.empty((len(paths), *first.shape), np.uint8)

    def read(numbers: range) -> None:
        for number in numbers:
            pixels = np.asarray(in_rgb(read_picture(paths[number]), paths[number]))
            if pixels.shape != first.shape:
                (height, width, _), (others_height, others_width, _) = pixels.shape, first.shape
                raise ValueError(
                    f"{paths[number]} has {width}x{height} pixels where {paths[0]} has {others_width}x{others_height}"
                )
            pictures[number] = pixels

    chunks = list(_chunks(len(paths), 500))
    with ThreadPoolExecutor(num_cores()) as threads:
        for _ in progress(threads.map(read, chunks), "reading pictures", len(chunks)):
            pass
    return torch.from_numpy(pictures).movedim(3, 1).contiguous()


def progress(work: Iterable[T], what: str, total: int) -> Iterator[T]:
    """The same, with a bar on a terminal's stderr while it lasts, if it is more than a moment's work."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    quiet = total < 20 or not console.is_terminal
    yield from track(work, what, total, console=console, transient=True, disable=quiet)


def num_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _chunks(count: int, size: int) -> Iterator[range]:
    return (range(start, min(start + size, count)) for start in range(0, count, size))


def _unreadable(path: str | Path, error: Exception) -> ValueError:
    return ValueError(f"{path} cannot be read as a picture ({type(error).__name__}: {' '.join(str(error).split())})")
