"""What makes Lightning's hooks cheap."""

from typing import Any

from lightning import LightningModule


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
