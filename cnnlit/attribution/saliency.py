"""Which pixels a class's score depends on most: the saliency maps of Simonyan, Vedaldi, Zisserman 2013."""

import torch
from torch import Tensor, nn


def saliency_map(model: nn.Module, image: Tensor, label: int) -> Tensor:
    """How much the score of a class changes with each pixel: the magnitude of its gradient.

    Paper: Simonyan, Vedaldi, Zisserman 2013, *Deep inside convolutional networks*, Sec. 3: the derivative of the score
    before the softmax, and of several colours the one with the largest magnitude.

    Args:
        model: images [N, C, H, W] -> logits; in evaluation mode.
        image: float [C, H, W], as the network sees it.
        label: the class.

    Returns:
        float32 [H, W], not negative.
    """
    with torch.enable_grad():
        images = image[None].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(model(images)[0, label], images)
    return gradient[0].abs().amax(dim=0).float().cpu()
