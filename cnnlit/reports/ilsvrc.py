"""The winners of the ImageNet Large Scale Visual Recognition Challenge by year, and where runs rank among them."""

import csv
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

from cnnlit.analysis.comparison import compare_runs
from cnnlit.analysis.measures import Measure
from cnnlit.analysis.results import Measured
from cnnlit.inference.statistics import Interval
from cnnlit.reports.charts.dots import Row, color_of, strips
from cnnlit.reports.html import render
from cnnlit.reports.report_tables import shown_interval
from cnnlit.reports.tables import Column, Page, Table
from cnnlit.runs.records import RunRecord

TOP5 = Measure("test/top5_error")
BARS, BLOCK = "chart", "\N{FULL BLOCK}"
IMAGENET = "cnnlit.data.image_folders.ImageNet"
TITLE = "ILSVRC: top-5 error of classification, 1,000 classes"


class Entry(NamedTuple):
    """A line of the chart.

    Attributes:
        year: of the challenge; None for what took no part in it.
        name: of the team or the arm.
        error: top-5 error, a fraction.
        note: the network, and what to know about the number.
        won: whether it won that year.
        arm: the arm, for runs of ours; None for published entries.
    """

    year: int | None
    name: str
    error: float
    note: str
    won: bool = False
    arm: Measured | None = None


PUBLISHED = (
    Entry(2010, "NEC-UIUC", 0.282, "features made by hand", won=True),
    Entry(2011, "XRCE", 0.258, "features made by hand", won=True),
    Entry(2012, "SuperVision", 0.164, "AlexNet, five networks; with other images 15.3 %; the second 26.2 %", won=True),
    Entry(
        2013, "Clarifai", 0.117, "by ZFNet's first author, whose paper has 14.8 %; with other images 11.2 %", won=True
    ),
    Entry(2014, "GoogLeNet", 0.067, "seven networks, 144 crops", won=True),
    Entry(2014, "VGG", 0.073, "the second, seven networks"),
    Entry(2015, "MSRA", 0.0357, "ResNet, six networks", won=True),
    Entry(2016, "Trimps-Soushen", 0.0299, "several networks", won=True),
    Entry(2017, "SENet", 0.0225, "several networks", won=True),
    Entry(None, "a person", 0.051, "1,500 images, after practice"),
)
SOURCES = (
    "Sources: the challenge's pages of results, image-net.org/challenges/LSVRC/<year>, as they are commonly quoted; of "
    "the networks their papers (Krizhevsky et al. 2012, Zeiler, Fergus 2013, Simonyan, Zisserman 2014, Szegedy et al. "
    "2014, He et al. 2015); of the person Russakovsky et al. 2015."
)
UNLIKE = (
    "Published errors are of the challenge's test images, whose labels never were, and mostly of several networks "
    "together; runs are tested on the 50,000 validation images."
)


class Standing(NamedTuple):
    """The chart.

    Attributes:
        entries: the largest error first.
        left_out: the number of runs that were tested on something else, or not at all.
    """

    entries: list[Entry]
    left_out: int = 0

    @property
    def arms(self) -> list[Entry]:
        """The entries that are arms of runs."""
        return [entry for entry in self.entries if entry.arm]

    @property
    def sentences(self) -> list[str]:
        """What the chart says about the runs."""
        lost = f"Left out, not tested on the 1,000 classes of data=imagenet: {self.left_out} of the runs."
        return [_sentence(entry) for entry in self.arms] + [lost] * bool(self.left_out)


def standing(records: Sequence[RunRecord], by: Sequence[str] = ()) -> Standing:
    """The published entries and the arms of runs.

    Args:
        records: of the runs; none for the published entries alone.
        by: keys to name the arms by.

    Raises:
        ValueError: if there are runs, but none was tested on ImageNet's classes.
    """
    tested = [record for record in records if _of_imagenet(record)]
    if records and not tested:
        raise ValueError(
            f"ilsvrc=true: none of {len(records)} runs was tested on the 1,000 classes of data=imagenet; "
            "without runs= the winners are shown alone"
        )
    arms = compare_runs(tested, TOP5, by).measured if tested else []
    placed = [
        Entry(None, arm.name, arm.summary.mean, f"n = {len(arm.readings)}", arm=arm) for arm in arms if arm.summary
    ]
    entries = sorted([*PUBLISHED, *placed], key=lambda entry: -entry.error)
    return Standing(entries, len(records) - len(tested))


def _of_imagenet(record: RunRecord) -> bool:
    data = record.config.get("data", {})
    return data.get("_target_") == IMAGENET and data.get("num_classes") == 1000 and TOP5.metric in record.test


def _sentence(entry: Entry) -> str:
    beaten = [winner.year for winner in PUBLISHED if winner.won and winner.year and entry.error < winner.error]
    when = f"would have won until {max(beaten)}" if beaten else "would not have won in any year"
    return f"{entry.name}, {TOP5.show(entry.error)}, {when}."


def ilsvrc_page(chart: Standing) -> Page:
    """What the chart says about the runs, the chart as a table, and the sources."""
    return [*chart.sentences, ilsvrc_table(chart), UNLIKE, SOURCES]


def ilsvrc_table(chart: Standing) -> Table:
    """One row per entry, with a bar of one block per percent."""
    entries = chart.entries
    return Table(
        TITLE,
        [
            Column("year", [_when(entry) for entry in entries]),
            Column("winner", [entry.name for entry in entries]),
            Column("top-5 error", [TOP5.show(entry.error) for entry in entries]),
            Column(BARS, [BLOCK * round(100 * entry.error) for entry in entries]),
            Column("note", [_note(entry) for entry in entries]),
        ],
    )


def _when(entry: Entry) -> str:
    return "here" if entry.arm else f"{entry.year or ''}"


def _note(entry: Entry) -> str:
    if entry.arm is None or len(entry.arm.readings) == 1:
        return entry.note
    return f"{shown_interval(entry.arm, TOP5)}, {entry.note}"


def as_json(chart: Standing) -> dict[str, Any]:
    """The chart as plain containers; errors are fractions."""
    listed = [
        {
            "year": entry.year,
            "name": entry.name,
            "top5_error": entry.error,
            "won": entry.won,
            "here": entry.arm is not None,
            "note": _note(entry),
        }
        for entry in chart.entries
    ]
    return {"metric": TOP5.metric, "entries": listed, "notes": [*chart.sentences, UNLIKE, SOURCES]}


def as_csv(chart: Standing) -> str:
    """One row per entry; errors are fractions."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(("year", "winner", "top5_error", "won", "note"))
    writer.writerows((_when(entry), entry.name, entry.error, int(entry.won), _note(entry)) for entry in chart.entries)
    return lines.getvalue()


def ilsvrc_html(chart: Standing) -> str:
    """The chart as a page of its own."""
    colors = {entry.name: color_of(place) for place, entry in enumerate(chart.arms)}
    bars = [
        Row(
            label=f"{_when(entry)} {entry.name}, {TOP5.show(entry.error)}",
            dots=[],
            mean=entry.error,
            interval=Interval(0.0, entry.error),
            tip=_note(entry),
            color=colors.get(entry.name),
        )
        for entry in chart.entries
    ]
    table = ilsvrc_table(chart)
    return render(
        "ilsvrc.html",
        title=TITLE,
        told=" ".join(chart.sentences),
        bars=strips(bars, TOP5.metric, TITLE, zero=False),
        entries=table._replace(columns=[column for column in table.columns if column.head != BARS]),
        notes=(UNLIKE, SOURCES),
    )
