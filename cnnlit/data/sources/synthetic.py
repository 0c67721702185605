"""Synthetic images: nothing to download, any number of classes, any size, and something to learn."""

import math

import torch
from torch import Tensor

from cnnlit.data.transforms.random_numbers import generator, uniform

CHUNK_PIXELS = 500_000  # drawn at once, with one generator for their noise; more would not fit into the cache
SHAPES = ("disc", "ring", "square", "diamond", "cross")
NOISE = 0.08  # standard deviation, of 0 to 1


def class_names(num_classes: int) -> list[str]:
    """What the classes are called: a shape, a colour (its angle on the colour wheel) and a number."""
    width = len(str(num_classes - 1))
    return [
        f"{SHAPES[label % len(SHAPES)]} {360 * hue:.0f}° {label:0{width}d}"
        for label, hue in enumerate(_spread(torch.arange(num_classes), 0).tolist())
    ]


def draw_images(count: int, *, num_classes: int, image_size: int, seed: int, split: int) -> tuple[Tensor, Tensor]:
    """Draw one striped shape in each image, whose kind, colour, and angle and width of the stripes are its class's.

    Its position and size, the phase of its stripes, the shade of its colour, the background and the noise are random.
    Image i has class i % num_classes and depends only on i, the seed, the split and the size.

    Args:
        count: number of images.
        num_classes: number of classes.
        image_size: their side in pixels.
        seed: of the random numbers.
        split: 0 for training, 1 for test.

    Returns:
        uint8 [count, 3, image_size, image_size] and int64 [count].
    """
    labels = torch.arange(count) % num_classes
    images = torch.empty(count, 3, image_size, image_size, dtype=torch.uint8)
    size = max(1, CHUNK_PIXELS // image_size**2)
    for number, start in enumerate(range(0, count, size)):
        chunk = slice(start, min(start + size, count))
        drawn = uniform(torch.arange(start, chunk.stop), 8, seed, split, 4).float()
        clean = _draw(labels[chunk], drawn, image_size)
        # The noise of a whole chunk, even for the last: an image must not depend on how many there are.
        noise = torch.randn(size, 3, image_size, image_size, generator=generator(seed, split, 5, number))
        clean.add_(noise[: len(clean)], alpha=NOISE)
        images[chunk] = clean.mul_(255).round_().clamp_(0, 255).to(torch.uint8)
    return images, labels


def _draw(labels: Tensor, drawn: Tensor, image_size: int) -> Tensor:
    """Images float32 [N, 3, H, H], 0 to 1, of `labels` [N] and `drawn` [N, 8] uniform numbers."""
    middle_x, middle_y, size, phase, shade, light, slope_x, slope_y = drawn[:, :, None, None].unbind(1)
    axis = (torch.arange(image_size) + 0.5) / image_size * 2 - 1
    x, y = axis[None, None, :], axis[None, :, None]

    radius = 0.45 + 0.3 * size
    shape_x, shape_y = (x - (middle_x - 0.5) * 0.7) / radius, (y - (middle_y - 0.5) * 0.7) / radius
    edge = 0.3 * image_size * radius  # a border of some pixels, whatever the size
    inside = torch.sigmoid((1 - _distance(shape_x, shape_y, labels % len(SHAPES))) * edge)

    angle, width = _spread(labels, 1) * math.pi, 2 + 5 * _spread(labels, 2)
    along = x * angle.cos()[:, None, None] + y * angle.sin()[:, None, None]
    stripes = torch.sin(math.pi * width[:, None, None] * along + 2 * math.pi * phase)
    bright = (0.65 + 0.3 * stripes) * (0.8 + 0.4 * shade)
    colour = _colour(_spread(labels, 0))[:, :, None, None]
    background = 0.2 + 0.5 * light + 0.2 * (slope_x - 0.5) * x + 0.2 * (slope_y - 0.5) * y
    # [N, 1, H, H] + [N, 3, 1, 1] * [N, 1, H, H]
    return torch.addcmul((background * (1 - inside))[:, None], colour, (bright * inside)[:, None])


def _distance(x: Tensor, y: Tensor, shapes: Tensor) -> Tensor:
    """A function [N, H, H] of x [N, 1, H] and y [N, H, 1] that is below 1 inside each shape [N]."""
    x, y = x.abs(), y.abs()
    distance = torch.empty(len(shapes), y.shape[1], x.shape[2])
    for number, shape in enumerate(SHAPES):
        of = shapes == number
        distance[of] = _distance_to(shape, x[of], y[of])
    return distance


def _distance_to(shape: str, x: Tensor, y: Tensor) -> Tensor:
    if shape == "disc":
        return (x**2 + y**2).sqrt()
    if shape == "ring":
        return ((x**2 + y**2).sqrt() - 0.75).abs() * 4
    if shape == "square":
        return torch.maximum(x, y) * 1.15
    if shape == "diamond":
        return (x + y) / 1.2
    return torch.maximum(torch.minimum(x, y) * 3.5, torch.maximum(x, y))


def _spread(labels: Tensor, dimension: int) -> Tensor:
    """Numbers from 0 to 1, evenly spread for any number of classes: fractions of multiples of an irrational."""
    return (labels.double() * (5**0.5 - 1, 2**0.5, 3**0.5)[dimension] / 2).frac().float()


def _colour(hue: Tensor) -> Tensor:
    """Saturated colours [N, 3] of hues [N], 0 to 1."""
    return (((hue[:, None] * 6 + torch.tensor([0.0, 4.0, 2.0])) % 6 - 3).abs() - 1).clamp(0, 1)
