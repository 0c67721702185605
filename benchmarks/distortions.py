"""Affine distortions: whole batches by cnnlit, image by image by torchvision, the same maps by kornia.

Every variant turns the same 28x28 uint8 digits into a batch of float32 [N, 1, 32, 32] at the paper's scale. Against
torchvision, both draw random numbers; against kornia, both are given the affine maps, and the pixels must agree.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchvision import transforms
from torchvision.transforms import v2

from benchmarks.timing import Claim, interleaved, ratio, seconds, timed
from cnnlit.data.small_sets.finding import find
from cnnlit.data.small_sets.published import SETS
from cnnlit.data.transforms.colours import BACKGROUND, INK
from cnnlit.data.transforms.distortions import BOTTOM, AffineDistortion, warp

ROUNDS = 9
BATCH = 64
NUM_IMAGES = 20 * BATCH  # per round
SIDE, IMAGE_SIZE = 28, 32
TOLERANCE = 1e-4  # out of a range of 1.275; the grids are computed in a different order

RANGES: Any = {
    "scaling": (0.76, 1.41),
    "squeezing": (0.9, 1.1),
    "shear": (-0.14, 0.14),
    "translation_pixels": (-2.0, 2.0),
}


def measure(root: str) -> list[Claim]:
    """The claims on distortions, on the first digits of MNIST below `root`."""
    import kornia  # takes seconds, and nothing else here needs it

    images = find(SETS["mnist"], root).contents.train.pixels[:NUM_IMAGES, 0]
    distortion = AffineDistortion(**RANGES, num_images=NUM_IMAGES, versions=1, fixed=False, seeds=[0])
    maps = distortion.affine(epoch=0)
    kornia_maps = forward_matrices(maps)
    batches = list(zip(torch.split(images, BATCH), torch.split(torch.arange(NUM_IMAGES), BATCH), strict=True))
    pil_images = [transforms.functional.to_pil_image(image) for image in images]
    on_pil_images = transforms.Compose([random_affine(transforms), *to_the_network()])
    to_float = v2.ToDtype(torch.float32, scale=True)
    on_tensors = v2.Compose([random_affine(v2), to_float, v2.Pad((IMAGE_SIZE - SIDE) // 2), v2.Normalize(*_scale())])
    bare_v1, bare_v2 = random_affine(transforms), random_affine(v2)
    epoch = iter(range(10**6))

    def ours_drawing() -> None:
        number = next(epoch)  # a new one, so that maps are drawn anew
        for batch, presentations in batches:
            distortion(batch, number, presentations, IMAGE_SIZE)

    def per_sample(transform: Callable[[Any], Tensor], samples: list[Any]) -> None:
        for first in range(0, NUM_IMAGES, BATCH):
            torch.stack([transform(sample) for sample in samples[first : first + BATCH]])

    def by_kornia(batch: Tensor, matrices: Tensor) -> Tensor:
        ink = batch[:, None].float() * ((INK - BACKGROUND) / 255)
        size = (IMAGE_SIZE, IMAGE_SIZE)
        warped: Tensor = kornia.geometry.transform.warp_affine(ink, matrices, size, align_corners=True)
        return warped + BACKGROUND

    apart = (warp(images, maps, IMAGE_SIZE) - by_kornia(images, kornia_maps)).abs().max().item()
    if apart > TOLERANCE:
        raise RuntimeError(f"cnnlit's and kornia's pixels differ by {apart}")
    tensors = list(images[:, None])
    costs = interleaved(
        {
            "cnnlit": timed(ours_drawing),
            "torchvision v1": timed(lambda: per_sample(on_pil_images, pil_images)),
            "torchvision v2": timed(lambda: per_sample(on_tensors, tensors)),
            "v1 alone": timed(lambda: [bare_v1(image) for image in pil_images]),
            "v2 alone": timed(lambda: [bare_v2(tensor) for tensor in tensors]),
            "cnnlit, maps given": timed(
                lambda: [
                    warp(a, m, IMAGE_SIZE)
                    for a, m in zip(torch.split(images, BATCH), torch.split(maps, BATCH), strict=True)
                ]
            ),
            "kornia, maps given": timed(
                lambda: [
                    by_kornia(a, m)
                    for a, m in zip(torch.split(images, BATCH), torch.split(kornia_maps, BATCH), strict=True)
                ]
            ),
        },
        ROUNDS,
    )
    cost = {name: sum(each.cpu for each in rounds) for name, rounds in costs.items()}
    fastest = min(("torchvision v1", "torchvision v2"), key=cost.__getitem__)
    alone = min(("v1 alone", "v2 alone"), key=cost.__getitem__)
    return [
        ratio(
            f"{fastest}, image by image / cnnlit, batches of {BATCH}", costs, fastest, "cnnlit", bound=25, at_most=False
        ),
        ratio(
            f"  its RandomAffine alone ({alone}) / all of cnnlit's", costs, alone, "cnnlit", bound=None, at_most=False
        ),
        ratio(
            f"kornia.warp_affine / cnnlit, same maps, pixels within {apart:.0e}",
            *(costs, "kornia, maps given", "cnnlit, maps given"),
            bound=2,
            at_most=False,
        ),
        *(seconds(f"  {name}, per image", costs, name, per=NUM_IMAGES * 1e-6, unit="us") for name in costs),
    ]


def random_affine(transforms: Any) -> Any:
    """torchvision's transform with the ranges of affine1998, bilinear; it has no squeezing.

    Args:
        transforms: torchvision.transforms or its v2.
    """
    (low, high), (_, shear), (_, pixels) = RANGES["scaling"], RANGES["shear"], RANGES["translation_pixels"]
    return transforms.RandomAffine(
        degrees=0,
        translate=(pixels / SIDE, pixels / SIDE),
        scale=(1 / high, 1 / low),
        shear=math.degrees(math.atan(shear)),
        interpolation=transforms.InterpolationMode.BILINEAR,
    )


def to_the_network() -> list[Any]:
    """torchvision's transforms from a PIL image to float32 [1, 32, 32] at the paper's scale."""
    return [transforms.ToTensor(), transforms.Pad((IMAGE_SIZE - SIDE) // 2), transforms.Normalize(*_scale())]


def _scale() -> tuple[list[float], list[float]]:
    """The mean and deviation with which Normalize brings 0 to the background's value and 1 to the ink's."""
    return [-BACKGROUND / (INK - BACKGROUND)], [1 / (INK - BACKGROUND)]


def forward_matrices(maps: Tensor) -> Tensor:
    """The maps of `warp` as kornia wants them: [N, 2, 3], from the source's pixels to the result's."""
    a, b, d, tx, ty = maps.double().unbind(1)
    zero, one = torch.zeros_like(a), torch.ones_like(a)
    # Of coordinates from the middle: x = a X + b Y + tx, y = d Y + BOTTOM (1 - d) + ty.
    to_source = torch.stack([a, b, tx, zero, d, BOTTOM * (1 - d) + ty, zero, zero, one], dim=1).view(-1, 3, 3)
    into_middle = torch.eye(3, dtype=torch.double)
    into_middle[:2, 2] = -(IMAGE_SIZE - 1) / 2
    out_of_middle = torch.eye(3, dtype=torch.double)
    out_of_middle[:2, 2] = (SIDE - 1) / 2
    to_result: Tensor = torch.linalg.inv(out_of_middle @ to_source @ into_middle)
    return to_result[:, :2].float()
