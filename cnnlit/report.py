"""python -m cnnlit.report: compare runs: means, intervals, differences, and a verdict on a claim.

conf/report.yaml holds all options; --help lists them.
"""

import gc
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from annotated_types import Ge, Gt

from cnnlit import config
from cnnlit.files import check_place, shown

if TYPE_CHECKING:  # imported where needed, so that --help and mistakes are answered at once
    from cnnlit.analysis.measures import Measure
    from cnnlit.analysis.results import Results
    from cnnlit.analysis.verdicts import Verdict
    from cnnlit.reports.tables import Page
    from cnnlit.runs.records import Runs

Format = Literal["text", "html", "markdown", "csv", "json"]
Words = list[str] | str
"""A list, or words separated by commas."""


class Report(NamedTuple):
    """A report in each format, written on demand.

    Attributes:
        folder: of the runs.
        page: for text and Markdown.
        html: for a file at the given path, which links are relative to.
    """

    folder: Path
    page: Callable[[], "Page"]
    html: Callable[[Path], str]
    csv: Callable[[], str]
    json: Callable[[], dict[str, Any]]


def report(
    *,
    runs: Words | None,
    metric: str | None,
    target: str | None,
    by: Words,
    claim: str | None,
    smallest_difference: Annotated[float, Gt(0)] | None,
    forms_tried: Annotated[int, Ge(1)],
    ilsvrc: bool,
    format: Format,  # noqa: A002  the word for it
    to: str | None,
    pictures: Words,
) -> None:
    """Report what runs say.

    conf/report.yaml says what each key is for.
    """
    with config.refusing():
        if to:
            _check_file(Path(to))
        if ilsvrc:
            forms = None if forms_tried == 1 else forms_tried
            _refuse_with_ilsvrc(
                metric=metric, target=target, claim=claim, smallest_difference=smallest_difference, forms_tried=forms
            )
            answer = _standing(_find(_listed(runs)) if runs is not None else None, _listed(by))
        else:
            found = _find(_listed("multirun" if runs is None else runs))
            from cnnlit.analysis.measures import measure_of  # which takes a second
            from cnnlit.analysis.verdicts import judge as judged

            judge = partial(judged, claim=claim, smallest=smallest_difference, forms=forms_tried)
            answer = _comparison(found, measure_of(metric, target), _listed(by), judge, _listed(pictures))
            if runs is None:
                _mention_taken(found)
        if format == "html" or to:
            path = Path(to) if to else answer.folder / ("ilsvrc.html" if ilsvrc else "report.html")
            _write(path, answer.html(path) if format == "html" else _written(answer, format))
            return
    if format != "text":
        sys.stdout.write(_written(answer, format))
        return
    from rich.console import Console

    from cnnlit.reports.tables import print_page

    print_page(answer.page(), Console())


def _comparison(
    found: "Runs", measure: "Measure", by: list[str], judge: "Callable[[Results], Verdict]", pictures: list[str]
) -> Report:
    from cnnlit.analysis.comparison import compare_runs
    from cnnlit.reports import report_data
    from cnnlit.reports.report_tables import report_page
    from cnnlit.sweeps.more_seeds import command_for_more

    results = compare_runs(found.records, measure, by, found.never_started)
    verdict = judge(results)
    if verdict.more_seeds:
        seeds_there = len({record.seed for record in found.records})
        verdict = verdict._replace(command=command_for_more(found, seeds_there + verdict.more_seeds))

    def html(path: Path) -> str:
        from cnnlit.reports.report_page import html_page

        return html_page(results, verdict, folder=path.parent, pictures=pictures)

    return Report(
        found.folder,
        page=lambda: report_page(results, verdict),
        html=html,
        csv=lambda: report_data.as_csv(results),
        json=lambda: report_data.as_json(results, verdict),
    )


def _standing(found: "Runs | None", by: list[str]) -> Report:
    """The winners of ILSVRC, and runs among them."""
    from cnnlit.reports import ilsvrc

    chart = ilsvrc.standing(found.records if found else [], by)
    return Report(
        found.folder if found else Path(),
        page=lambda: ilsvrc.ilsvrc_page(chart),
        html=lambda path: ilsvrc.ilsvrc_html(chart),
        csv=lambda: ilsvrc.as_csv(chart),
        json=lambda: ilsvrc.as_json(chart),
    )


def _refuse_with_ilsvrc(**options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            raise ValueError(f"{name}={value}: not with ilsvrc=true, which shows test/top5_error; leave it out")


def _listed(words: Words) -> list[str]:
    parts = words.split(",") if isinstance(words, str) else words
    return [part.strip() for part in parts if part.strip()]


def _find(places: list[str]) -> "Runs":
    """The runs of folders and of W&B projects together."""
    from cnnlit.runs import records
    from cnnlit.tracking import wandb_runs

    projects = [place.removeprefix(wandb_runs.PREFIX) for place in places if place.startswith(wandb_runs.PREFIX)]
    folders = [place for place in places if not place.startswith(wandb_runs.PREFIX)]
    if not places:
        raise ValueError("runs=: must name a folder")
    found = records.find(folders) if folders else records.Runs([], Path.cwd(), [])
    tracked = [record for project in projects for record in wandb_runs.find(project)]
    return found._replace(records=found.records + tracked)


def _mention_taken(found: "Runs") -> None:
    """Say on stderr, as stdout may be data, which runs are reported where none were named."""
    count = len(found.records)
    line = f"{count} run{'s' if count > 1 else ''} below {shown(found.folder)}; runs=... names others"
    print(line, file=sys.stderr)  # noqa: T201


def _written(answer: Report, format: Format) -> str:  # noqa: A002
    from cnnlit.reports.tables import as_markdown, as_text

    if format == "json":
        return json.dumps(answer.json(), indent=2) + "\n"
    if format == "csv":
        return answer.csv()
    return as_markdown(answer.page()) if format == "markdown" else as_text(answer.page())


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise ValueError(f"to={path}: is a folder; name a file")
    check_place(path, "to")


def _write(path: Path, content: str) -> None:
    from rich.console import Console

    from cnnlit.files import write_whole
    from cnnlit.reports.tables import print_place

    write_whole(path, content)
    print_place(path, Console())


command = config.entry_point(report)


def main() -> None:
    """The command. So short a process leaves no garbage worth collecting."""
    gc.disable()
    config.quote("runs", "metric", "target", "by", "claim", "to")
    try:
        command()
    finally:
        gc.enable()


if __name__ == "__main__":
    main()
