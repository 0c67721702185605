"""Runs of a W&B project, read back for comparison like those in folders."""

from collections.abc import Iterator
from typing import Any

from cnnlit.files import progress
from cnnlit.runs.moved import update_config
from cnnlit.runs.reading import State
from cnnlit.runs.records import RunRecord

PREFIX = "wandb:"
STATES: dict[str, State] = {"finished": "finished", "running": "running", "killed": "interrupted", "crashed": "failed"}
TIMEOUT_SECONDS = 30


def find(project: str, api: Any = None) -> list[RunRecord]:
    """All runs of a project.

    Args:
        project: `entity/project`, or `project` of the default entity.
        api: a wandb.Api, or an object with the same methods; None for a new one.

    Raises:
        ValueError: in one line, if the package is missing, W&B does not answer, or the project has no runs.
    """
    place = f"runs={PREFIX}{project}"
    try:
        if api is None:
            import wandb

            api = wandb.Api(timeout=TIMEOUT_SECONDS)
        runs = list(api.runs(project))
    except ImportError:
        raise ValueError(f"{place}: the package wandb is not installed") from None
    except Exception as error:  # errors of W&B and of its transport have no base class of their own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{place}: W&B does not answer ({reason}); wandb login, or name a folder") from None
    if not runs:
        raise ValueError(f"{place}: there is no run in this project")
    return [_record(run) for run in progress(runs, "reading runs", len(runs))]


def _record(run: Any) -> RunRecord:
    summary = dict(run.summary)
    metadata = run.metadata or {}
    state = STATES.get(run.state, "failed")
    return RunRecord(
        place=run.url,
        state=state,
        reason="" if state == "finished" else f"{run.state} at W&B",
        seed=run.config.get("seed"),
        config=update_config(dict(run.config)),
        test={key: float(value) for key, value in summary.items() if key.startswith("test/") and _is_number(value)},
        curves=list(_by_epoch(run.scan_history())),
        seconds=summary.get("_runtime"),
        device=metadata.get("gpu") or metadata.get("cpu") or "",
        commit=(metadata.get("git") or {}).get("commit") or "",
        command=" ".join(["python", metadata.get("program") or "", *(metadata.get("args") or [])]).strip(),
        started=str(run.created_at),
    )


def _by_epoch(history: Any) -> Iterator[dict[str, float]]:
    """W&B's rows, merged by epoch: training and validation are logged one after the other."""
    rows: dict[float, dict[str, float]] = {}
    for row in history:
        numbers = {key: float(value) for key, value in row.items() if _is_number(value) and not key.startswith("_")}
        if "epoch" in numbers:
            rows.setdefault(numbers["epoch"], {}).update(numbers)
    yield from (rows[epoch] for epoch in sorted(rows))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
