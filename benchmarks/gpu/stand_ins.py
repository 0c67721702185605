"""Stand-ins for packages that the loop needs by name alone, so that a bare machine with PyTorch can measure it.

`annotated_types` bounds what a configuration may hold, and no configuration is read here. Without `simplejpeg`, JPEGs
are decoded by PIL, which the row says that measures it.
"""

import importlib.util
import sys
from types import ModuleType


def put_in_place() -> None:
    """Put a stand-in where a package is missing; before anything of cnnlit is imported."""
    for name, made in {"annotated_types": _bounds, "simplejpeg": _no_decoder}.items():
        if importlib.util.find_spec(name) is None:
            sys.modules[name] = made()


def is_here(package: str) -> bool:
    """Whether a package is installed, and no stand-in of it."""
    if module := sys.modules.get(package):
        return hasattr(module, "__file__")
    return importlib.util.find_spec(package) is not None


def _bounds() -> ModuleType:
    module = ModuleType("annotated_types")
    vars(module).update({name: lambda *bounds, name=name: (name, *bounds) for name in ("Ge", "Gt", "Le", "Len", "Lt")})
    return module


def _no_decoder() -> ModuleType:
    def refuse(_: bytes) -> None:
        raise ValueError("simplejpeg is not installed")

    module = ModuleType("simplejpeg")
    vars(module).update({"decode_jpeg_header": refuse, "decode_jpeg": refuse})
    return module
