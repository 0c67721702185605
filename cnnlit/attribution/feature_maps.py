"""What each layer of a network makes of images: its feature maps."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

MOST_LAYERS = 12
"""Layers that are shown of a network where none is named."""

UNCHANGED = (nn.Identity, nn.Dropout, nn.BatchNorm1d, nn.BatchNorm2d)


def feature_maps(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """The feature maps of all layers, in the order of their computation.

    Those of a layer are what its batch normalisation and its activation make of them, where these follow at once. A
    part of the network that is called as a module, such as a residual block, is a layer too.

    Args:
        model: whose activations are modules named `activation…`; in evaluation mode.
        images: float [N, C, H, W], as the network sees them.

    Returns:
        Names to [N, maps, H', W'], or [N, units]; `""`, the model itself, is not among them.
    """
    heard = _Heard()
    modules = [(name, module) for name, module in model.named_modules() if name]
    hooks = [
        *(module.register_forward_pre_hook(heard.begins) for _, module in modules),
        *(module.register_forward_hook(partial(heard.ends, name)) for name, module in modules),
    ]
    try:
        with torch.inference_mode():
            model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return heard.maps


class _Heard:
    """What is heard of a forward pass."""

    def __init__(self) -> None:
        self.maps: dict[str, Tensor] = {}
        self._latest: Any = None
        self._owners: list[str] = []
        """The layers whose maps the latest output is."""
        self._follows = False

    def begins(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Note whether a module is given the latest layer's maps, to which nothing was added in place."""
        same = bool(inputs) and inputs[0] is self._latest and bool(self._owners)
        self._follows = same and torch.equal(inputs[0], self.maps[self._owners[0]])

    def ends(self, name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep an output as that of a module, or of the layer before it."""
        if not isinstance(output, Tensor) or output.ndim not in (2, 4):
            return
        goes_along = _goes_with_its_layer(name, module)
        goes_on = self._follows if goes_along else output is self._latest
        if not goes_on:
            self._owners = []
        if not goes_along:
            self._owners.append(name)
        self._latest = output
        self.maps |= dict.fromkeys(self._owners, output.clone())  # in-place operations may follow


def layers_to_show(model: nn.Module, known: list[str], layer: str | None) -> list[str]:
    """The layer that is asked for; where none is, all that compute something by themselves, or some of them.

    Args:
        model: the network.
        known: its layers with feature maps.
        layer: a name, or None.

    Raises:
        ValueError: one line that names all layers, if there is none of this name.
    """
    if layer is not None:
        if layer not in known:
            raise ValueError(f"layer={layer}: no layer of this network; there is {', '.join(known)}")
        return [layer]
    modules = dict(model.named_modules())
    single = [name for name in known if not list(modules[name].children())]
    if len(single) <= MOST_LAYERS:
        return single
    chosen = torch.linspace(0, len(single) - 1, MOST_LAYERS).round().int().tolist()
    return [single[place] for place in chosen]


def _goes_with_its_layer(name: str, module: nn.Module) -> bool:
    return name.rpartition(".")[2].startswith("activation") or isinstance(module, UNCHANGED)
