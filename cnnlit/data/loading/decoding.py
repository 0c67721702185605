"""Decode image files. Nothing else in the package reads their bytes."""

import io
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

# PIL warns of a file's palette, EXIF data or size, once for each worker, in the middle of a progress bar.
warnings.filterwarnings("ignore", module=r"PIL\.")


class UnreadableError(ValueError):
    """An image cannot be read; the message is one line that names it and says why."""


class DecodableImage(Protocol):
    """An image whose size is known and whose pixels are decoded on request."""

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...

    def rgb(self) -> NDArray[np.uint8]:
        """Decode it: red, green and blue, uint8 [height, width, 3].

        Raises:
            ValueError: one line that names the image, if it cannot be decoded.
        """
        ...


class EncodedImage:
    """An image from the bytes of its file. JPEGs are decoded by libjpeg-turbo, all other formats by PIL.

    The pixels are those that PIL converts to RGB, turned upright as the EXIF data say. Transparency is dropped, as in
    torchvision. 16-bit pixels are scaled, where PIL clips them at 255.

    Args:
        content: the bytes of the file.
        name: its path, for messages.

    Raises:
        ValueError: one line that names it, if it is not an image.
    """

    def __init__(self, content: bytes, name: str) -> None:
        self.name = name
        self._content = content
        self._orientation = 1
        header = _plain_jpeg(content)
        self._plain = header is not None
        if header is None or _has_exif(content):
            with _refusing(name):
                image = Image.open(io.BytesIO(content))
                self._orientation = _orientation(image)
                header = image.height, image.width
        self.height, self.width = header if self._orientation < 5 else header[::-1]

    def rgb(self) -> NDArray[np.uint8]:
        """See DecodableImage."""
        pixels = self._by_turbo() if self._plain else None
        if pixels is None:
            with _refusing(self.name):
                image = Image.open(io.BytesIO(self._content))
            if image.mode == "F":
                raise _unreadable(self.name, "its pixels are floating-point numbers; store it with 8 or 16 bits")
            with _refusing(self.name):
                pixels = _convert(image)
        return pixels if self._orientation == 1 else np.ascontiguousarray(_upright(pixels, self._orientation))

    def _by_turbo(self) -> NDArray[np.uint8] | None:
        """None for a JPEG with the slightest flaw: PIL decides whether that matters."""
        try:
            pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(self._content)
        except ValueError as error:
            if "premature end" in str(error).lower():
                # PIL would fill the rest with grey.
                raise _unreadable(self.name, "data are missing") from None
            return None
        return pixels


def open_image(path: str) -> EncodedImage:
    """Read an image file.

    Raises:
        ValueError: one line that names the file, if it cannot be read.
    """
    try:
        # Reading a pipe would wait forever.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise _unreadable(path, "not a file")
        # Read at once: a batch has more files than a process may keep open.
        with open(path, "rb", buffering=0) as file:
            content = file.readall()
    except OSError as error:
        raise _unreadable(path, error.strerror or type(error).__name__) from None
    if not content:
        raise _unreadable(path, "empty")
    return EncodedImage(content, path)


def check(path: str) -> str | None:
    """Why an image file cannot be decoded, in one line that names it; None if it can."""
    try:
        open_image(path).rgb()
    except ValueError as error:
        return str(error)
    return None


def num_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _plain_jpeg(content: bytes) -> tuple[int, int] | None:
    """Height and width of a JPEG in grey or three colours; None for anything that is left to PIL."""
    if not content.startswith(b"\xff\xd8"):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None
    most = Image.MAX_IMAGE_PIXELS
    return (height, width) if colours in ("YCbCr", "RGB", "Gray") and not (most and height * width > most) else None


def _has_exif(jpeg: bytes) -> bool:
    """Whether a segment before the pixels holds EXIF data."""
    place = 2
    while jpeg[place : place + 1] == b"\xff" and jpeg[place + 1 : place + 2] != b"\xda":
        if jpeg[place + 1 : place + 2] == b"\xff":  # padding
            place += 1
        elif jpeg[place + 4 : place + 10] == b"Exif\0\0":
            return True
        else:
            place += 2 + int.from_bytes(jpeg[place + 2 : place + 4], "big")
    return False


def _orientation(image: Image.Image) -> int:
    """The orientation as EXIF counts it, 1 to 8."""
    if image.format == "TIFF":
        return 1  # PIL turns these itself
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged metadata do not damage the image
        return 1
    return orientation if orientation in range(1, 9) else 1


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Pixels [H, W, 3], turned and mirrored from an EXIF orientation."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    vertically, horizontally = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return pixels[:: -1 if vertically else 1, :: -1 if horizontally else 1]


def _convert(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I"):  # 16 bits, or 32 in formats that have no such mode
        values = np.asarray(image).astype(np.int64).clip(0, 65535)
        return np.repeat(((values + 128) // 257).astype(np.uint8)[:, :, None], 3, axis=2)
    return np.array(image.convert("RGB"))


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Turn whatever PIL raises into one line that names the image: broken files make it raise all sorts of errors."""
    try:
        yield
    except MemoryError:
        raise MemoryError(f"{name}: not enough memory to decode it") from None
    except UnidentifiedImageError:
        raise _unreadable(name, "in no format that PIL knows") from None
    except Exception as error:
        raise _unreadable(name, f"{type(error).__name__}: {' '.join(str(error).split())}") from None


def _unreadable(path: str | Path, reason: str) -> UnreadableError:
    return UnreadableError(f"{path} cannot be read as an image: {reason}")
