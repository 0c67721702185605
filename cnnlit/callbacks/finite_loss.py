"""A loss that is no number stops the run, and the layer that it comes from is named."""

import math
import time
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from cnnlit.runs.folder import Run, RunError

SECONDS_BETWEEN_LOOKS = 1.0
"""On a GPU, where to look at a loss is to wait for it."""

NOT_FINITE = "is not finite"


class FiniteLoss(Callback):
    """Ends a run whose loss or weights are infinite or not a number, so that no checkpoint ever holds such weights.

    On the processor every loss is looked at before the step that it would spoil, and the layer is found by showing
    the network the same batch again. On a GPU the losses are looked at once a second, and the weights before they are
    saved; when a run that ended so is resumed, every step is looked at, and the layer found.

    Reads `model`, `loss` and `on_train_batch_start` of the LightningModule.

    Args:
        run: that ends.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self._every_step = False
        self._batch: Any = None
        self._losses: list[Tensor] = []
        self._next_look = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._every_step = pl_module.device.type == "cpu" or NOT_FINITE in self.run.error_before

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._batch = batch

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        if self._every_step:
            if not math.isfinite(loss.item()):
                self._end(trainer, trainer.global_step + 1, self._origin(pl_module))
        else:
            self._losses.append(loss.detach())
            if time.monotonic() > self._next_look:
                self._look(trainer)
        self._batch = None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._look(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._look(trainer)
        weights = [value for value in checkpoint["state_dict"].values() if value.is_floating_point()]
        if not get_total_norm(weights, norm_type=math.inf).isfinite():
            self._end(trainer, trainer.global_step, _spoilt(pl_module))

    def _look(self, trainer: Trainer) -> None:
        """Wait for the losses since the last look."""
        self._next_look = time.monotonic() + SECONDS_BETWEEN_LOOKS
        losses, self._losses = self._losses, []
        if losses and not (finite := torch.stack(losses).isfinite()).all():
            first = trainer.global_step - len(losses) + int(finite.logical_not().nonzero()[0]) + 1
            self._end(trainer, first, f"resume={self.run.folder} goes there again and names the layer")

    def _origin(self, module: Any) -> str:
        """The first layer that makes something infinite of something finite, in the batch at hand."""
        if spoilt := _spoilt(module):
            return spoilt
        images, _labels = self._batch
        if not images.isfinite().all():
            return "it has images with such values"
        module.on_train_batch_start(self._batch, 0)  # which draws what the step drew
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            layer = _first_layer(module.model, images)
        return f"the first output that {NOT_FINITE} is {layer}'s" if layer else "every layer's output is finite"

    def _end(self, trainer: Trainer, step: int, where: str) -> None:
        kept = "none yet"
        if self.run.checkpoint.is_file():
            state = torch.load(self.run.checkpoint, weights_only=True, mmap=True, map_location="cpu")
            kept = f"{self.run.checkpoint}, after step {state['global_step']}"
        raise RunError(
            f"step {step} (epoch {trainer.current_epoch + 1}): the loss {NOT_FINITE}; {where}; "
            f"the last good checkpoint: {kept}"
        )


def _first_layer(model: nn.Module, images: Tensor) -> str | None:
    found: list[str] = []
    hooks = []
    for name, layer in model.named_modules():
        if not any(layer.children()):

            def look(layer: nn.Module, inputs: Any, output: Any, name: str = name) -> None:
                if not found and isinstance(output, Tensor) and not output.isfinite().all():
                    found.append(f"{name} ({type(layer).__name__})")

            hooks.append(layer.register_forward_hook(look))
    try:
        model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else None


def _spoilt(module: Any) -> str:
    """The layer whose gradient was the first to be infinite: the last one with such weights; empty if none has."""
    names = [name for name, values in module.model.named_parameters() if not values.isfinite().all()]
    return f"the gradient of {names[-1]} in the step before it was not" if names else ""
