"""What a network and a loss return, looked at before the first step."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from cnnlit.training.mixing import Mixing, mixed


def try_on(
    network: nn.Module,
    loss: nn.Module,
    image: tuple[int, int, int],
    num_classes: int,
    mixing: Mixing | None = None,
) -> None:
    """Show a black image or two to a network, in training and in evaluation, and its answers to the loss.

    The network keeps its mode and its running statistics, and no random number is used up.

    Args:
        network: to be trained.
        loss: (logits [N, K], labels int64 [N]) -> a scalar.
        image: shape of an image, [C, H, W].
        num_classes: how many logits there must be.
        mixing: of the images of a batch; None for none.

    Raises:
        ValueError: one line that says what is returned and what has to be.
    """
    for count, training in ((2, True), (1, False)):  # batch normalisation cannot train on a single image
        with _untouched(network, training), torch.no_grad():
            try:
                outputs = _answer(network, torch.zeros(count, *image))
            except NotImplementedError:  # an operation that the CPU does not have
                return
            heads = _heads(outputs, network, training=training)
            for logits in heads:
                _check_logits(logits, type(network).__name__, count, num_classes)
            if training:
                _check_loss(loss, heads[0], torch.zeros(count, dtype=torch.int64))
                if mixing:
                    _check_mixing(mixing, loss, heads[0], torch.zeros(count, *image))


def trains_on_one(network: nn.Module, image: tuple[int, int, int]) -> bool:
    """Whether a network can be trained on a single image, unlike batch normalisation of single values.

    Args:
        network: which takes more of them.
        image: shape of an image, [C, H, W].
    """
    with _untouched(network, True), torch.no_grad():
        try:
            _answer(network, torch.zeros(1, *image))
        except ValueError:
            return False
        except NotImplementedError:
            pass
    return True


def _answer(network: nn.Module, images: Tensor) -> Any:
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    try:
        return functional_call(network, buffers, (images,))
    except NotImplementedError:
        raise
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        name = type(network).__name__
        raise ValueError(f"model: {name} cannot take images {list(images.shape)}: {said}") from error


@contextmanager
def _untouched(network: nn.Module, training: bool) -> Iterator[None]:
    """Within the block the network is in a mode; after it in its own again, and so are the random numbers."""
    modes = [(module, module.training) for module in network.modules()]
    with torch.random.fork_rng(devices=[]):
        network.train(training)
        try:
            yield
        finally:
            for module, mode in modes:
                module.training = mode


def _heads(outputs: Any, network: nn.Module, *, training: bool) -> list[Any]:
    """The logits, and in training those of auxiliary heads."""
    name = type(network).__name__
    if not isinstance(outputs, tuple):
        return [outputs]
    if not training:
        raise ValueError(f"model: {name} returns {len(outputs)} outputs in evaluation; it must return the logits alone")
    if len(outputs) > 1 and not hasattr(network, "auxiliary_weight"):
        raise ValueError(
            f"model: {name} returns {len(outputs)} outputs in training, and has no auxiliary_weight that says how much "
            "the losses of those after the first count; return the logits alone, or set the attribute"
        )
    return list(outputs)


def _check_logits(logits: Any, name: str, count: int, num_classes: int) -> None:
    must = f"it must return logits, float [N, {num_classes}] for data.num_classes={num_classes}"
    if not isinstance(logits, Tensor):
        raise ValueError(f"model: {name} returns {type(logits).__name__}; {must}")
    if logits.shape != (count, num_classes):
        sides = ["N" if side == count and not axis else str(side) for axis, side in enumerate(logits.shape)]
        shape = ", ".join(sides)
        raise ValueError(f"model: {name} returns [{shape}]; {must}")
    if not logits.is_floating_point():
        raise ValueError(f"model: {name} returns {str(logits.dtype).removeprefix('torch.')}; {must}")


def _check_loss(loss: nn.Module, logits: Tensor, labels: Tensor) -> None:
    value = loss(logits, labels)
    if not isinstance(value, Tensor) or value.dim():
        shape = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(
            f"recipe.loss: {type(loss).__name__} returns {shape}; it must return the mean over the batch, a scalar"
        )


def _check_mixing(mixing: Mixing, loss: nn.Module, logits: Tensor, images: Tensor) -> None:
    name = type(mixing).__name__
    answer: Any = mixed(mixing, images, torch.zeros(len(images), dtype=torch.int64), seed=0)
    shapes = [list(getattr(each, "shape", ())) for each in answer]
    if shapes != [list(images.shape), list(logits.shape)] or not answer[1].is_floating_point():
        raise ValueError(
            f"recipe.mixing: {name} returns {' and '.join(map(str, shapes))}; it must return images "
            f"{list(images.shape)} and the shares of their classes, float {list(logits.shape)}"
        )
    try:
        loss(logits, answer[1])
    except Exception as error:
        raise ValueError(
            f"recipe.mixing: {type(loss).__name__} takes one class for each image, and {name} gives shares of several; "
            "add recipe/loss=cross_entropy"
        ) from error
