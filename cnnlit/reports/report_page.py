"""A report as one page of HTML: what templates/report.html shows."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from cnnlit.analysis.results import Results
from cnnlit.analysis.verdicts import Verdict
from cnnlit.reports import report_tables
from cnnlit.reports.charts.calibration import calibration_chart
from cnnlit.reports.charts.dots import MOST_ROWS, NUM_COLORS, color_of, differences_chart, dots_chart
from cnnlit.reports.charts.layer_curves import layers_chart, moments
from cnnlit.reports.charts.learning_curves import curve_names, curves_chart
from cnnlit.reports.charts.lines import Plot
from cnnlit.reports.class_tables import calibration_table, classes_table, confused_table, metrics_table
from cnnlit.reports.gallery import gallery
from cnnlit.reports.html import render
from cnnlit.reports.tables import Table
from cnnlit.runs.records import RunRecord

VERDICT_CLASSES = {"holds": "holds", "clear": "holds", "does not hold": "fails", "no difference larger than": "fails"}
"""Outcome -> its class in the style sheet; all others are `undecided`."""


class ArmColor(NamedTuple):
    """An arm in the legend, and the number of its colour."""

    name: str
    color: int


def html_page(results: Results, verdict: Verdict, *, folder: Path, pictures: Sequence[str] = ("errors",)) -> str:
    """The page.

    Args:
        results: of the runs.
        verdict: the answer.
        folder: where the page will be saved, which links to the runs are relative to.
        pictures: names of the figures in the runs' pictures/ to show side by side.
    """
    measured = results.measured
    drawn_moments = moments(results)
    galleries = [gallery(results, name, folder) for name in pictures]
    lines = [*report_tables.notes(results), *report_tables.methods(results), *report_tables.origin(results)]
    return render(
        "report.html",
        title=_title(results),
        told=f"{_many(len(measured), 'arm')}, {len(results.counted)} of {_many(len(results.runs), 'run')} counted",
        results=results,
        verdict=verdict,
        verdict_class=VERDICT_CLASSES.get(verdict.outcome, "undecided"),
        more=report_tables.MORE,
        dots=dots_chart(results),
        most_rows=MOST_ROWS,
        arms=report_tables.arms_table(results),
        colors={each.name: color_of(place) for place, each in enumerate(measured[:MOST_ROWS])},
        difference_dots=differences_chart(results),
        differences=report_tables.differences_table(results) if results.comparisons else None,
        settings=report_tables.settings_table(results),
        of_classes=metrics_table(results),
        each_class=classes_table(results),
        confused=confused_table(results),
        calibration=calibration_chart(results),
        bins=calibration_table(results),
        legend=[ArmColor(each.name, color_of(place)) for place, each in enumerate(measured[:NUM_COLORS])
                if each.readings],
        only_the_best=f"Of {len(measured)} arms the best {NUM_COLORS}." if len(measured) > NUM_COLORS else "",
        curves=_curves(results),
        layers=_there(layers_chart(results, moment) for moment in drawn_moments),
        layer_kinds={moment.kind for moment in drawn_moments},
        uncounted=report_tables.uncounted_table(results) if results.uncounted else None,
        galleries=[each for each in galleries if each.figures],
        methods=lines,
        commands="\n".join(report_tables.commands(results)),
        num_runs=_many(len(results.counted), "run"),
        runs=_runs(results, folder),
    )  # fmt: skip


def _title(results: Results) -> str:
    by = f" by {results.arms.title}" if results.arms.factors else ""
    return f"{results.measure.title}{by}"


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _curves(results: Results) -> list[Plot]:
    return _there(
        curves_chart(results, name, logarithmic=logarithmic)
        for name in curve_names(results)
        for logarithmic in (False, True)
    )


def _there(plots: Iterable[Plot | None]) -> list[Plot]:
    return [plot for plot in plots if plot]


def _runs(results: Results, folder: Path) -> Table:
    """Every run that is counted."""
    measure = results.measure
    rows = [
        (
            each.name,
            "" if run.seed is None else str(run.seed),
            measure.show(reading.number) if reading.reached else "not reached",
            "" if run.seconds is None else f"{run.seconds:,.0f} s",
            str(len(run.curves)),
            run.commit[:8],
            _from(run, folder),
        )
        for each, _, run, reading in results.counted
    ]
    return Table.of("All runs", ("arm", "seed", measure.title, "time", "epochs", "commit", "run"), rows)


def _from(run: RunRecord, folder: Path) -> str:
    return run.place if "://" in run.place else os.path.relpath(run.place, folder)
