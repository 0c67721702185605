"""A logger to W&B that can keep the network there, too, and whose own process may be lost."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger


class NetworkLogger(WandbLogger):
    """Lightning's logger, which keeps the tested network of a run as an artifact of type `model` where that is wanted.

    Lightning's own `log_model` looks for checkpoints of its ModelCheckpoint.

    Args:
        wanted: whether the network is to be kept at W&B.
        **options: of Lightning's.
    """

    def __init__(self, *, wanted: bool, **options: Any) -> None:
        super().__init__(**options)
        self.wanted = wanted
        self._lost = False

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers; once W&B's process on this machine is gone, warn, and log no more."""
        if self._lost:
            return
        try:
            super().log_metrics(metrics, step)
        except (wandb.errors.Error, OSError) as error:
            self._lost = True
            reason = " ".join(str(error).split())
            warnings.warn(f"W&B no longer takes what is logged ({reason}); training goes on without it", stacklevel=2)

    def keep_network(self, files: Sequence[Path], measured: Mapping[str, float]) -> None:
        """Log files as the artifact `network-<run id>`; warns where that fails, for the run is done.

        Args:
            files: the checkpoint, and what describes it.
            measured: the results of the test, which become the artifact's metadata.
        """
        if not self.wanted:
            return
        try:
            artifact = wandb.Artifact(f"network-{self.experiment.id}", type="model", metadata=dict(measured))
            for path in files:
                artifact.add_file(str(path))
            self.experiment.log_artifact(artifact, aliases=["latest", "tested"])
        except (wandb.errors.Error, OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            warnings.warn(f"logger.log_model: W&B has not taken the network ({reason})", stacklevel=2)
