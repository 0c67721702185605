"""Initial weights from anywhere: what `model.weights` names, for any network."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnnlit.config import Node
from cnnlit.config.schema import named, options_of
from cnnlit.config.signatures import read_signature

if TYPE_CHECKING:
    from torch import nn

    from cnnlit.models.weights import State

FILES = (".ckpt", ".pt", ".pth", ".safetensors")

PREFIXES = ("model.", "module.", "_orig_mod.")
"""What a LightningModule, DDP and torch.compile put before the names of a network's parameters."""


SHIPPED = Path(__file__).parents[1] / "models" / "shipped"
"""Weights that come with cnnlit, LeNet5.MNIST.safetensors for model.weights=MNIST; docs/weights.md tells of them."""


class Source(NamedTuple):
    """Weights that were read from a file."""

    state: "State"
    config: dict[str, Any]
    """The configuration of the run that they are of; empty if that is not known."""
    classes: dict[str, Any]
    """What the run's data said of their classes, see ResumableData.answer_for; likewise."""


def shipped(name: str) -> Path | None:
    """The file of weights that come with cnnlit, if there are some of this name: LeNet5.MNIST."""
    path = SHIPPED / f"{name}.safetensors"
    return path if "/" not in name and path.is_file() else None


def file_of(model: Node) -> Path | None:
    """The file or folder that `model.weights` names: one that comes with cnnlit or the user's; None for neither."""
    weights = model.get("weights")
    if not weights:
        return None
    is_file = Path(weights).exists() or "/" in weights or Path(weights).suffix in FILES
    return shipped(f"{_class_of(model)}.{weights}") or (Path(weights) if is_file else None)


def shipped_names(model: Node) -> list[str]:
    """What `model.weights` may say of a network to have weights that come with cnnlit."""
    return [path.name.split(".")[1] for path in sorted(SHIPPED.glob(f"{_class_of(model)}.*.safetensors"))]


def is_loaded_here(model: Node) -> bool:
    """Whether the weights are loaded by `load`, and not by the constructor of the network."""
    return file_of(model) is not None or (bool(model.get("weights")) and _is_of_torchvision(model))


def check_typed(model: Node) -> None:
    """Refuse weights that are not there, as far as names and the sources of our networks tell; nothing is imported.

    Raises:
        FileNotFoundError: if a file is named, and there is none.
        ValueError: as `check_name`.
    """
    path = file_of(model)
    if path and not path.exists():
        raise FileNotFoundError(f"model.weights={model['weights']}: {_absent(path)}")
    if (signature := read_signature(model["_target_"])) is not None:
        _refuse_unknown(model, signature)


def check_name(model: Node) -> None:
    """Refuse weights by a name that nobody knows.

    Raises:
        ValueError: if the network's constructor does not take published weights.
    """
    if model.get("weights") and not is_loaded_here(model):
        _refuse_unknown(model, options_of(named(model["_target_"])).known)


def _refuse_unknown(model: Node, known: Collection[str]) -> None:
    """Refuse weights by a name, where the network's constructor takes only what is known."""
    weights = model.get("weights")
    if weights and not is_loaded_here(model) and "weights" not in known:
        names = shipped_names(model)
        others = f"cnnlit has {', '.join(names)} for it" if names else f"{model['_target_']} has no published weights"
        raise ValueError(f"model.weights={weights}: no such file or folder, and {others}")


def load(network: "nn.Module", model: Node, num_classes: int | None, data: Node) -> None:
    """Give a network the weights that its node names.

    Args:
        network: built without them.
        model: its node.
        num_classes: how many outputs its heads have, which begin anew where the weights have another number.
        data: that it is trained on, whose scale has to be that of the run that the weights are of.

    Raises:
        FileNotFoundError: if there is no such file.
        OSError: if published weights cannot be downloaded.
        ValueError: if they do not fit; one line that names the layers.
    """
    from cnnlit.models.weights import fill, heads_of

    said = f"model.weights={model['weights']}"
    path = file_of(model)
    source = read(path, said) if path else Source(_published_by_torchvision(model), {}, {})
    _check_scale(said, source.config, data)
    said += _version(path) if path else ""
    fill(network, source.state, said, heads_of(network, source.state, num_classes), exactly=True)


