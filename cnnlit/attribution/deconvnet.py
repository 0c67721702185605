"""What made the features of a layer strong: the deconvnet of Zeiler, Fergus 2013."""

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Projections(NamedTuple):
    """The strongest features of one layer in one image, brought back to the pixels that made them."""

    maps: Tensor
    """int64 [K], the number of each feature map, the strongest first."""
    activations: Tensor
    """float [K], the largest value of each map."""
    pixels: Tensor
    """float [K, C, H, W], on the scale of the network's input, 0 where nothing contributed."""
    boxes: Tensor
    """int64 [K, 4]: left, top, right, bottom of what is not 0 in each; right and bottom excluded."""


def project(model: nn.Module, image: Tensor, layer: str, num_maps: int = 9) -> Projections:
    """What in an image made the features of a layer strong, by a deconvnet.

    For each feature map its largest value alone is sent back to the image: through each convolution by the transpose
    of its filters, through max-pooling to the place that was the largest, and through each rectifier by a rectifier,
    so that only what speaks for the feature is left. Response normalisation passes values back as they are.

    That is the gradient of that value with another rule for rectifiers, and so it is computed here (Simonyan, Vedaldi,
    Zisserman 2013, Sec. 4). Paper: Zeiler, Fergus 2013, Sec. 2.1 and 4.

    Args:
        model: whose activations are rectifiers.
        image: float [C, H, W], as the network sees it.
        layer: name of a convolution in the model.
        num_maps: how many features.

    Raises:
        ValueError: for another activation, or a layer that the model lacks or that has no maps.
    """
    network = _deconvnet(model).eval()
    layers = dict(network.named_modules())
    known = [name for name, module in layers.items() if isinstance(module, nn.Conv2d)]
    if layer not in known:
        raise ValueError(f"{layer}: no convolution of this model; there is {', '.join(known)}")
    outputs: list[Tensor] = []
    hook = layers[layer].register_forward_hook(lambda module, inputs, output: outputs.append(output))
    with torch.enable_grad():
        images = image[None].clone().requires_grad_()
        network(images)
        hook.remove()
        maps = outputs[0][0].flatten(1)  # [maps, H' * W']
        largest = maps.max(dim=1)
        activations, order = largest.values.detach().topk(min(num_maps, len(maps)))
        pixels = []
        for number in order[activations > 0].tolist():
            feature = maps[number, largest.indices[number]]
            pixels.append(torch.autograd.grad(feature, images, feature.detach(), retain_graph=True)[0][0])
    shown = torch.stack(pixels) if pixels else images.detach()[:0]
    return Projections(
        order[: len(pixels)], activations[: len(pixels)], shown, torch.tensor([_box(part) for part in shown])
    )


class _Rectifier(torch.autograd.Function):
    """A rectifier in both directions."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> Tensor:
        return maps.relu()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0].relu()


class _DeconvRectifier(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        rectified: Tensor = _Rectifier.apply(maps)
        return rectified


class _PassedBack(nn.Module):
    """A layer through which values come back as they are."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, maps: Tensor) -> Tensor:
        change: Tensor = self.layer(maps) - maps
        return maps + change.detach()


def _deconvnet(model: nn.Module) -> nn.Module:
    """A copy of the model whose gradients are a deconvnet's."""
    network = copy.deepcopy(model).requires_grad_(False)
    for name, module in list(network.named_modules()):
        above, _, last = name.rpartition(".")
        if isinstance(module, nn.ReLU):
            setattr(network.get_submodule(above), last, _DeconvRectifier())
        elif isinstance(module, nn.LocalResponseNorm):
            setattr(network.get_submodule(above), last, _PassedBack(module))
        elif last.startswith("activation"):
            raise ValueError(
                f"a deconvnet needs rectifiers, and {name} is {type(module).__name__}; activation=relu has"
            )
    return network


def _box(pixels: Tensor) -> list[int]:
    rows, columns = (pixels.abs().sum(dim=0).sum(dim=dim).nonzero()[:, 0] for dim in (1, 0))
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1] if len(rows) else [0, 0, 0, 0]
