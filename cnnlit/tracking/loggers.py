"""What tracks a run besides the files in its folder: W&B or TensorBoard."""

import importlib.util
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

INIT_TIMEOUT_SECONDS = 30
"""How long W&B's server may take to answer at the start; after that the run is kept offline."""
FINISH_TIMEOUT_SECONDS = 60
"""How long the rest of the upload may take at the end; after that it stays on the disk."""


def wandb_logger(
    *,
    project: str,
    entity: str | None,
    group: str | None,
    name: str | None,
    tags: list[str],
    mode: Literal["auto", "online", "offline"],
    log_model: bool = False,
    folder: Path,
    run_id: str,
) -> "WandbLogger | None":
    """A logger to W&B that never prompts and never keeps training waiting: online if logged in, otherwise offline.

    Args:
        project: at W&B.
        entity: W&B's user or team; null for the default.
        group: name for runs that belong together; null for none.
        name: shown for the run; null for the name of its folder.
        tags: of the run.
        mode: `auto` goes online when there is an API key and WANDB_MODE says nothing else.
        log_model: keep the tested network at W&B, as an artifact.
        folder: of the run; W&B's own files go there too.
        run_id: id of the run at W&B, unless WANDB_RUN_ID, set by an agent of a W&B sweep, says otherwise.

    Returns:
        The logger; or None, with a warning, if the package wandb is missing.
    """
    if importlib.util.find_spec("wandb") is None:
        warnings.warn("no W&B: the package wandb is not installed; metrics.csv is written all the same", stacklevel=2)
        return None
    import wandb

    from cnnlit.tracking.network_logger import NetworkLogger

    os.environ.setdefault("WANDB_SILENT", "true")
    for variable in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        os.environ.setdefault(variable, str(folder / "wandb"))
    chosen = mode if mode != "auto" else os.environ.get("WANDB_MODE") or _mode_by_login()
    settings = wandb.Settings(
        init_timeout=INIT_TIMEOUT_SECONDS, finish_timeout=FINISH_TIMEOUT_SECONDS, finish_timeout_raises=True
    )
    logger = None
    for attempt in dict.fromkeys((chosen, "offline")):
        logger = NetworkLogger(
            wanted=log_model,
            project=project,
            entity=entity,
            group=group,
            name=name or folder.name,
            tags=tags,
            save_dir=folder,
            id=os.environ.get("WANDB_RUN_ID") or run_id,
            resume="allow",
            mode=attempt,
            settings=settings,
        )
        try:
            _ = logger.experiment  # starts the run
            break
        except wandb.errors.Error as error:
            wandb.teardown()  # or the run's id stays in use
            _warn_offline(error)
    return logger


def login() -> str:
    """Whether runs will go online, in words; asks nobody, so a key may still be refused."""
    if importlib.util.find_spec("wandb") is None:
        return "the package wandb is not installed"
    os.environ.setdefault("WANDB_SILENT", "true")
    if mode := os.environ.get("WANDB_MODE"):  # W&B then says nothing of a login
        return f"{mode}, as WANDB_MODE says"
    return "logged in" if _mode_by_login() == "online" else "not logged in, so runs are kept offline; wandb login"


def _mode_by_login() -> Literal["online", "offline"]:
    """Online if there is an API key; whether it is still valid shows when the run starts."""
    import wandb

    try:
        return "online" if wandb.login(prompt=False, verify=False) else "offline"
    except wandb.errors.Error as error:
        _warn_offline(error)
        return "offline"


def _warn_offline(error: Exception) -> None:
    reason = " ".join(str(error).split())
    warnings.warn(f"no W&B online ({reason}); the run is kept offline, to be sent with wandb sync", stacklevel=3)


def tensorboard_logger(*, folder: Path, run_id: str) -> "TensorBoardLogger":
    """A logger to TensorBoard files in the run's folder.

    Raises:
        ValueError: if the package tensorboard is missing.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise ValueError('logger=tensorboard needs the package tensorboard: pip install "cnnlit[tensorboard]"')
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(folder, name=None, version="tensorboard")


@contextmanager
def closing() -> Iterator[None]:
    """At the end of the block, finish W&B's run, if there is one, or mark it as failed; warn if data is left unsent."""
    failed = True
    try:
        yield
        failed = False
    finally:
        wandb = sys.modules.get("wandb")
        if wandb is not None and wandb.run is not None:
            command, folder = _sync_command(wandb.run), _folder(wandb.run)
            try:
                wandb.finish(exit_code=int(failed))
                reason = _rejection(folder)
            except Exception as error:  # trouble with W&B is no reason to fail
                reason = "it took too long" if isinstance(error, TimeoutError) else " ".join(str(error).split())
                with suppress(Exception):  # or the end of Python tries it once more
                    wandb.teardown()
            if reason:
                warnings.warn(f"W&B has not taken all of the run ({reason}); to send it: {command}", stacklevel=2)


def keep_network(loggers: "Iterable[Logger]", files: Sequence[Path], measured: Mapping[str, float]) -> None:
    """Let the loggers that are to keep the network have it; see NetworkLogger.

    Args:
        loggers: of a run.
        files: the checkpoint, and what describes it.
        measured: the results of the test.
    """
    for logger in loggers:
        if type(logger).__name__ == "NetworkLogger":  # whose module imports W&B
            logger.keep_network(files, measured)  # type: ignore[attr-defined]


def where() -> str | None:
    """The run's URL at W&B, or the command that uploads it; None without W&B."""
    wandb = sys.modules.get("wandb")
    if wandb is None or wandb.run is None:
        return None
    if wandb.run.settings.mode == "online":
        return str(wandb.run.url)
    return _sync_command(wandb.run)


def _sync_command(run: Any) -> str:
    return f"wandb sync {_folder(run)}"


def _folder(run: Any) -> Path:
    return Path(run.dir).parent


def _rejection(folder: Path) -> str | None:
    """Why W&B's server rejected what was logged; its client writes that to its own log and nowhere else."""
    log = folder / "logs" / "debug-internal.log"
    for line in log.read_text(errors="replace").splitlines() if log.is_file() else []:
        if rejected := re.search(r"filestream: fatal error: (?:filestream: )?(.*?)(?: url=|\"|\\)", line):
            return rejected[1]
    return None
