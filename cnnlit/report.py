"""python -m cnnlit.report: what the runs say, with intervals, differences and a verdict.

What can be configured is in conf/report.yaml; --help lists it.
"""

import gc
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Gt

from cnnlit import config

if TYPE_CHECKING:  # imported where they are needed, so that --help and mistakes are answered at once
    from cnnlit.results.comparison import Results
    from cnnlit.results.run_records import Runs
    from cnnlit.results.verdicts import Verdict

Format = Literal["text", "html", "markdown", "csv", "json"]
Words = list[str] | str
"""A list, or words with commas between."""


def report(
    *,
    runs: Words,
    metric: str | None,
    target: str | None,
    by: Words,
    claim: str | None,
    smallest_difference: Annotated[float, Gt(0)] | None,
    format: Format,  # noqa: A002  the word for it
    to: str | None,
    pictures: Words,
) -> None:
    """Report what runs say.

    Args:
        runs: folders, patterns, or projects of W&B (wandb:entity/project).
        metric: what to compare the arms in.
        target: a bound on a curve; the metric is then the epochs or the seconds until it is reached.
        by: keys that name the arms.
        claim: a statement about the arms to judge.
        smallest_difference: that matters.
        format: of the report.
        to: the file to write.
        pictures: names of the pictures that the page shows side by side.
    """
    with config.refusing():
        from cnnlit.results.comparison import compare_runs
        from cnnlit.results.measures import measure_of
        from cnnlit.results.verdicts import judge

        found = _find(_listed(runs))
        results = compare_runs(found.records, measure_of(metric, target), _listed(by), found.never_started)
        verdict = judge(results, claim, smallest_difference)
        if format == "html" or to:
            path = Path(to) if to else found.folder / "report.html"
            _write(
                path,
                _page(results, verdict, path, _listed(pictures))
                if format == "html"
                else _written(results, verdict, format),
            )
            return
    if format != "text":
        sys.stdout.write(_written(results, verdict, format))
        return
    from rich.console import Console

    from cnnlit.results.report_tables import report_page
    from cnnlit.results.sheets import print_page

    print_page(report_page(results, verdict), Console())


def _listed(words: Words) -> list[str]:
    parts = words.split(",") if isinstance(words, str) else words
    return [part.strip() for part in parts if part.strip()]


def _find(places: list[str]) -> "Runs":
    """The runs of folders and of W&B's projects, together."""
    from cnnlit.results import run_records, wandb_runs

    projects = [place.removeprefix(wandb_runs.PREFIX) for place in places if place.startswith(wandb_runs.PREFIX)]
    folders = [place for place in places if not place.startswith(wandb_runs.PREFIX)]
    if not places:
        raise ValueError("runs=: must name a folder")
    found = run_records.find(folders) if folders else run_records.Runs([], Path.cwd(), [])
    tracked = [record for project in projects for record in wandb_runs.find(project)]
    return found._replace(records=found.records + tracked)


def _written(results: "Results", verdict: "Verdict", format: Format) -> str:  # noqa: A002
    from cnnlit.results.report_data import as_csv, as_json
    from cnnlit.results.report_tables import report_page
    from cnnlit.results.sheets import as_markdown, as_text

    if format == "json":
        return json.dumps(as_json(results, verdict), indent=2) + "\n"
    if format == "csv":
        return as_csv(results)
    page = report_page(results, verdict)
    return as_markdown(page) if format == "markdown" else as_text(page)


def _page(results: "Results", verdict: "Verdict", path: Path, pictures: list[str]) -> str:
    from cnnlit.results.report_html import html_page

    return html_page(results, verdict, folder=path.parent, pictures=pictures)


def _write(path: Path, content: str) -> None:
    from cnnlit.results.runs import write_whole

    if path.is_dir():
        raise ValueError(f"to={path}: is a folder; name a file")
    write_whole(path, content)
    sys.stdout.write(f"{path}\n")


command = config.command(report)


def main() -> None:
    """The command. A process this short leaves no garbage worth looking for."""
    gc.disable()
    config.quote("runs", "metric", "target", "by", "claim", "to")
    try:
        command()
    finally:
        gc.enable()


if __name__ == "__main__":
    main()
