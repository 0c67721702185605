"""A W&B workspace and report of a project's runs, built from code with the package wandb-workspaces."""

import hashlib
import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from cnnlit.tracking.wandb_internals import set_identifier, specification_of

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2 import Report
    from wandb_workspaces.workspaces import Section, Workspace

Axis = Literal["epoch", "trainer/global_step"]

CURVES = ("val/error", "val/loss", "train/error", "train/loss", "val/top5_error", "learning_rate")
PICTURES = (
    *("training_images", "errors", "confusion_matrix", "class_errors", "calibration"),
    *("filters", "learning_curves", "schedule", "layers"),
)
MAX_ARMS = 100
"""Most lines in a panel; W&B's default of 10 would hide the eleventh seed."""
LONGEST_NAME = 128
"""Most characters that W&B accepts in a report's title."""


class Dashboard(NamedTuple):
    """A workspace and perhaps a report, whether saved or not."""

    workspace: "Workspace"
    report: "Report | None"
    by: list[str]
    """Keys of the runs' configuration that define the arms."""
    chosen: dict[str, str]
    """What the runs shown are filtered by: `group`, `sweep`."""

    def specification(self) -> dict[str, Any]:
        """What is sent to W&B, in plain containers: `workspace` and, if there is one, `report`."""
        parts = {"workspace": self.workspace, "report": self.report}
        return {name: specification_of(part) for name, part in parts.items() if part is not None}


def build(
    *, entity: str, project: str, name: str | None, by: list[str], group: str | None, sweep: str | None, x: Axis
) -> Dashboard:
    """Build a workspace of a project's runs and, if a group or a sweep is named, a report of it; without any request.

    The same arguments give the same specification, to the character.

    Args:
        entity: W&B's user or team; empty to leave it open until the dashboard is saved.
        project: W&B's project.
        name: of the workspace and the report; None for one made of what they show.
        by: keys of the runs' configuration that define the arms, each drawn as a mean with its standard error.
        group: show only the runs of this group.
        sweep: show only the runs of the sweep with this id.
        x: the x axis of the curves.

    Raises:
        ValueError: if the package wandb-workspaces is missing, or W&B would not accept a name.
    """
    for key in by:
        if not re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", key):
            raise ValueError(f"by={key}: must be a key of the runs' configuration, like model.pooling")
    chosen = {attribute: value for attribute, value in (("group", group), ("sweep", sweep)) if value}
    for attribute, value in chosen.items():
        if re.search(r"""['"\\=<>!]""", value):  # wandb-workspaces writes filters as text and parses it again
            raise ValueError(f"{attribute}={value}: must be without quotation marks, backslashes and any of = < > !")
    name = name or _name(by, group, sweep)
    if len(name) > LONGEST_NAME:
        raise ValueError(f"name={name}: must have {LONGEST_NAME} characters at most")
    try:
        from wandb_workspaces import expr
        from wandb_workspaces import workspaces as ws
    except ImportError:
        raise ValueError('the dashboard needs the package wandb-workspaces: pip install "cnnlit[dashboard]"') from None

    filters = [expr.Metric(attribute.title()) == value for attribute, value in chosen.items()]
    together: Any = expr.And(*filters) if filters else ""
    sections = _sections(x, by)
    workspace = ws.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=sections,
        settings=ws.WorkspaceSettings(x_axis=x, max_runs=MAX_ARMS),
        runset_settings=ws.RunsetSettings(
            filters=together,
            groupby=[expr.Config(key) for key in by],
            pinned_columns=["run:displayName", "summary:test/error", "summary:val/error", *map(_column, by)],
        ),
    )
    report = None
    if filters:
        report = _report(entity, project, name, sections, by, together, _command(entity, project, by, group, sweep, x))
    return Dashboard(workspace, report, by, chosen)


def _name(by: list[str], group: str | None, sweep: str | None) -> str:
    what = ", ".join(filter(None, (group, sweep)))
    return "cnnlit" + (f": {what}" if what else "") + (f" by {', '.join(by)}" if by else "")


