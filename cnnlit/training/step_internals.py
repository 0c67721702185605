"""What makes a small network's steps cheap: Lightning's hooks, and torch's arithmetic on whole lists of tensors.

torch.optim is written in the latter, which has no public names.
"""

from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor


class QuickHooks(LightningModule):
    """A LightningModule for which entering and leaving a hook costs next to nothing.

    Around each of its hooks, 50 times a step, Lightning sets the module's `_current_fx_name`. torch checks every
    attribute that is set for being a parameter, a module or a buffer, which adds up to a tenth of a small network's
    step; here this one attribute is set without the check.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)


def damped_step(
    parameters: list[Tensor], gradients: list[Tensor], curvatures: list[Tensor], *, lr: float, mu: float
) -> None:
    """parameter -= lr * gradient / (curvature + mu), in place and for all of them at once.

    On a GPU this is two kernels for the whole network instead of two for each parameter.
    """
    damped = torch._foreach_add(curvatures, mu)
    torch._foreach_addcdiv_(parameters, gradients, damped, -lr)
