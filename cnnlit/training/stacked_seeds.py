"""Several seeds of one network trained in lock-step: their parameters are stacked, and a step is one for all."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.modules.dropout import _DropoutNd

from cnnlit.training.metrics import RunningTotals
from cnnlit.training.module import ImageClassification
from cnnlit.training.optimizers import StochasticDiagonalLM, diagonal_curvature
from cnnlit.training.recipe import Recipe
from cnnlit.training.schedules import Plateau

ELEMENTWISE = (
    *(optim.SGD, optim.Adam, optim.AdamW, optim.NAdam, optim.RAdam, optim.RMSprop, optim.Adagrad),
    StochasticDiagonalLM,  # with the curvatures of each replica's own network
)
"""Optimizers that treat each number by itself, so that they do not see that parameters are stacked."""


class StackedSeeds(ImageClassification):
    """Trains R networks that differ in their seeds, each as ImageClassification would train it alone, to rounding.

    `model` is a network like each of them whose every parameter has R in front of its shape, so that optimizers,
    groups of parameters, limits and averages apply to all of them at once; nothing in a step is done one by one. A
    batch holds the images of each replica, one replica after the other; in validation all are shown the same ones.

    What ImageClassification logs is given to the loggers as lists of R; the mean of `val/error` is what Lightning sees.
    A replica whose loss or weights are no longer finite spoils no other one.

    Args:
        networks: R networks with their own initial values.
        recipe: of all of them; see `why_not_stacked`.
        num_classes: see ImageClassification.
        seeds: of each.

    Attributes:
        diverged: for each replica the epoch, from 1, in which its loss was first not finite; 0 if it never was.
    """

    def __init__(
        self, networks: Sequence[nn.Module], *, recipe: Recipe, num_classes: int, seeds: Sequence[int]
    ) -> None:
        super().__init__(stacked(networks), recipe=recipe, num_classes=num_classes, seed=seeds[0])
        self.seeds = seeds
        self.running = RunningTotals(len(networks))
        self.validated = RunningTotals(len(networks))
        self.diverged = [0] * len(networks)
        self._validation: dict[str, list[float]] = {}
        self._answer: Callable[..., tuple[Tensor, Tensor]] = self._lockstep

    def on_train_start(self) -> None:
        super().on_train_start()
        self.validated.to(self.device)

    def on_train_epoch_start(self) -> None:
        if not isinstance(self._optimizer, StochasticDiagonalLM):
            return
        each = []
        for replica in range(len(self.seeds)):
            sample = self._curvature_sample(self._optimizer.num_samples, replica)
            each.append(diagonal_curvature(unstacked(self.model, replica), self.loss, *sample).values())
        together = (torch.stack(parts) for parts in zip(*each, strict=True))
        self._optimizer.take(dict(zip(self.model.parameters(), together, strict=True)))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = (part.view(len(self.seeds), -1, *part.shape[1:]) for part in batch)
        losses, logits = self._answer(dict(self.model.named_parameters()), images, labels)
        self.running.update(losses, logits, labels, self._optimizer.param_groups[0]["lr"])
        return losses.sum()  # of which each replica's gradient is its own loss's

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images, labels = batch
        losses, logits = self._lockstep(dict(self.model.named_parameters()), images, labels)
        self.validated.update(losses, logits, labels, 0.0)

    def compile(self, *args: Any, **options: Any) -> None:
        """Fuse a training step's way forwards and backwards by torch.compile; see torch.nn.Module.compile."""
        self._answer = torch.compile(self._lockstep, *args, **options)

    def _lockstep(self, parameters: dict[str, Tensor], images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Losses [R] and logits [R, N, K] for images [R, N, C, H, W] and labels [R, N], or [N, ...] for all."""
        model, loss = self.model, self.loss

        def one(own: dict[str, Tensor], images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
            logits = functional_call(model, own, (images,))
            return loss(logits, labels), logits

        shown = 0 if labels.dim() == 2 else None
        answer: tuple[Tensor, Tensor] = vmap(one, in_dims=(0, shown, shown))(parameters, images, labels)
        return answer

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Each replica's gradient by its own length, as torch.nn.utils.clip_grad_norm_ does with one."""
        if gradient_clip_val is None or gradient_clip_algorithm == "value":
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)
            return
        gradients = [each.grad for each in self.model.parameters() if each.grad is not None]
        lengths = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
        factors = (gradient_clip_val / (lengths + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(factors.view(-1, *[1] * (gradient.dim() - 1)))

    def on_validation_epoch_end(self) -> None:
        self._validation = self.validated.of_each("val")
        errors = self._validation["val/error"]
        self.log("val/error", sum(errors) / len(errors), logger=False)
        self.validated.reset()

    def on_train_epoch_end(self) -> None:
        train = self.running.of_each("train")
        for replica, finite in enumerate(self.running.loss.isfinite().tolist()):
            if not finite and not self.diverged[replica]:
                self.diverged[replica] = self.current_epoch + 1
        row = {"epoch": self.current_epoch, "seconds": self.seconds, "learning_rate": self.running.learning_rate}
        for logger in self.loggers:
            logger.log_metrics({**row, **train, **self._validation}, self.global_step - 1)  # type: ignore[dict-item]
        self.running.reset()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["diverged"] = self.diverged

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.diverged = checkpoint["diverged"]


def stacked(networks: Sequence[nn.Module]) -> nn.Module:
    """A copy of the first network with each parameter in the place of one, in front of its shape their number."""
    parameters, _ = stack_module_state(list(networks))
    return _copy_with(networks[0], parameters)


def unstacked(network: nn.Module, replica: int) -> nn.Module:
    """A copy of one of the networks that were stacked."""
    return _copy_with(network, {name: stack[replica].clone() for name, stack in network.named_parameters()})


def _copy_with(network: nn.Module, parameters: Mapping[str, Tensor]) -> nn.Module:
    """A copy of a network with other parameters, of any shape, in the place of its own."""
    copy = deepcopy(network)
    for name, parameter in parameters.items():
        layer, _, own = name.rpartition(".")
        setattr(copy.get_submodule(layer), own, nn.Parameter(parameter.detach()))
    return copy


def of_one(checkpoint: Mapping[str, Any], replica: int) -> dict[str, Any]:
    """The checkpoint of one replica, as if it had been trained alone.

    Args:
        checkpoint: of StackedSeeds.
        replica: its number.
    """

    def own(value: Any) -> Any:  # what has no dimension is the same for all, as the optimizer's count of steps
        return value[replica].clone() if isinstance(value, Tensor) and value.dim() else value

    weights = ("state_dict", "current_model_state")  # the second one beside averaged weights
    states = {
        part: {name: own(value) for name, value in checkpoint[part].items()} for part in weights if part in checkpoint
    }
    optimizers = [
        {**optimizer, "state": {key: {name: own(value) for name, value in state.items()}
                                for key, state in optimizer["state"].items()}}
        for optimizer in checkpoint["optimizer_states"]
    ]  # fmt: skip
    running = {name: own(value) for name, value in checkpoint["running"].items()}
    shared = {name: value for name, value in checkpoint.items() if name != "diverged"}
    return {**shared, **states, "optimizer_states": optimizers, "running": running}


def is_finite(checkpoint: Mapping[str, Any]) -> bool:
    """Whether all weights in a checkpoint are numbers."""
    return all(bool(value.isfinite().all()) for value in checkpoint["state_dict"].values())


def why_not_stacked(network: nn.Module, recipe: Recipe) -> str | None:
    """What stands in the way of training replicas of a network in lock-step; None if nothing does.

    Args:
        network: one of them.
        recipe: that they are to be trained by.
    """
    if any(isinstance(layer, _DropoutNd) and layer.p for layer in network.modules()):
        return "dropout would not draw what it draws for each seed alone"
    if set(network.state_dict()) - {name for name, _ in network.named_parameters()}:
        return "a layer keeps statistics of its own, as batch normalisation does"
    if hasattr(network, "auxiliary_weight"):
        return "the network has auxiliary heads"
    optimizer = recipe.optimizer_for(network)
    if type(optimizer) not in ELEMENTWISE:
        return f"{type(optimizer).__name__} does not treat each parameter by itself"
    if isinstance(recipe.schedule(optimizer, steps_per_epoch=1, epochs=recipe.epochs), Plateau):
        return "the schedule follows the validation error, which is each replica's own"
    return None