def _command(entity: str, project: str, by: list[str], group: str | None, sweep: str | None, x: Axis) -> str:
    words = {
        "project": f"{entity}/{project}" if entity else project,
        "group": group,
        "sweep": sweep,
        "by": ",".join(by),
        "x": x,
    }
    return " ".join(["python -m cnnlit.dashboard", *(f"{key}={value}" for key, value in words.items() if value)])


def _column(key: str) -> str:
    """A key of the configuration, as a column of W&B's table of runs."""
    first, *rest = key.split(".")
    return "config:" + ".".join([first, "value", *rest])


def _sections(x: Axis, by: list[str]) -> list["Section"]:
    from wandb_workspaces.reports import v2 as wr

    def curve(name: str, against: str = x, **options: Any) -> Any:
        band: dict[str, Any] = {"groupby_aggfunc": "mean", "groupby_rangefunc": "stderr"} if by else {}
        # W&B draws only rows that have both: training logs `seconds`, validation does not.
        return wr.LinePlot(title=name, x=against, y=[name], max_runs_to_show=MAX_ARMS, **band, **options)

    def layers(prefix: str, **options: Any) -> Any:
        panel = curve(prefix, **options)
        panel.y, panel.metric_regex = [], f"^{prefix}/"
        return panel

    arms = [wr.Config(key) for key in by]
    columns = [*arms, wr.SummaryMetric("val/error"), wr.SummaryMetric("test/error")]
    return [
        _section("Curves", [curve(name) for name in CURVES], is_open=True),
        _section(
            "Error against time",
            [
                curve("train/error", "seconds", title_x="seconds of training and validation"),
                curve("val/error", "RelativeTime(Process)", title_x="seconds since the start of the process"),
            ],
            is_open=True,
        ),
        _section(
            "Comparison",
            [
                wr.BarPlot(
                    title="test/error",
                    metrics=["test/error"],
                    max_runs_to_show=MAX_ARMS,
                    **({"groupby_aggfunc": "mean", "groupby_rangefunc": "stderr"} if by else {}),
                ),
                wr.ParallelCoordinatesPlot(
                    title="arms and errors", columns=[wr.ParallelCoordinatesPlotColumn(metric=each) for each in columns]
                ),
                wr.ParameterImportancePlot(with_respect_to="val/error"),
                wr.RunComparer(diff_only="split"),
            ],
            is_open=True,
        ),
        _section(
            "Pictures",
            [wr.MediaBrowser(title=name, media_keys=[f"pictures/{name}"], num_columns=2) for name in PICTURES],
            is_open=True,
        ),
        _section("Layers", [layers("gradient_norm", log_y=True), layers("saturation", range_y=(0, 1))]),
        _section("Waiting for data", [curve("seconds_waiting"), curve("seconds")]),
    ]


def _section(name: str, panels: list[Any], *, is_open: bool = False) -> "Section":
    """Panels in two columns, with ids made from their places: random ones would change a file under version control."""
    from wandb_workspaces import workspaces as ws
    from wandb_workspaces.reports import v2 as wr

    for number, panel in enumerate(panels):
        set_identifier(panel, _identifier(f"{name}/{number}"))
        panel.layout = wr.Layout(x=12 * (number % 2), y=8 * (number // 2), w=12, h=8)
    layout = ws.SectionLayoutSettings(columns=2, rows=(len(panels) + 1) // 2)
    return ws.Section(name=name, panels=panels, is_open=is_open, layout_settings=layout)


def _identifier(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()[:12]


def _report(
    entity: str, project: str, name: str, sections: list["Section"], by: list[str], filters: Any, command: str
) -> "Report":
    from wandb_workspaces.reports import v2 as wr

    blocks: list[Any] = [wr.P([wr.InlineCode(command), " makes this report, and replaces it."])]
    for section in sections:
        # Without entity and project it belongs to the report's own, and W&B is not asked for the project's id.
        runset = wr.Runset(name=name, filters=filters, groupby=[f"config.{key}" for key in by])
        set_identifier(runset, _identifier(f"{section.name}/runs"))
        blocks += [wr.H2(section.name), wr.PanelGrid(runsets=[runset], panels=section.panels)]
    return wr.Report(entity=entity, project=project, title=name, width="fluid", blocks=blocks)
