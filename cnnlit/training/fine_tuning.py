"""Parts of a network that learn more slowly than others, or not at all."""

import difflib
from collections.abc import Collection, Mapping

from torch import nn

from cnnlit.training.optimizers import NORMALIZATIONS


def freeze(network: nn.Module, layers: Collection[str]) -> None:
    """Keep the parameters of some layers, and of all that is in them, as they are.

    Args:
        network: whose parameters no longer ask for gradients; an optimizer is not given them.
        layers: by their names (`conv1`, `layer1.0`).

    Raises:
        ValueError: for a layer that is not there, with the nearest name; or if nothing is left to train.
    """
    for name in layers:
        _layer(network, name, "recipe.freeze").requires_grad_(False)
    if layers and not any(parameter.requires_grad for parameter in network.parameters()):
        raise ValueError(f"recipe.freeze=[{','.join(layers)}]: leaves nothing to train")


def hold_statistics(network: nn.Module, layers: Collection[str]) -> None:
    """Keep the running statistics of the normalisations in frozen layers too, which they then normalise by."""
    for name in layers:
        for module in network.get_submodule(name).modules():
            if isinstance(module, NORMALIZATIONS):
                module.eval()


def check_rates(network: nn.Module, rates: Mapping[str, float]) -> None:
    """Refuse learning rates of layers that are not there, or do not learn.

    Args:
        network: with its frozen layers.
        rates: for the name of each layer a factor.

    Raises:
        ValueError: in one line.
    """
    for name in rates:
        if not any(parameter.requires_grad for parameter in _layer(network, name, "recipe.layer_rates").parameters()):
            raise ValueError(f"recipe.layer_rates: {name} has nothing that learns; leave it out")


def _layer(network: nn.Module, name: str, key: str) -> nn.Module:
    known: dict[str, nn.Module] = {each: module for each, module in network.named_modules() if each}
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        outer = [each for each in known if "." not in each]
        raise ValueError(
            f"{key}: {type(network).__name__} has no layer {name}; "
            + (f"did you mean {close[0]}?" if close else f"there is {', '.join(outer)}")
        )
    return known[name]
