"""Which part of an image the answer depends on: the occlusion maps of Zeiler, Fergus 2013."""

import torch
from torch import Tensor, nn


def occlusion_map(model: nn.Module, image: Tensor, label: int, *, square: int, stride: int) -> Tensor:
    """The probability of a class while a grey square covers one part of the image after another.

    Paper: Zeiler, Fergus 2013, Sec. 4.2 and Fig. 7. Unspecified there: the square's side and its steps.

    Args:
        model: images [N, C, H, W] -> logits.
        image: float [C, H, W], as the network sees it; 0, the mean of the training images, is the grey of the square.
        label: the class.
        square: side of the square, in pixels.
        stride: step of the square, in pixels.

    Returns:
        float32 [H', W'], 0 to 1: one value for each position of the square, all of which lie within the image.

    Raises:
        ValueError: if the square does not fit into the image.
    """
    _, height, width = image.shape
    if not 1 <= square <= min(height, width):
        raise ValueError(f"a square of {square} pixels does not fit into an image of {width}x{height}")
    tops, lefts = (range(0, side - square + 1, stride) for side in (height, width))
    probabilities = []
    model.eval()
    with torch.no_grad():
        for top in tops:
            images = image.repeat(len(lefts), 1, 1, 1)
            for number, left in enumerate(lefts):
                images[number, :, top : top + square, left : left + square] = 0
            probabilities.append(model(images).float().softmax(dim=1)[:, label])
    return torch.stack(probabilities).cpu()
