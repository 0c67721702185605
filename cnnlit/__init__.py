"""The history of convolutional networks, LeNet-5 to ResNet, as experiments.

`cnnlit.fit("recipe.epochs=3")` trains and tests, `cnnlit.load(run)` is the trained network of a run, and
`cnnlit.compose("model=vgg16")` the configuration of a command line.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # whoever needs one of them waits for torch or Hydra, and nobody else
    from cnnlit.experiment.configuration import compose
    from cnnlit.experiment.fit_call import FailedRunError, FitResult, RefusedError, fit
    from cnnlit.experiment.trained_network import load, module_arguments

__version__ = "0.2.0.dev0"

__all__ = [
    "FailedRunError",
    "FitResult",
    "RefusedError",
    "__version__",
    "compose",
    "fit",
    "load",
    "module_arguments",
]

_PLACES = {
    **dict.fromkeys(("FailedRunError", "FitResult", "RefusedError", "fit"), "cnnlit.experiment.fit_call"),
    "compose": "cnnlit.experiment.configuration",
    "load": "cnnlit.experiment.trained_network",
    "module_arguments": "cnnlit.experiment.trained_network",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'cnnlit' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PLACES[name]), name)
