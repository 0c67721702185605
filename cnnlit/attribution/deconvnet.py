"""What excites the features of a layer: the deconvnet of Zeiler, Fergus 2013."""

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Projections(NamedTuple):
    """The strongest features of one layer in one image, projected back to the pixels that excite them."""

    maps: Tensor
    """int64 [K], the indices of the feature maps, the strongest first."""
    activations: Tensor
    """float [K], the largest value of each map."""
    pixels: Tensor
    """float [K, C, H, W], on the scale of the network's input; 0 where nothing contributed."""
    boxes: Tensor
    """int64 [K, 4]: left, top, right and bottom of the nonzero pixels of each; right and bottom are exclusive."""


def project(
    model: nn.Module, image: Tensor, layer: str, num_maps: int = 9, maps: Sequence[int] | None = None
) -> Projections:
    """Project the strongest features of a layer back to the image by a deconvnet.

    Of each feature map only its largest value is sent back: through a convolution by its transposed filters, through
    max pooling to the position of the maximum, and through a rectifier by a rectifier, so that only evidence for the
    feature is left. Response normalisation passes values back unchanged.

    This is the gradient of that value with a different rule for rectifiers, and is computed as such (Simonyan, Vedaldi,
    Zisserman 2013, Sec. 4). Paper: Zeiler, Fergus 2013, Sec. 2.1 and 4.

    Args:
        model: a network with rectifiers for activations.
        image: float [C, H, W], as the network sees it.
        layer: name of a convolution in the model.
        num_maps: the number of features.
        maps: the feature maps to choose from; None for all.

    Raises:
        ValueError: for other activations, or if the layer is not a convolution of the model.
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
        values = outputs[0][0].flatten(1)  # [maps, H' * W']
        largest = values.max(dim=1)
        allowed = torch.tensor(range(len(values)) if maps is None else maps, device=values.device)
        activations, places = largest.values.detach()[allowed].topk(min(num_maps, len(allowed)))
        order = allowed[places]
        pixels = []
        for number in order[activations > 0].tolist():
            feature = values[number, largest.indices[number]]
            pixels.append(torch.autograd.grad(feature, images, feature.detach(), retain_graph=True)[0][0])
    shown = torch.stack(pixels) if pixels else images.detach()[:0]
    return Projections(
        order[: len(pixels)], activations[: len(pixels)], shown, torch.tensor([_box(part) for part in shown])
    )


class _Rectifier(torch.autograd.Function):
    """A rectifier in the forward and in the backward direction."""

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
    """A layer that passes values back unchanged."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, maps: Tensor) -> Tensor:
        change: Tensor = self.layer(maps) - maps
        return maps + change.detach()


def _deconvnet(model: nn.Module) -> nn.Module:
    """A copy of the model whose gradients are those of a deconvnet."""
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
