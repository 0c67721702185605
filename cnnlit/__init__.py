"""The history of convolutional networks, LeNet-5 to ResNet, as experiments.

`cnnlit.fit("recipe.epochs=3")` trains and tests, `cnnlit.load(run)` is the trained network of a run, and
`cnnlit.compose("model=vgg16")` the configuration of a command line.
"""

import sys
from types import TracebackType
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


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if kind is KeyboardInterrupt:
        sys.stderr.write("cnnlit: interrupted\n")
    else:
        sys.__excepthook__(kind, error, trace)


def _program() -> str:
    """What this process was started as: `cnnlit.train` after -m, or the name of a script."""
    words = sys.orig_argv
    first = words.index("-m") + 1 if "-m" in words else 1
    return "".join(words[first : first + 1]).replace("\\", "/").rpartition("/")[2]


if _program().startswith("cnnlit"):  # Ctrl-C while a command still imports; in other programs it is theirs
    sys.excepthook = _show
