"""The configuration of a command line, for Python to read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from cnnlit import config
from cnnlit.config import Node
from cnnlit.experiment.given_objects import sizes_of
from cnnlit.experiment.settings import TrainSettings


class Configuration(dict[str, Any]):
    """A resolved configuration as plain containers, which prints as the YAML of a run's config.yaml."""

    def __repr__(self) -> str:
        return yaml.safe_dump(dict(self), sort_keys=False)


def compose(*overrides: str, config_dir: str | Path | None = None) -> Configuration:
    """What `python -m cnnlit.train` would be configured with by these words.

    Args:
        overrides: as on the command line: `"model=vgg16"`, `"recipe.epochs=3"`.
        config_dir: a folder of your own configuration files, as `--config-dir`.

    Raises:
        ValueError: the line by which the command would refuse them.
    """
    return Configuration(_composed(read_words(overrides), config_dir))


def compose_for(words: Sequence[str], config_dir: str | Path | None, model: Any, data: Any) -> Node:
    """What the command would be configured with, where its network or its data may be objects.

    Args:
        words: see read_words.
        config_dir: see compose.
        model: a network; None for the one that is configured.
        data: a LightningDataModule, in place of which stands data=plain; None for those that are configured.

    Raises:
        ValueError: one line.
    """
    if model is not None:
        _refuse_words(words, ("model=", "model."), "the network is an object")
    if data is None:
        return _composed(words, config_dir)
    sizes = [f"data.{key}={value}" for key, value in sizes_of(data).items()]
    others = ("data.",) if sizes else ("data._target_", "data.module")
    _refuse_words(words, ("data=", *others), "the data are an object")
    resumed = any(word.startswith("resume=") for word in words)
    return _composed([*words] if resumed else ["data=plain", *sizes, *words], config_dir)


def _refuse_words(words: Sequence[str], beginnings: tuple[str, ...], reason: str) -> None:
    if others := [word for word in words if word.lstrip("+~").startswith(beginnings)]:
        raise ValueError(f"{' '.join(others)}: {reason}; leave it out")


def read_words(overrides: Sequence[str]) -> list[str]:
    """The words of a command line as the command reads them.

    Raises:
        ValueError: one line about what is not key=value.
    """
    words = config.as_hydra_reads(overrides)
    config.refuse_misread(words, train.__name__)
    return words


def _composed(words: Sequence[str], config_dir: str | Path | None) -> Node:
    own = [f"--config-dir={config_dir}"] if config_dir else []
    node = config.compose_again(train, [*own, *words])
    config.mention_unchecked(config.check(node, train))
    return node


def train(settings: TrainSettings) -> None:
    """Stands for the command, whose file and schema it names; no one imports a command."""
