"""Saving a dashboard at W&B: under the same name in place of what was there."""

import difflib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from cnnlit.tracking.wandb_internals import execute_query, overwrite_view

if TYPE_CHECKING:
    from cnnlit.tracking.dashboards import Dashboard

TIMEOUT_SECONDS = 30
NUM_RUNS = 20
"""The newest, looked at for the keys of their configurations."""
WITHOUT_ACCOUNT = "without one, python -m cnnlit.report runs=FOLDER format=html writes the dashboard as a page"
VIEWS_QUERY = """
query Views($project: String!, $entity: String!, $type: String!, $cursor: String) {
  project(name: $project, entityName: $entity) {
    allViews(viewType: $type, first: 100, after: $cursor) {
      edges { node { id name displayName } }
      pageInfo { endCursor hasNextPage }
    }
  }
}
"""
RUNS_QUERY = """
query Runs($project: String!, $entity: String!, $filters: JSONString, $first: Int) {
  project(name: $project, entityName: $entity) {
    runs(filters: $filters, first: $first, order: "-created_at") { edges { node { config } } }
  }
}
"""


class Saved(NamedTuple):
    """What came of saving a dashboard."""

    views: list["View"]
    num_runs: int
    """Runs that it shows by now, as far as they were looked at."""


class View(NamedTuple):
    """A workspace or a report at W&B."""

    kind: Literal["workspace", "report"]
    url: str
    replaced: bool
    """Whether there was one of this name."""


def save(dashboard: "Dashboard") -> Saved:
    """Send a dashboard to W&B; a workspace or report of the same name is replaced, and keeps its address.

    Raises:
        ValueError: without an account, a project or an answer, or if there are runs and none has a key that names
            the arms; in one line.
    """
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    workspace, report = dashboard.workspace, dashboard.report
    with _answering(f"{workspace.entity}/{workspace.project}".lstrip("/")):
        if not wandb.login(prompt=False):
            raise ValueError(
                f"there is no W&B account here, or WANDB_MODE keeps it out: wandb login; {WITHOUT_ACCOUNT}"
            )
        api = wandb.Api(timeout=TIMEOUT_SECONDS)
        workspace.entity = workspace.entity or api.default_entity or ""
        project = _Project(api, workspace.entity, workspace.project)
        configs = project.configs(dashboard.chosen)
        _check(dashboard.by, configs)
        before = project.view("project-view", workspace.name)
        if before:
            overwrite_view(workspace, before)
        views = [View("workspace", workspace.save().url, before is not None)]
        if report:
            report.entity = workspace.entity
            before = project.view("runs", report.title)
            if before:
                report.id = before["id"]
            views.append(View("report", report.save().url, before is not None))
    return Saved(views, len(configs))


class _Project:
    """What is asked of a project, beyond what W&B's package asks."""

    def __init__(self, api: Any, entity: str, project: str) -> None:
        self._api = api
        self._place = {"entity": entity, "project": project}

    def view(self, kind: str, name: str) -> dict[str, str] | None:
        """The view of that kind and displayed name, if there is one."""
        cursor = None
        while True:
            found = self._ask(VIEWS_QUERY, type=kind, cursor=cursor)["allViews"]
            for edge in found["edges"]:
                if edge["node"]["displayName"] == name:
                    node: dict[str, str] = edge["node"]
                    return node
            if not found["pageInfo"]["hasNextPage"]:
                return None
            cursor = found["pageInfo"]["endCursor"]

    def configs(self, chosen: dict[str, str]) -> list[dict[str, Any]]:
        """The configurations of the newest runs, of a group or a sweep."""
        found = self._ask(RUNS_QUERY, filters=json.dumps(chosen), first=NUM_RUNS)["runs"]
        configs = [json.loads(edge["node"]["config"] or "{}") for edge in found["edges"]]
        return [{key: node["value"] for key, node in config.items() if "value" in node} for config in configs]

    def _ask(self, query: str, **variables: Any) -> Any:
        project = execute_query(self._api, query, {**self._place, **variables})["project"]
        if project is None:
            place = "/".join(self._place.values())
            raise ValueError(f"project={place}: W&B knows no such project, or it is closed to you")
        return project


def _check(by: list[str], configs: list[dict[str, Any]]) -> None:
    """Refuse a key that no run has: all would be one arm, without a name."""
    known = {path for config in configs for path in _paths(config)}
    for key in by:
        if known and key not in known:
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            raise ValueError(f"by={key}: no run has it" + (f"; did you mean {close[0]}?" if close else ""))


def _paths(config: dict[str, Any], above: str = "") -> Iterator[str]:
    for key, value in config.items():
        yield f"{above}{key}"
        if isinstance(value, dict):
            yield from _paths(value, f"{above}{key}.")


@contextmanager
def _answering(project: str) -> Iterator[None]:
    try:
        yield
    except ValueError:
        raise
    except Exception as error:  # of W&B, of its transport, of the machine: nothing can be saved
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"project={project}: W&B does not answer ({reason}); wandb login; {WITHOUT_ACCOUNT}") from None
