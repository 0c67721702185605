"""Digits of MNIST as people draw and photograph them, in ten manners, and drawings that are no digits."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Pixels = NDArray[np.float64]
BOX = 300


def strokes(digit: NDArray[np.uint8], side: int, box: int = BOX, at: tuple[float, float] = (0.5, 0.5)) -> Pixels:
    """A digit enlarged to `side` pixels on a square of `box` pixels, smooth like a pen's: 0 for paper, 1 for ink."""
    large = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
    soft = np.asarray(large.filter(ImageFilter.GaussianBlur(side / 60)), dtype=float) / 255
    ink = 1 / (1 + np.exp(-16 * (soft - 0.45)))
    page = np.zeros((box, box))
    top, left = (round((box - side) * each) for each in at)
    page[top : top + side, left : left + side] = ink
    return page


def mixed(ink: Pixels, paper: object, pen: object) -> Image.Image:
    paper, pen = np.broadcast_to(paper, (*ink.shape, 3)), np.broadcast_to(pen, (*ink.shape, 3))
    shown = paper * (1 - ink[..., None]) + pen * ink[..., None]
    return Image.fromarray(shown.clip(0, 255).round().astype(np.uint8))


def grain(random: np.random.Generator, strength: float, box: int = BOX) -> Pixels:
    return random.normal(0, strength, (box, box, 1))


def marker(digit, random):
    return mixed(strokes(digit, 280), 255, (20, 20, 20))


def blue_ballpoint(digit, random):
    ink = strokes(digit, 240)
    thin = Image.fromarray((255 * ink).astype(np.uint8)).filter(ImageFilter.MinFilter(13))
    thin = np.asarray(thin.filter(ImageFilter.MaxFilter(3)), dtype=float) / 255
    return mixed(thin if thin.max() > 0.9 and thin.sum() > 0.12 * ink.sum() else ink, 250, (40, 60, 170))


def pencil(digit, random):
    return mixed(strokes(digit, 250) * random.uniform(0.6, 1, (BOX, BOX)), 240 + grain(random, 4), 110)


def brown_paper(digit, random):
    return mixed(strokes(digit, 240), np.array([150, 115, 80]) + grain(random, 6), (40, 30, 25))


def shadow(digit, random):
    y, x = np.mgrid[:BOX, :BOX] / BOX
    light = 1 - 0.6 / (1 + np.exp(-(x + 0.4 * y - 0.7) * 25))
    return mixed(strokes(digit, 230), (235 * light)[..., None], (60 * light)[..., None])


def small_and_off_centre(digit, random):
    return mixed(strokes(digit, 80, at=tuple(random.uniform(0.05, 0.95, 2))), 255, 0)


def transparent(digit, random):
    alpha = (255 * strokes(digit, 260)).astype(np.uint8)
    return Image.fromarray(np.dstack([np.zeros((BOX, BOX, 3), np.uint8), alpha]))


def photograph(digit, random):
    y, x = np.mgrid[:BOX, :BOX] / BOX
    light = 130 + 90 * np.exp(-((x - 0.3) ** 2 + (y - 0.2) ** 2) * 2)
    colour = np.array([1.0, 0.96, 0.86])
    shown = mixed(strokes(digit, 170, at=(0.4, 0.6)), light[..., None] * colour, light[..., None] * colour * 0.35)
    noisy = np.asarray(shown.rotate(float(random.uniform(-6, 6)), Image.Resampling.BICUBIC, expand=False)).astype(float)
    noisy = noisy[24:-24, 24:-24] + random.normal(0, 5, (BOX - 48, BOX - 48, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1.2))


def blackboard(digit, random):
    return mixed(
        strokes(digit, 220) * random.uniform(0.7, 1, (BOX, BOX)), np.array([35, 60, 45]) + grain(random, 3), 225
    )


def inverted(digit, random):
    return mixed(strokes(digit, 200, at=(0.3, 0.3)), 0, 255)


MANNERS: tuple[Callable[..., Image.Image], ...] = (
    marker, blue_ballpoint, pencil, brown_paper, shadow, small_and_off_centre, transparent, photograph, blackboard,
    inverted,
)  # fmt: skip


def scribble(random: np.random.Generator) -> Image.Image:
    """A pen that goes to and fro."""
    page = Image.new("L", (BOX, BOX), 255)
    points = [tuple(point) for point in random.uniform(30, 270, (int(random.integers(9, 16)), 2))]
    ImageDraw.Draw(page).line(points, fill=0, width=int(random.integers(8, 16)), joint="curve")
    return page


def letter(character: str) -> Image.Image:
    """A printed letter."""
    page = Image.new("L", (BOX, BOX), 250)
    ImageDraw.Draw(page).text((BOX / 2, BOX / 2), character, fill=20, font=ImageFont.load_default(200), anchor="mm")
    return page


def blank(random: np.random.Generator) -> Image.Image:
    """Paper."""
    y, x = np.mgrid[:BOX, :BOX] / BOX
    slope = random.uniform(-60, 60, 2)
    page = random.uniform(90, 240) + slope[0] * x + slope[1] * y + random.normal(0, random.uniform(0, 5), (BOX, BOX))
    return Image.fromarray(page.clip(0, 255).astype(np.uint8))


LETTERS = "AEFHKMNPRTWXYadefhkmnrtwx"


def no_digits(random: np.random.Generator) -> list[Image.Image]:
    """Fifty drawings that are no digits: letters that look like none, scribbles, and blank paper."""
    return [*map(letter, LETTERS), *(scribble(random) for _ in range(15)), *(blank(random) for _ in range(10))]
