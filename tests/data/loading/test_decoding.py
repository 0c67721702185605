"""Whatever a file holds comes out upright in RGB, or is refused in one line that names it."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from cnnlit.data.loading.decoding import EncodedImage, check, open_image

Draw = Callable[..., Image.Image]


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


def rgb(content: bytes) -> Any:
    """The pixels, of the height and width that were said before."""
    image = EncodedImage(content, "x")
    pixels = image.rgb()
    assert pixels.shape == (image.height, image.width, 3)
    assert pixels.dtype == np.uint8
    return pixels


def by_pil(content: bytes) -> Any:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB"))


# What can be read


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "YCbCr"])
def test_a_jpeg_is_to_the_bit_what_pil_makes_of_it(draw: Draw, mode: str, progressive: bool, subsampling: int) -> None:
    content = encoded(draw(83, 61).convert(mode), "JPEG", progressive=progressive, subsampling=subsampling)
    assert np.array_equal(rgb(content), by_pil(content))


def test_cmyk_comes_out_in_its_colours(draw: Draw) -> None:
    image = draw(40, 30)
    pixels = rgb(encoded(image.convert("CMYK"), "JPEG", quality=98)).astype(int)
    assert np.abs(pixels - np.asarray(image)).mean() < 6  # inverted, it would be 80


def test_ycck_comes_out_in_its_colours(draw: Draw) -> None:
    # Four channels, the first three said to be YCbCr: Adobe's marker, transform 2. PIL writes them inverted.
    cmyk = np.array(draw(40, 30).convert("CMYK"))
    cmyk[..., :3] = np.asarray(Image.fromarray(cmyk[..., :3]).convert("YCbCr"))
    cmyk[..., :3] = 255 - cmyk[..., :3]
    content = encoded(Image.merge("CMYK", [Image.fromarray(cmyk[..., each]) for each in range(4)]), "JPEG", quality=98)
    place = content.index(b"Adobe") + 11
    assert content[place] == 0
    content = content[:place] + b"\2" + content[place + 1 :]
    assert np.array_equal(rgb(content), by_pil(content))
    assert np.abs(rgb(content).astype(int) - np.asarray(draw(40, 30))).mean() < 8


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(draw: Draw, form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(draw(48, 32), form, exif=exif)
    expected = by_pil(content)
    assert expected.shape == ((48, 32, 3) if orientation >= 5 else (32, 48, 3))
    assert np.array_equal(rgb(content), expected)


def test_damaged_exif_data_do_not_damage_the_image(draw: Draw) -> None:
    content = encoded(draw(48, 32), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff nonsense")
    assert np.array_equal(rgb(content), np.asarray(Image.open(io.BytesIO(content)).convert("RGB")))


def test_sixteen_bits_are_scaled_and_not_cut_off() -> None:
    values = np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16)
    for form in ("PNG", "TIFF"):
        pixels = rgb(encoded(Image.fromarray(values), form))
        assert np.array_equal(pixels, np.rint(values / 257).astype(np.uint8)[:, :, None].repeat(3, axis=2))


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA"])
@pytest.mark.parametrize("form", ["PNG", "GIF", "TIFF", "BMP", "WEBP"])
def test_other_modes_and_formats_are_what_pil_converts_without_transparency(draw: Draw, form: str, mode: str) -> None:
    image = draw(40, 30).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize((40, 30)))
    try:
        content = encoded(image.convert(mode), form, **({"lossless": True} if form == "WEBP" else {}))
    except OSError:
        pytest.skip(f"{form} has no {mode}")
    assert np.array_equal(rgb(content), np.asarray(Image.open(io.BytesIO(content)).convert("RGB")))


def test_a_palette_with_transparency_is_read_without_a_warning(draw: Draw, tmp_path: Path) -> None:
    image = draw(40, 30).convert("P")
    image.save(tmp_path / "x.png", transparency=bytes(range(256)))
    image.save(tmp_path / "y.JPEG", "PNG")
    (tmp_path / "exif.jpg").write_bytes(encoded(draw(48, 32), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff nonsense"))
    program = (
        "import sys; from cnnlit.data.loading.decoding import check; print([check(path) for path in sys.argv[1:]])"
    )
    paths = sorted(str(path) for path in tmp_path.iterdir())
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", program, *paths], capture_output=True, text=True, env=environment)
    assert done.stdout == "[None, None, None]\n"
    assert done.stderr == ""


def test_harmless_extra_bytes_stay_harmless(draw: Draw) -> None:
    content = encoded(draw(83, 61), "JPEG")
    expected = by_pil(content)
    for extra in (content + b"more" * 100, content[:-2] + bytes(20) + content[-2:]):
        assert np.array_equal(rgb(extra), expected)


def test_real_photographs_are_to_the_bit_what_pil_makes_of_them(real_photographs: list[Path]) -> None:
    for path in real_photographs[::11]:
        assert np.array_equal(open_image(str(path)).rgb(), by_pil(path.read_bytes()))


# What cannot


def refusal(path: Path) -> str:
    line = check(str(path))
    assert line is not None
    assert line.startswith(str(path))
    assert "\n" not in line
    return line


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("part", [0.0, 0.02, 0.5, 0.95])
def test_a_truncated_file_is_refused(draw: Draw, tmp_path: Path, form: str, part: float) -> None:
    content = encoded(draw(83, 61), form)
    path = tmp_path / "x.JPEG"
    path.write_bytes(content)
    assert check(str(path)) is None
    path.write_bytes(content[: int(part * len(content))])
    refusal(path)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_truncated_jpeg_that_was_closed_properly_is_refused_too(
    draw: Draw, tmp_path: Path, mode: str, progressive: bool
) -> None:
    content = encoded(draw(83, 61).convert(mode), "JPEG", progressive=progressive)
    path = tmp_path / "x.JPEG"
    path.write_bytes(content[: len(content) // 2] + b"\xff\xd9")
    Image.open(path).load()  # PIL fills up with grey
    assert refusal(path).endswith("data are missing")


def test_text_folders_loops_pipes_and_nothing_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "text.JPEG").write_text("no image\n")
    (tmp_path / "folder.JPEG").mkdir()
    (tmp_path / "loop.JPEG").symlink_to(tmp_path / "loop.JPEG")
    os.mkfifo(tmp_path / "pipe.JPEG")
    says = {"text": "no format", "folder": "not a file", "loop": "symbolic links", "pipe": "not a file"}
    for name, reason in {**says, "nothing": "No such file"}.items():
        assert reason in refusal(tmp_path / f"{name}.JPEG")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(draw: Draw, tmp_path: Path) -> None:
    draw(8, 8).save(tmp_path / "x.png")
    (tmp_path / "x.png").chmod(0)
    assert "Permission denied" in refusal(tmp_path / "x.png")


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    Image.new("L", (400, 300)).save(tmp_path / "x.JPEG", form)
    assert check(str(tmp_path / "x.JPEG")) is None
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50_000)
    assert "DecompressionBomb" in refusal(tmp_path / "x.JPEG")


def test_floating_point_pixels_whose_scale_is_not_known_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "height.tiff"
    Image.new("F", (4, 4), 0.5).save(path)
    assert check(str(path)) == (
        f"{path} cannot be read as an image: its pixels are floating-point numbers; store it with 8 or 16 bits"
    )