def read(path: Path, said: str) -> Source:
    """The weights in a run's folder, a checkpoint, a state dict or a safetensors file.

    Args:
        path: of it.
        said: what messages call it.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it holds something else.
    """
    if path.is_dir():
        path = path / "checkpoints" / ("best.ckpt" if (path / "checkpoints" / "best.ckpt").is_file() else "last.ckpt")
    if not path.is_file():
        raise FileNotFoundError(f"{said}: {_absent(path)}")
    content = _content(path, said)
    state = content.get("state_dict", content)
    tensors = {key: value for key, value in state.items() if hasattr(value, "shape")} if isinstance(state, dict) else {}
    if not tensors:
        raise ValueError(f"{said}: {path}{_version(path)} holds no weights")
    config = content.get("config")
    of_data = (each for each in content.values() if isinstance(each, dict) and "class_names" in each)
    return Source(_without_prefix(tensors), config if isinstance(config, dict) else {}, next(of_data, {}))


def _absent(path: Path) -> str:
    return f"there is no {path}; name a run's folder, a checkpoint or a safetensors file"


def classes_of(model: Node, num_classes: int) -> dict[str, Any]:
    """The classes that the weights of a model stand for, see ResumableData.answer_for; empty if they are not known.

    Args:
        model: its node, which names its weights.
        num_classes: how many classes the network has.
    """
    if path := file_of(model):
        return read(path, f"model.weights={model['weights']}").classes
    if num_classes != 1000:
        return {}
    from cnnlit.data.labels.class_ids import imagenet_ids
    from cnnlit.data.sources.class_names import imagenet_names

    return {"class_folders": imagenet_ids(), "class_names": imagenet_names()}  # of all of torchvision's weights


def told_by(model: Node) -> dict[str, Any]:
    """What the file of `model.weights` says of its network, see cnnlit.exports.weights_file; empty if it says nothing.

    Its configuration is brought up to date.

    Raises:
        ValueError: if the file cannot be read.
    """
    path = file_of(model)
    if path is None or path.suffix != ".safetensors" or not path.is_file():
        return {}
    from cnnlit.exports.weights_file import read_about
    from cnnlit.runs.moved import update_config

    try:
        about = read_about(path)
    except Exception as error:  # damaged files make safetensors raise all sorts of errors
        raise ValueError(_unreadable(f"model.weights={model['weights']}", path, error)) from None
    return about | {"config": update_config(about["config"])} if about else {}


def _version(path: Path) -> str:
    """Which version wrote the weights of a run, for a message; empty if that is not known."""
    from cnnlit.runs.checkpoint_io import written_by

    by = written_by(path / "checkpoints" / "last.ckpt" if path.is_dir() else path)
    return f" ({by})" if by else ""


def _unreadable(said: str, path: Path, error: Exception) -> str:
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return f"{said}: {path} cannot be read ({reason})"


def _content(path: Path, said: str) -> dict[str, Any]:
    from cnnlit.runs.checkpoint_io import read_checkpoint

    try:
        if path.suffix == ".safetensors":
            from cnnlit.exports.weights_file import read_weights

            kept = read_weights(path)
            return {"state_dict": kept.state, **{key: kept.about.get(key) for key in ("config", "data_state")}}
        return read_checkpoint(path)
    except Exception as error:  # damaged files make torch raise all sorts of errors
        raise ValueError(_unreadable(said, path, error)) from None


def _without_prefix(state: "State") -> "State":
    """The parameters of the network, as it calls them."""
    for prefix in PREFIXES:
        if any(key.startswith(prefix) for key in state):  # beside those of a loss, say
            inner = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            return _without_prefix(inner)
    return state


def _check_scale(said: str, config: dict[str, Any], data: Node) -> None:
    before, now = (each.get("normalization") for each in (config.get("data") or {}, data))
    if before and now and before != now:
        raise ValueError(f"data.normalization={now}: {said} were trained on {before}; add data.normalization={before}")


def _class_of(model: Node) -> str:
    return str(model.get("_target_")).rpartition(".")[2]


def _is_of_torchvision(model: Node) -> bool:
    return str(model["_target_"]).startswith("torchvision.models.")


def _published_by_torchvision(model: Node) -> "State":
    from torchvision.models import get_model_weights

    from cnnlit.models.weights import published_state

    return published_state(get_model_weights(named(model["_target_"])), model["_target_"], model["weights"])
