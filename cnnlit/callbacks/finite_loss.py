"""A loss that is not finite ends the run, and the layer that caused it is named."""

import math
import time
from collections.abc import Sequence
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from cnnlit.runs.folder import Run, UnresumableError

SECONDS_BETWEEN_LOOKS = 1.0
"""On a GPU, where reading a loss means waiting for it."""

NOT_FINITE = "is not finite"


class FiniteLoss(Callback):
    """Ends a run whose loss or weights become infinite or NaN, so that no checkpoint ever holds such weights.

    On the CPU every loss is checked before the step that it would spoil, and the layer is found by running the same
    batch through the network again. On a GPU losses are checked once a second, and weights before they are saved; when
    a run that ended this way is resumed, every step is checked and the layer found.

    Reads `model`, `loss`, `parts_of` and `on_train_batch_start` of the LightningModule.

    Args:
        run: the run that is ended.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self._every_step = False
        self._batch: Any = None
        self._losses: list[tuple[int, Tensor]] = []
        self._next_look = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._every_step = pl_module.device.type == "cpu" or NOT_FINITE in self.run.error_before

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._batch = batch

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        step = trainer.global_step + 1
        if self._every_step:
            if not math.isfinite(loss.item()):
                self._end(trainer, step, self._origin(pl_module))
        else:
            self._losses.append((step, loss.detach()))
            if time.monotonic() > self._next_look:
                self._look(trainer)

    def on_train_batch_end(self, *_: Any) -> None:
        self._batch = None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._look(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._look(trainer)
        weights = [value for value in checkpoint["state_dict"].values() if value.is_floating_point()]
        if not get_total_norm(weights, norm_type=math.inf).isfinite():
            self._end(trainer, trainer.global_step, _spoilt(pl_module))

    def _look(self, trainer: Trainer) -> None:
        """Check the losses since the last look, which waits for them."""
        self._next_look = time.monotonic() + SECONDS_BETWEEN_LOOKS
        recent, self._losses = self._losses, []
        if recent and not (finite := torch.stack([loss for _, loss in recent]).isfinite()).all():
            step, _ = recent[finite.tolist().index(False)]
            self._end(trainer, step, f"resume={self.run.folder} goes there again and names the layer")

    def _origin(self, module: Any) -> str:
        """The first layer whose output is not finite, in the current batch."""
        if spoilt := _spoilt(module):
            return spoilt
        images, _labels = self._batch
        if not images.isfinite().all():
            return "it has images with such values"
        module.on_train_batch_start(self._batch, 0)  # seeds dropout as the step did
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            layer = _first_layer(module.model, module.parts_of(images))
        return f"the first output that {NOT_FINITE} is {layer}'s" if layer else "every layer's output is finite"

    def _end(self, trainer: Trainer, step: int, where: str) -> None:
        kept = "none yet"
        if self.run.checkpoint.is_file():
            state = torch.load(self.run.checkpoint, weights_only=True, mmap=True, map_location="cpu")
            kept = f"{self.run.checkpoint}, after step {state['global_step']}"
        raise UnresumableError(
            f"step {step} (epoch {trainer.current_epoch + 1}): the loss {NOT_FINITE}; {where}; "
            f"the last good checkpoint: {kept}"
        )


def _first_layer(model: nn.Module, parts: Sequence[Tensor]) -> str | None:
    found: list[str] = []
    hooks = []
    for name, layer in model.named_modules():
        if not any(layer.children()):

            def look(layer: nn.Module, inputs: Any, output: Any, name: str = name) -> None:
                if not found and isinstance(output, Tensor) and not output.isfinite().all():
                    found.append(f"{name} ({type(layer).__name__})")

            hooks.append(layer.register_forward_hook(look))
    try:
        for images in parts:
            model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else None


def _spoilt(module: Any) -> str:
    """The layer whose gradient was first not finite, which is the last one with such weights; empty if none has."""
    names = [name for name, values in module.model.named_parameters() if not values.isfinite().all()]
    return f"the gradient of {names[-1]} in the step before it was not" if names else ""
