"""Several seeds of one network trained in lock-step: their parameters are stacked, and one step updates all."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.func import functional_call, stack_module_state, vmap

from cnnlit.training.metrics import RunningTotals
from cnnlit.training.module import ImageClassification
from cnnlit.training.optimizers import StochasticDiagonalLM, diagonal_curvature, nominal_rate
from cnnlit.training.recipe import Recipe
from cnnlit.training.schedules import Plateau

ELEMENTWISE = (
    *(optim.SGD, optim.Adam, optim.AdamW, optim.NAdam, optim.RAdam, optim.RMSprop, optim.Adagrad),
    StochasticDiagonalLM,  # given the curvatures of each replica's own network
)
"""Optimizers that work elementwise, so stacked parameters make no difference to them."""

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


class StackedSeeds(ImageClassification):
    """Trains R networks that differ only in their seeds, each as ImageClassification would alone, up to rounding.

    `model` is one such network in which every parameter has a leading dimension R, so that optimizers, parameter
    groups, limits and averages apply to all replicas at once; no part of a step loops over them. A training batch
    holds the images of all replicas, one replica after the other; in validation all of them see the same images.

    Loggers are given what ImageClassification logs as lists of length R; Lightning sees the mean of `val/error`. A
    replica whose loss or weights are no longer finite does not affect the others.

    Args:
        networks: R networks with their own initial weights.
        recipe: shared by all; see `why_not_stacked`.
        num_classes: see ImageClassification.
        seeds: one per network.

    Attributes:
        diverged: for each replica, the epoch, counted from 1, in which its loss was first not finite; 0 for never.
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
        self.running.update(losses, logits, labels, nominal_rate(self._optimizer))
        return losses.sum()  # each replica's gradient is that of its own loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images, labels = batch
        losses, logits = self._lockstep(dict(self.model.named_parameters()), images, labels)
        self.validated.update(losses, logits, labels, 0.0)

    def compile(self, *args: Any, **options: Any) -> None:
        """Compile the forward and backward pass of a training step; see torch.nn.Module.compile."""
        self._answer = torch.compile(self._lockstep, *args, **options)

    def _lockstep(self, parameters: dict[str, Tensor], images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Losses [R] and logits [R, N, K] of images [R, N, C, H, W] and labels [R, N], or of shared ones [N, ...]."""
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
        """Clip each replica's gradient by its own norm, as torch.nn.utils.clip_grad_norm_ does for one network."""
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
    """A copy of the first network whose parameters are those of all networks, stacked along a new first dimension."""
    parameters, _ = stack_module_state(list(networks))
    return _copy_with(networks[0], parameters)


def unstacked(network: nn.Module, replica: int) -> nn.Module:
    """A copy of one of the stacked networks."""
    return _copy_with(network, {name: stack[replica].clone() for name, stack in network.named_parameters()})


def _copy_with(network: nn.Module, parameters: Mapping[str, Tensor]) -> nn.Module:
    """A copy of a network with its parameters replaced by others of any shape."""
    copy = deepcopy(network)
    for name, parameter in parameters.items():
        layer, _, own = name.rpartition(".")
        setattr(copy.get_submodule(layer), own, nn.Parameter(parameter.detach()))
    return copy


def of_one(checkpoint: Mapping[str, Any], replica: int) -> dict[str, Any]:
    """The checkpoint of one replica, as if it had been trained alone.

    Args:
        checkpoint: of StackedSeeds.
        replica: its index.
    """

    def own(value: Any) -> Any:  # scalars, such as the optimizer's step count, are shared
        return value[replica].clone() if isinstance(value, Tensor) and value.dim() else value

    weights = ("state_dict", "current_model_state")  # the latter exists beside averaged weights
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
    """Whether all weights in a checkpoint are finite."""
    return all(bool(value.isfinite().all()) for value in checkpoint["state_dict"].values())


def why_not_stacked(network: nn.Module, recipe: Recipe) -> str | None:
    """The reason why seeds of a network cannot be trained in lock-step; None if they can.

    Args:
        network: one of them.
        recipe: for all of them.
    """
    if any(isinstance(layer, DROPOUTS) and layer.p for layer in network.modules()):
        return "dropout would not draw what it draws for each seed alone"
    if set(network.state_dict()) - {name for name, _ in network.named_parameters()}:
        return "a layer keeps statistics of its own, as batch normalisation does"
    if hasattr(network, "auxiliary_weight"):
        return "the network has auxiliary heads"
    if recipe.micro_batch_size:
        return "recipe.micro_batch_size is of one network"
    if recipe.mixing:
        return "recipe.mixing mixes the images of one network"
    if recipe.early_stopping_patience or recipe.checkpoint == "best":
        return "each seed would end at an epoch of its own"
    optimizer = recipe.optimizer_for(network)
    if type(optimizer) not in ELEMENTWISE:
        return f"{type(optimizer).__name__} does not treat each parameter by itself"
    if isinstance(recipe.schedule(optimizer, steps_per_epoch=1, epochs=recipe.epochs), Plateau):
        return "the schedule follows the validation error, which is each replica's own"
    return None
