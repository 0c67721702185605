"""Networks and data that a Python program hands over as they are, in place of what a configuration names."""

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cnnlit.config import Node
from cnnlit.config.schema import OBJECT
from cnnlit.experiment.settings import NetworkSettings, TrainSettings

if TYPE_CHECKING:
    from torch import nn

    from cnnlit.data.datamodule import ResumableData

SIZES = ("num_classes", "image_size", "in_channels", "batch_size")
"""What a run has to know of its data."""

PLAIN = (bool, int, float, str, type(None))


@dataclass(frozen=True, kw_only=True)
class WithObjects(NetworkSettings):
    """Settings whose network, or data, are objects; `model` and `data` then say of which class.

    The network is copied, so the object stays as it is whatever is trained.
    """

    network: "nn.Module | None" = None
    datamodule: Any = None

    def build_network(self, *, from_checkpoint: bool = False) -> "nn.Module":
        if self.network is None:
            return super().build_network(from_checkpoint=from_checkpoint)
        from lightning import seed_everything

        seed_everything(self.seed, workers=True, verbose=False)
        return copy.deepcopy(self.network)

    def build_data(self, changes: Node) -> "ResumableData":
        from cnnlit.data.datamodule import ResumableData
        from cnnlit.data.plain_data import PlainData

        if self.datamodule is None:
            return super().build_data(changes)
        if not isinstance(self.datamodule, ResumableData):
            node = {key: value for key, value in self.data.items() if key not in ("_target_", "module")}
            return PlainData(**{**node, **changes}, module=self.datamodule)
        for key, value in changes.items():
            if key != "batch_size" and self.data.get(key) != value:
                raise ValueError(f"data.{key}={value}: the data are an object; make it so that its {key} is {value}")
        return copy.copy(self.datamodule)


@dataclass(frozen=True, kw_only=True)
class FitSettings(WithObjects, TrainSettings):
    """What `cnnlit.fit` takes: the configuration of the command, and objects."""

    def of_one_run(self) -> Node:
        kept = super(FitSettings, replace(self, network=None, datamodule=None)).of_one_run()
        return {key: value for key, value in kept.items() if key not in ("network", "datamodule")}


def named_class(given: Any) -> str:
    """The dotted name of an object's class, as a configuration has it."""
    return f"{type(given).__module__}.{type(given).__qualname__}"


def with_objects(config: Node, network: Any, datamodule: Any) -> Node:
    """A configuration that names the classes of objects in the places of what they replace.

    Args:
        config: a resolved configuration, with the sizes of the data.
        network: a torch.nn.Module; None for the one that is configured.
        datamodule: a LightningDataModule; None likewise.

    Raises:
        ValueError: one line, if they are something else or have other sizes.
    """
    changed = dict(config)
    if network is not None:
        changed["model"] = {OBJECT: named_class(network)}
    if datamodule is not None:
        changed["data"] = _node_of_data(config["data"], datamodule)
        if config["recipe"]["batch_size"] != changed["data"]["batch_size"]:
            size = changed["data"]["batch_size"]
            raise ValueError(f"recipe.batch_size={config['recipe']['batch_size']}: data has batches of {size}")
    return changed


def check_objects(network: Any, datamodule: Any) -> None:
    """Refuse what is neither a network nor data.

    Raises:
        ValueError: one line.
    """
    from lightning import LightningDataModule
    from torch import nn

    if network is not None and not isinstance(network, nn.Module):
        raise ValueError(f"model: {named_class(network)} is no torch.nn.Module")
    if datamodule is not None and not isinstance(datamodule, LightningDataModule):
        raise ValueError(f"data: {named_class(datamodule)} is no LightningDataModule")


def check_same(config: Node, network: Any, datamodule: Any) -> None:
    """Refuse objects of other classes than those that a run was made with.

    Raises:
        ValueError: one line.
    """
    places = {"model": config["model"], "data": config["data"].get("module", config["data"])}
    for key, given in (("model", network), ("data", datamodule)):
        if given is None:
            continue
        before = places[key].get(OBJECT)
        if before is None:
            raise ValueError(f"{key}: this run's was configured ({places[key].get('_target_')}); leave {key}= out")
        if before != named_class(given):
            raise ValueError(f"{key}: {named_class(given)}, where this run had {before}")


def sizes_of(datamodule: Any) -> Node:
    """The sizes that data of ours know of themselves."""
    known = {**dict(getattr(datamodule, "hparams", {}))}
    return {key: known[key] for key in SIZES if isinstance(known.get(key), int)}


def _node_of_data(node: Node, datamodule: Any) -> Node:
    from cnnlit.data.datamodule import ResumableData

    if not isinstance(datamodule, ResumableData):
        return {**node, "module": {OBJECT: named_class(datamodule)}}
    options = {key: value for key, value in dict(datamodule.hparams).items() if isinstance(value, PLAIN)}
    if missing := [key for key in SIZES if key not in options]:
        raise ValueError(f"data: {named_class(datamodule)} has no {', '.join(missing)} among its hparams")
    return {OBJECT: named_class(datamodule), **options}
