"""A report as one page of HTML that needs nothing else: it opens from the disk, on a telephone, in print."""

import base64
import io
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from cnnlit.analysis.comparison import Measured, Results
from cnnlit.analysis.verdicts import Verdict
from cnnlit.files import progress
from cnnlit.reports import report_tables
from cnnlit.reports.charts.dots import MOST_ROWS, NUM_COLORS, color_of, differences_chart, dots_chart
from cnnlit.reports.charts.layer_curves import layers_chart, moments
from cnnlit.reports.charts.learning_curves import curve_names, curves_chart
from cnnlit.reports.html import table, tag, text
from cnnlit.reports.tables import Table
from cnnlit.runs.records import RunRecord

MARKS = {"holds": "\N{CHECK MARK}", "clear": "\N{CHECK MARK}", "does not hold": "\N{MULTIPLICATION X}"}
UNDECIDED = "\N{ALMOST EQUAL TO}"
PICTURE_PIXELS = 720
PICTURE_BYTES = 2_400_000
"""Of all pictures together, as text."""

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""The page may ask nobody for anything."""


def html_page(results: Results, verdict: Verdict, *, folder: Path, pictures: Sequence[str] = ("errors",)) -> str:
    """The page.

    Args:
        results: of the runs.
        verdict: the answer.
        folder: where the page will be, for links to the runs.
        pictures: names of the files in the runs' pictures/ to show side by side.
    """
    title = _title(results)
    sections = [
        _verdict(verdict),
        _section("arms", "Arms", _arms(results)),
        _section("differences", "Differences", _differences(results)),
        _section("curves", "Learning curves", _curves(results)),
        _section("layers", "Layers", _layers(results)),
        _section("uncounted", "Not counted", _uncounted(results)),
        *(_section(name, name.replace("_", " ").capitalize(), _gallery(results, name, folder)) for name in pictures),
        _section("methods", "How this was computed", _methods(results)),
        _section("runs", "All runs", _runs(results, folder)),
    ]
    counted, everything = len(results.counted), len(results.runs)
    told = f"{_many(len(results.measured), 'arm')}, {counted} of {_many(everything, 'run')} counted"
    return document(title, told, sections)


def document(title: str, told: str, sections: Sequence[str]) -> str:
    """A page that needs nothing else.

    Args:
        title: of it.
        told: below the title.
        sections: markup.
    """
    opening = tag("header", tag("h1", text(title)), tag("p", text(told)))
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", text(title)),
        tag("style", _beside("report.css")),
    ]
    tip = tag("div", id="tip", role="status", hidden=True)
    body = [tag("main", opening, *sections), tip, tag("script", _beside("report.js"))]
    return "<!doctype html>\n" + tag("html", tag("head", *head), tag("body", *body), lang="en") + "\n"


def _title(results: Results) -> str:
    by = f" by {results.arms.title}" if results.arms.factors else ""
    return f"{results.measure.title}{by}"


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _section(name: str, heading: str, content: str) -> str:
    return tag("section", tag("h2", text(heading)), content, id=name) if content else ""


def _verdict(verdict: Verdict) -> str:
    mark = MARKS.get(verdict.outcome, UNDECIDED)
    kind = {"clear": "holds", "does not hold": "fails"}.get(verdict.outcome, verdict.outcome.partition(" ")[0])
    words = tag("p", tag("strong", text(verdict.outcome)), tag("span", text(verdict.sentence + ".")))
    if verdict.command:
        words += tag("p", text(report_tables.MORE), " ", tag("code", text(verdict.command)))
        words = tag("div", words)
    return tag("section", tag("b", mark, aria_hidden="true"), words, id="verdict", class_=kind)


def _arms(results: Results) -> str:
    marks = {each.name: color_of(place) for place, each in enumerate(results.measured[:MOST_ROWS])}
    shown = dots_chart(results)
    over = len(results.measured) - MOST_ROWS
    note = f"The chart shows the best {MOST_ROWS} arms; {over} more are in the table. " if over > 0 else ""
    note += "A dot is a run, the line the mean, the bar its 95 % interval."
    if results.censored:
        note = note.partition("A dot")[0] + "A dot is a run; an open one ended there without reaching the target."
    return shown + tag("p", text(note), class_="note") + table(report_tables.arms_table(results), marks=marks)


def _differences(results: Results) -> str:
    if not results.comparisons:
        return ""
    chart = differences_chart(results)
    note = "A dot is a pair of runs with the same seed; the bar is the 95 % interval of the mean difference."
    return (
        chart + (tag("p", text(note), class_="note") if chart else "") + table(report_tables.differences_table(results))
    )


def _curves(results: Results) -> str:
    names = curve_names(results)
    plots = [
        curves_chart(results, name, logarithmic=logarithmic, visible=name == names[0] and not logarithmic)
        for name in names
        for logarithmic in (False, True)
    ]
    scale = tag("label", tag("input", type="checkbox", id="log"), tag("span", "log scale"))
    note = "Means of the counted runs, as far as all of an arm go, with their 95 % interval."
    return _plots(results, "curve", names, plots, note, scale)


def _layers(results: Results) -> str:
    drawn = moments(results)
    plots = [layers_chart(results, moment, visible=place == 0) for place, moment in enumerate(drawn)]
    note = "First batch of the epoch. "
    if any(moment.kind == "gradient_norm" for moment in drawn):
        note += (
            "Gradient: the length of the loss's gradient by a layer's weights; geometric means of the counted runs. "
        )
    if any(moment.kind == "saturation" for moment in drawn):
        note += (
            "Saturation: the share of a layer's activations whose slope is below a twentieth of the steepest, "
            "for a rectifier the zeros. "
        )
    return _plots(results, "layer", [moment.name for moment in drawn], plots, note + "Bands: 95 % intervals.")


def _plots(results: Results, group: str, names: Sequence[str], plots: Sequence[str], note: str, scale: str = "") -> str:
    """Plots of which the reader chooses one by its name, with the arms below; empty without any."""
    if not any(plots):
        return ""
    choices = [
        tag("label", tag("input", type="radio", name=group, value=name, checked=place == 0), tag("span", text(name)))
        for place, name in enumerate(names)
    ]
    arms = [
        tag(
            "button", tag("i", class_=f"mark arm-{color_of(place)}"), text(each.name),
            type="button", aria_pressed="true", data_arm=each.name,
        )
        for place, each in enumerate(results.measured[:NUM_COLORS])
        if each.readings
    ]  # fmt: skip
    if len(results.measured) > NUM_COLORS:
        note += f" Of {len(results.measured)} arms the best {NUM_COLORS}."
    return (
        tag("div", *choices, scale, class_="choices")
        + tag("div", *plots, class_="plots")
        + tag("div", *arms, class_="legend")
        + tag("p", text(note), class_="note")
    )


def _uncounted(results: Results) -> str:
    parts = [table(report_tables.uncounted_table(results))] if results.uncounted else []
    if results.missing:
        parts += [tag("p", "Missing:"), tag("ul", *(tag("li", text(line)) for line in results.missing))]
    return "".join(parts)


def _methods(results: Results) -> str:
    lines = [*report_tables.notes(results), *report_tables.methods(results), *report_tables.origin(results)]
    commands = tag("pre", text("\n".join(report_tables.commands(results))), tabindex="0")
    return tag("ul", *(tag("li", text(line)) for line in lines)) + commands


def _runs(results: Results, folder: Path) -> str:
    """Every run that counts, folded away."""
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
    sheet = Table.of("All runs", ("arm", "seed", measure.title, "time", "epochs", "commit", "run"), rows)
    return tag("details", tag("summary", text(_many(len(rows), "run"))), table(sheet))


def _from(run: RunRecord, folder: Path) -> str:
    return run.place if "://" in run.place else os.path.relpath(run.place, folder)


def _gallery(results: Results, name: str, folder: Path) -> str:
    """The same picture of one run of each arm, all of the same seed where that can be."""
    chosen = list(_chosen(results, name))
    budget, parts = PICTURE_BYTES, []
    for each, block, run, path in progress(chosen, "reading pictures", len(chosen)):
        data = _embedded(path)
        budget -= len(data)
        if budget < 0:
            break
        number = each.readings[block].number if each.readings[block].reached else None
        caption = f"{each.name}, {block}" + (f": {results.measure.show(number)}" if number is not None else "")
        image = tag("img", src=data, alt=f"{name} of {caption}", loading="lazy")
        link = image if "://" in run.place else tag("a", image, href=os.path.relpath(path, folder))
        parts.append(tag("figure", link, tag("figcaption", text(caption))))
    if not parts:
        return ""
    left = len(chosen) - len(parts)
    note = tag("p", text(f"{left} more have no room on this page."), class_="note") if left else ""
    return tag("div", *parts, class_="gallery") + note


def _chosen(results: Results, name: str) -> Iterator[tuple[Measured, str, RunRecord, Path]]:
    drawn = [(each, block, run, path) for each, block, run, _ in results.counted if (path := run.picture(name))]
    frequent = Counter(block for _, block, _, _ in drawn)
    done: set[str] = set()
    for each, block, run, path in sorted(drawn, key=lambda item: -frequent[item[1]]):
        if each.name not in done:
            done.add(each.name)
            yield each, block, run, path


def _embedded(path: Path) -> str:
    """The picture as an address, no larger than a page shows it."""
    from PIL import Image

    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((PICTURE_PIXELS, PICTURE_PIXELS * 2))
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=70, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
