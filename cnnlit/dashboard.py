"""python -m cnnlit.dashboard: make a W&B workspace of a project's runs, and a report of a sweep or a group.

Its keys are in conf/dashboard.yaml; --help lists them.
"""

import difflib
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import fields
from typing import Literal

from cnnlit import config
from cnnlit.config.signatures import read_signature
from cnnlit.experiment.settings import TrainSettings


def dashboard(
    *,
    project: str,
    group: str | None,
    sweep: str | None,
    by: list[str] | str,
    x: Literal["epoch", "trainer/global_step"],
    name: str | None,
    format: Literal["wandb", "json"],  # noqa: A002  what everyone calls it
) -> None:
    """Build a workspace and, if a group or a sweep is named, a report; save them and print their URLs.

    conf/dashboard.yaml says what each key is for.
    """
    with config.refusing():
        entity, _, own_name = project.rpartition("/")
        if not own_name or "/" in entity or project.startswith("/"):
            raise ValueError(f"project={project}: must be entity/project, or project of your default entity")
        keys = by.split(",") if isinstance(by, str) else by
        _check_keys(key.strip() for key in keys)
        from cnnlit.tracking import dashboards, wandb_views

        built = dashboards.build(
            entity=entity, project=own_name, name=name, by=[key.strip() for key in keys], group=group, sweep=sweep, x=x
        )
        if format == "json":
            sys.stdout.write(json.dumps(built.specification(), indent=2) + "\n")
            return
        saved = wandb_views.save(built)
    for view in saved.views:
        sys.stdout.write(f"{view.kind}{', replaced' if view.replaced else ''}: {view.url}\n")
    if not saved.num_runs:
        sys.stdout.write("there is no run to show yet\n")


def _check_keys(by: Iterable[str]) -> None:
    """Refuse a key that no run can have; W&B would show one arm without a word."""
    known = [field.name for field in fields(TrainSettings)]
    for key in by:
        group, dot, rest = key.partition(".")
        if group not in known:
            close = difflib.get_close_matches(group, known, n=1)
            hint = f"did you mean {close[0]}{dot}{rest}?" if close else f"it begins with one of {', '.join(known)}"
            raise ValueError(f"by={key}: no run has such a key; {hint}")
        ours = _keys_of(group) if rest.isidentifier() else {rest}
        # A network of one's own has keys of its own, which only its runs tell.
        if near := rest not in ours and difflib.get_close_matches(rest, ours, n=1, cutoff=0.9):
            raise ValueError(f"by={key}: no run has such a key; did you mean {group}.{near[0]}?")


def _keys_of(group: str) -> set[str]:
    """What the classes take that can be chosen of a group."""
    files = "".join(path.read_text(encoding="utf-8") for path in (config.conf_dir() / group).glob("*.yaml"))
    targets = re.findall(r"^_target_: (\S+)", files, re.MULTILINE)
    return {name for target in targets for name in read_signature(target) or {}}


command = config.entry_point(dashboard)


def main() -> None:
    """The entry point; values that Hydra would not read get quotation marks."""
    config.quote("project", "group", "by", "name")
    command()


if __name__ == "__main__":
    main()
