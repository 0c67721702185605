"""Where a run is tracked beside its folder: W&B, TensorBoard."""

import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

INIT_TIMEOUT_SECONDS = 30


def wandb_logger(
    *,
    project: str,
    entity: str | None,
    group: str | None,
    name: str | None,
    tags: list[str],
    mode: Literal["auto", "online", "offline"],
    folder: Path,
    run_id: str,
) -> "WandbLogger | None":
    """A W&B run that never asks and never keeps training waiting: online when logged in, otherwise offline.

    Args:
        project: W&B's project.
        entity: W&B's user or team; null for the default.
        group: of runs that belong together.
        name: shown for the run; null for its folder's name.
        tags: of the run.
        mode: `auto` goes online when there is an API key and WANDB_MODE says nothing else.
        folder: the run's; W&B's files go there.
        run_id: W&B's id for the run, unless WANDB_RUN_ID (of a sweep's agent) names another.

    Returns:
        The logger, or None, with a warning, without the package wandb.
    """
    if importlib.util.find_spec("wandb") is None:
        warnings.warn("no W&B: the package wandb is not installed; metrics.csv is written all the same", stacklevel=2)
        return None
    import wandb
    from lightning.pytorch.loggers import WandbLogger

    os.environ.setdefault("WANDB_SILENT", "true")
    for variable in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        os.environ.setdefault(variable, str(folder / "wandb"))
    asked = mode if mode != "auto" else os.environ.get("WANDB_MODE") or None
    chosen = asked or ("online" if wandb.login(prompt=False) else "offline")
    logger = None
    for attempt in dict.fromkeys((chosen, "offline")):
        logger = WandbLogger(
            project=project,
            entity=entity,
            group=group,
            name=name or folder.name,
            tags=tags,
            save_dir=folder,
            id=os.environ.get("WANDB_RUN_ID") or run_id,
            resume="allow",
            mode=attempt,
            settings=wandb.Settings(init_timeout=INIT_TIMEOUT_SECONDS),
        )
        try:
            _ = logger.experiment  # starts the run
            break
        except wandb.errors.CommError as error:
            warnings.warn(f"no W&B online ({error}); the run is kept offline", stacklevel=2)
    return logger


def tensorboard_logger(*, folder: Path, run_id: str) -> "TensorBoardLogger":
    """TensorBoard's files in the run's folder.

    Raises:
        ValueError: without the package tensorboard.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise ValueError('logger=tensorboard needs the package tensorboard: pip install "cnnlit[tensorboard]"')
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(folder, name=None, version="tensorboard")


@contextmanager
def closing() -> Iterator[None]:
    """At the end of the block W&B's run, if there is one, is finished, or marked as failed."""
    failed = True
    try:
        yield
        failed = False
    finally:
        wandb = sys.modules.get("wandb")
        if wandb is not None and wandb.run is not None:
            wandb.finish(exit_code=int(failed))


def where() -> str | None:
    """Where W&B shows the run, or the command that will send it there; None without W&B."""
    wandb = sys.modules.get("wandb")
    if wandb is None or wandb.run is None:
        return None
    if wandb.run.settings.mode == "online":
        return str(wandb.run.url)
    return f"wandb sync {Path(wandb.run.dir).parent}"
