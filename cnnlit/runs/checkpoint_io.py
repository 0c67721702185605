"""Checkpoints, written whole or not at all; those of older versions are brought up to date."""

import io
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

import cnnlit
from cnnlit.files import shown, write_whole
from cnnlit.runs.folder import UnresumableError
from cnnlit.runs.moved import update_checkpoint
from cnnlit.runs.reading import read_record

TO_TEST = ("running", "seconds", "state_dict")
TO_RESUME = (*TO_TEST, "callbacks", "epoch", "global_step", "loops", "lr_schedulers", "optimizer_states")
"""What a checkpoint has to hold for its network to be tested, and for its training to go on."""

VERSION = "cnnlit_version"
"""Under which a checkpoint says which version wrote it."""

READERS = ("checkpoint_connector.py", "prediction.py")
"""Source files of which an error is one of what a checkpoint holds, if it comes up while one is read."""

MOST_NAMES = 4
"""Of weights that a refusal names."""


class UnfitCheckpointError(UnresumableError, ValueError):
    """A checkpoint does not hold what is asked of it."""


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints that are there whole or not at all, also when the process is killed while it writes.

    Args:
        previous: where the checkpoint goes whose place a new `last.ckpt` takes; None for nowhere.
    """

    def __init__(self, previous: Path | None = None) -> None:
        self.previous = previous

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        checkpoint[VERSION] = cnnlit.__version__
        content = io.BytesIO()
        torch.save(checkpoint, content)
        previous = self.previous if Path(path).name == "last.ckpt" else None
        write_whole(Path(path), content.getbuffer(), previous=previous)

    def load_checkpoint(self, path: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return update_checkpoint(super().load_checkpoint(path, *args, **kwargs))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint on the CPU: plain containers and tensors."""
    return update_checkpoint(torch.load(path, map_location="cpu", weights_only=True))


def read_state_of_data(path: Path, name: str) -> dict[str, Any]:
    """What a checkpoint keeps of a data module, without reading the network's weights; empty if it keeps nothing.

    Args:
        path: of the checkpoint.
        name: of the data module's class.
    """
    checkpoint = update_checkpoint(torch.load(path, map_location="cpu", weights_only=True, mmap=True))
    state: dict[str, Any] = checkpoint.get(name, {})
    return state


def check_fits(path: Path, weights: Iterable[str], needed: Iterable[str]) -> None:
    """Refuse a checkpoint that lacks something, before anything is made of it.

    Args:
        path: of the checkpoint.
        weights: names that the module has for its parameters and buffers.
        needed: TO_TEST or TO_RESUME.

    Raises:
        UnfitCheckpointError: one line: what is missing, which version wrote it, what can be done.
    """
    checkpoint = update_checkpoint(torch.load(path, map_location="cpu", weights_only=True, mmap=True))
    missing = [key for key in needed if key not in checkpoint]
    there, here = _of_network(checkpoint.get("state_dict", ())), _of_network(weights)
    lost, alien = (here - there if there else set()), there - here
    lacks = [*missing, *([f"the weights {_named(lost)}"] if lost else [])]
    parts = [f"lacks {', '.join(lacks)}"] if lacks else []
    parts += [f"has weights that the model does not have: {_named(alien)}"] if alien else []
    if parts:
        raise UnfitCheckpointError(_unfit(path, " and ".join(parts), has_weights=bool(there) and not lost | alien))


def _of_network(names: Iterable[str]) -> set[str]:
    """Without what a loss has of its own."""
    return {name.removeprefix("model.") for name in names if name.startswith("model.")}


@contextmanager
def saying_what_lacks(path: Path | None) -> Iterator[None]:
    """Within this block, what goes wrong in reading the inner parts of a checkpoint is said in one line.

    Raises:
        UnfitCheckpointError: in place of such an error.
    """
    try:
        yield
    except (KeyError, TypeError, RuntimeError) as error:
        frames = traceback.extract_tb(error.__traceback__)
        if path is None or not any(Path(frame.filename).name in READERS for frame in frames):
            raise
        what = f"lacks {error.args[0]}" if isinstance(error, KeyError) else " ".join(f"does not fit: {error}".split())
        raise UnfitCheckpointError(_unfit(path, what[:300], has_weights=isinstance(error, KeyError))) from error


def written_by(path: Path) -> str:
    """Which version wrote a checkpoint, in words; empty if that is not known."""
    version = _version(path)
    return f"written by cnnlit {version}" if version else ""


def _version(path: Path) -> str:
    """As the checkpoint says, or, of a version that did not, its run."""
    with suppress(Exception):  # damaged files make torch raise all sorts of errors
        return str(torch.load(path, map_location="cpu", weights_only=True, mmap=True)[VERSION])
    with suppress(OSError, IndexError):
        return str(read_record(path.parents[1]).get("versions", {}).get("cnnlit", ""))
    return ""


def _unfit(path: Path, what: str, *, has_weights: bool) -> str:
    by, version = written_by(path), _version(path)
    ways = [f"pip install cnnlit=={version} reads it"] if version and "dev" not in version else []
    if has_weights:
        ways.append(f"model.weights={shown(path)} trains on from its weights")
    ways.append("or train it anew" if ways else "train it anew")
    return f"{shown(path)}{f', {by},' if by else ''} {what}; {', '.join(ways)}"


def _named(names: set[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{', '.join(sorted(names)[:MOST_NAMES])}{more}"
