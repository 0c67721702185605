"""The configuration of a command line, for Python to read."""

from pathlib import Path
from typing import Any

import yaml

from cnnlit import config
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
    own = [f"--config-dir={config_dir}"] if config_dir else []
    return Configuration(config.compose_again(train, [*own, *overrides]))


def train(settings: TrainSettings) -> None:
    """Stands for the command, whose file and schema it names; no one imports a command."""
