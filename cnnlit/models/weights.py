"""Initial weights that are not random: published ones, or those of an earlier run."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

State = dict[str, Tensor]
WeightsName = Literal["IMAGENET1K_V1", "IMAGENET1K_V2"]

MOST_LAYERS = 6
"""Layers that a refusal names."""

log = logging.getLogger("cnnlit")

_heads_must_fit = ContextVar("_heads_must_fit", default=False)


@contextmanager
def heads_must_fit() -> Iterator[None]:
    """Refuse weights with another number of classes, for a network that is asked and not trained."""
    before = _heads_must_fit.set(True)
    try:
        yield
    finally:
        _heads_must_fit.reset(before)


def from_torchvision(state: Mapping[str, Tensor], names: Mapping[str, str]) -> State:
    """Rename a torchvision state dict to this project's layer names.

    Args:
        state: torchvision's state dict.
        names: torchvision's layer names -> ours.

    Raises:
        KeyError: if `names` lacks a layer.
    """
    renamed = {}
    for key, value in state.items():
        layer, _, parameter = key.rpartition(".")
        renamed[f"{names[layer]}.{parameter}"] = value
    return renamed


def check_variant(weights: str | None, variant: str) -> None:
    """Refuse published weights for any network but torchvision's.

    Raises:
        ValueError: if weights are asked for with another variant.
    """
    if weights and variant != "torchvision":
        raise ValueError(f"model.weights={weights} belongs to another network; add model.variant=torchvision")


def load_published(model: nn.Module, name: str, weights: str, names: Mapping[str, str], heads: tuple[str, ...]) -> None:
    """Load the weights that torchvision publishes into `model`; they are downloaded once and verified by hash.

    If the model has a different number of classes, its heads keep their random initial weights, and a warning says so.

    Args:
        model: with torchvision's architecture.
        name: torchvision's name of the architecture (`resnet50`).
        weights: torchvision's name of the weights (`IMAGENET1K_V1`).
        names: torchvision's layer names -> ours.
        heads: our names of the layers with one output per class.

    Raises:
        ValueError: if torchvision publishes no such weights, or the shapes differ from the model's.
        OSError: if the download fails or the file is damaged.
    """
    from torchvision.models import get_model_weights

    state = published_state(get_model_weights(name), name, weights)
    fill(model, from_torchvision(state, names), f"model.weights={weights}", heads)


def published_state(entries: Iterable[Any], name: str, weights: str) -> State:
    """A state dict that torchvision publishes, under torchvision's names.

    Args:
        entries: torchvision's weights of an architecture.
        name: of the architecture, for messages.
        weights: torchvision's name of the weights.

    Raises:
        ValueError: if torchvision publishes no such weights.
        OSError: if the download fails or the file is damaged.
    """
    published = {entry.name: entry for entry in entries}
    if weights not in published:
        raise ValueError(f"model.weights={weights}: for {name} torchvision publishes {', '.join(published)}")
    url = published[weights].url
    try:
        state: State = published[weights].get_state_dict(progress=True, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise OSError(
            f"model.weights={weights}: {url} cannot be downloaded ({error}); offline, put the file into "
            f"{Path(torch.hub.get_dir()) / 'checkpoints'}, or leave model.weights out"
        ) from None
    return state


def heads_of(model: nn.Module, state: Mapping[str, Tensor], num_classes: int | None) -> tuple[str, ...]:
    """The layers that differ from those of a state in the number of their classes alone.

    Args:
        model: with `num_classes` outputs.
        state: under the model's names.
        num_classes: None if it is not known; there are no heads then.
    """
    own = model.state_dict()
    layers = [key.removesuffix(".weight") for key in own if key.endswith(".weight") and key in state]
    return tuple(
        layer
        for layer in layers
        if _classes(own, layer) == num_classes != _classes(state, layer)
        and own[f"{layer}.weight"].shape[1:] == state[f"{layer}.weight"].shape[1:]
    )


def fill(
    model: nn.Module, state: Mapping[str, Tensor], source: str, heads: tuple[str, ...], *, exactly: bool = False
) -> None:
    """Load all of `state`, except heads with a different number of classes.

    Args:
        model: whose parameters and buffers are set.
        state: under the model's names.
        source: what messages call the state.
        heads: names of the layers with one output per class.
        exactly: whether a layer that the model does not have is refused too.

    Raises:
        ValueError: if anything does not fit; names the layers. Within `heads_must_fit`, heads have to fit too.
    """
    own = model.state_dict()
    renewed = [head for head in heads if f"{head}.weight" in own and _classes(own, head) != _classes(state, head)]
    wanted = {key: value for key, value in state.items() if key.rpartition(".")[0] not in renewed and key in own}
    missing = [key for key in own if key not in wanted and key.rpartition(".")[0] not in renewed]
    unlike = [key for key, value in own.items() if key in wanted and wanted[key].shape != value.shape]
    foreign = [key for key in state if key not in own and key.rpartition(".")[0] not in renewed] if exactly else []
    if missing or unlike or foreign:
        misfits = "; ".join(_misfits(own, wanted, missing, unlike, foreign))
        raise ValueError(f"{source} does not fit: {misfits}")
    if renewed and _heads_must_fit.get():
        head = renewed[0]
        raise ValueError(
            f"{source} has {_classes(state, head)} classes, the model {len(own[f'{head}.weight'])}, so {head} would "
            "answer at random; train it (cnnlit.train), or ask for as many classes (data.num_classes)"
        )
    model.load_state_dict(wanted, strict=False)
    for head in renewed:
        log.warning(
            "%s has %s classes, the model %d: %s starts from random weights",
            source,
            _classes(state, head),
            len(own[f"{head}.weight"]),
            head,
        )


def read_run(folder: str) -> State:
    """The network's state dict from a run's best checkpoint, if it kept one, or else its last.

    Args:
        folder: of a run.

    Raises:
        FileNotFoundError: if there is no checkpoint.
    """
    checkpoints = Path(folder) / "checkpoints"
    path = checkpoints / ("best.ckpt" if (checkpoints / "best.ckpt").is_file() else "last.ckpt")
    if not path.is_file():
        raise FileNotFoundError(f"model.init_from={folder}: there is no {path}; name the folder of a finished run")
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    return {key.removeprefix("model."): value for key, value in state.items() if key.startswith("model.")}


def _classes(state: Mapping[str, Tensor], head: str) -> int | None:
    return len(state[f"{head}.weight"]) if f"{head}.weight" in state else None


def _misfits(own: State, wanted: State, missing: list[str], unlike: list[str], foreign: list[str]) -> Iterator[str]:
    if missing:
        yield f"it has no {_listed(missing)}"
    if foreign:
        yield f"the model has no {_listed(foreign)}"
    if unlike:
        key = unlike[0]
        others = f", and so {_listed(unlike[1:])}" if len(unlike) > 1 else ""
        yield f"{key} is {list(wanted[key].shape)} there and {list(own[key].shape)} here{others}"


def _listed(keys: list[str]) -> str:
    layers = list(dict.fromkeys(key.rpartition(".")[0] or key for key in keys))
    if len(keys) == 1:
        return keys[0]
    more = f" and {len(layers) - MOST_LAYERS} more layers" if len(layers) > MOST_LAYERS else ""
    return ", ".join(layers[:MOST_LAYERS]) + more
