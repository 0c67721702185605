"""What happens inside a network while it learns: each layer's gradient, and the saturation of its activation."""

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

SATURATED = 0.05
"""An activation is saturated where its slope is below this fraction of its steepest slope."""


class LayerStatistics(Callback):
    """Logs, once per epoch, from its first batch:

    `gradient_norm/<layer>`: the norm of the loss's gradient with respect to the layer's weights, before clipping.
    `saturation/<layer>`: the fraction of the layer's activations whose slope is below a twentieth of the steepest: the
    flat ends of a tanh or sigmoid, through which hardly any gradient passes; for a rectifier, the zeros.

    A layer is a module with weights; its activation is the first one computed after it. Reads `model` of the
    LightningModule, whose activations are modules named `activation…`. With accumulated gradients, the norm is that of
    the whole step.
    """

    def __init__(self) -> None:
        self._values: dict[str, Tensor] = {}
        self._hooks: list[RemovableHandle] = []
        self._layer = ""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self._values:
            return  # this epoch has been measured
        for name, module in pl_module.model.named_modules():  # type: ignore[union-attr]
            if _is_layer(module):
                self._hooks.append(module.register_forward_pre_hook(self._enters(name)))
            elif name.rpartition(".")[2].startswith("activation"):
                self._hooks.append(module.register_forward_pre_hook(self._saturates))

    def _enters(self, name: str) -> Any:
        def remember(module: nn.Module, inputs: Any) -> None:
            self._layer = name

        return remember

    def _saturates(self, activation: nn.Module, inputs: tuple[Tensor]) -> None:
        name = f"saturation/{self._layer}"
        if name in self._values:
            return  # of the sub-sampling after it, which has an activation too
        with torch.enable_grad():
            # A copy, because in-place rectifiers overwrite their input.
            at = inputs[0].detach().float().clone().requires_grad_()
            (slope,) = torch.autograd.grad(activation.forward(at * 1).sum(), at)
        self._values[name] = (slope.abs() < SATURATED * _steepest(activation)).float().mean()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        if not self._hooks:
            return
        for name, module in pl_module.model.named_modules():  # type: ignore[union-attr]
            if _is_layer(module) and (gradient := module.weight.grad) is not None:
                self._values[f"gradient_norm/{name}"] = gradient.norm()
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.log_dict(self._values)
        self._values = {}

    def state_dict(self) -> dict[str, Any]:
        """What was measured in the current epoch, for the run that resumes within it."""
        return {"values": self._values}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._values = state_dict["values"]


def _is_layer(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, nn.Parameter) and weight.ndim > 1  # normalisation layers have one weight per feature map


def _steepest(activation: nn.Module) -> float:
    """The steepest slope of an activation function."""
    with torch.enable_grad():
        at = torch.linspace(-5, 5, 1001).requires_grad_()
        (slope,) = torch.autograd.grad(activation.forward(at * 1).sum(), at)
    return float(slope.abs().max())
