"""Everything private in wandb_workspaces, the package that dashboards at W&B are built with."""

from typing import Any


def execute_query(api: Any, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    """W&B's answer to a GraphQL query, whichever version of wandb the `wandb.Api` is from."""
    from wandb_workspaces._graphql import execute_graphql

    answer: dict[str, Any] = execute_graphql(api, query, variables)
    return answer


def overwrite_view(workspace: Any, view: dict[str, str]) -> None:
    """Let saving a workspace replace a saved view, `id` and `name`; otherwise W&B makes another one every time."""
    workspace._internal_id, workspace._internal_name = view["id"], view["name"]


def set_identifier(part: Any, identifier: str) -> None:
    """Give a panel or a run set an id in place of its random one."""
    part._id = identifier


def specification_of(part: Any) -> dict[str, Any]:
    """What W&B is sent for a workspace or a report, in plain containers."""
    specification: dict[str, Any] = part._to_model().model_dump(mode="json", by_alias=True, exclude_none=True)
    return specification
